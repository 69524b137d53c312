"""A full disk, a folder that may not be written, and an input that vanishes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pnen_runtime.files import TEMPORARY

from .children import End, fresh, run
from .jobs import Job, temporaries

FULL, READ_ONLY = "a full disk", "a folder that is read-only"


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a file system of memory."""
    if os.name != "posix" or os.getuid() or not shutil.which("mount"):
        return False
    folder.mkdir(parents=True)
    try:
        with mounted(folder, 64):
            return True
    except OSError:
        return False


@contextmanager
def mounted(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system in memory of this size at `folder`; OSError where that is refused."""
    _command("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder))
    try:
        yield
    finally:
        _command("umount", str(folder))


def _command(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())


def on_full_disk(job: Job, folder: Path, good: Path, kilobytes: int) -> tuple[End, list[str]]:
    """Run it with so much space for what it writes; how it ended, and what is wrong with what it left."""
    fresh(folder, good)
    (folder / "out").mkdir()
    with mounted(folder / "out", kilobytes):
        end = run(job, folder)
        return end, faults_of(job, folder, end)


def with_largest_file(job: Job, folder: Path, good: Path, kilobytes: int) -> tuple[End, list[str]]:
    """The stand-in for a full disk: no file may grow beyond this size."""
    import resource

    fresh(folder, good)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * kilobytes, 1024 * kilobytes))

    end = run(job, folder, at_step=1, then=limit)
    return end, faults_of(job, folder, end)


def in_read_only(job: Job, folder: Path, good: Path, mount: bool) -> tuple[End, list[str]]:
    """Run it into a folder that may not be written: mounted so, or without the permission."""
    fresh(folder, good)
    out = folder / "out"
    out.mkdir()
    if not mount:
        out.chmod(0o500)
        try:
            end = run(job, folder)
        finally:
            out.chmod(0o700)
        return end, faults_of(job, folder, end)
    with mounted(out, 64):
        _command("mount", "-o", "remount,ro", str(out))
        end = run(job, folder)
        return end, faults_of(job, folder, end)


def without_input(job: Job, folder: Path, good: Path, at_step: int) -> tuple[End, list[str]]:
    """Delete what it reads at one of its steps."""
    fresh(folder, good)
    path = folder / job.input

    def vanish() -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    end = run(job, folder, at_step=at_step, then=vanish)
    return end, faults_of(job, folder, end)


def faults_of(job: Job, folder: Path, end: End) -> list[str]:
    """What is wrong with how a command ended that was not killed, and with what it left."""
    faults = [] if end.clean else [f"exit code {end.code}: {(end.said.strip().splitlines() or ['no word'])[-1]}"]
    if TEMPORARY.search(end.said):
        faults.append(f"it names a temporary file: {end.said.strip()}")
    if end.code > 5:
        faults.append(f"exit code {end.code}")
    if end.code and not end.said.strip():
        faults.append("it failed without a word")
    try:
        job.look(folder / "out")
    except Exception as error:
        faults.append(f"torn under its final name: {error}")
    faults += [f"{path.name} is left in {path.parent.name}" for path in temporaries(folder)]
    return faults
