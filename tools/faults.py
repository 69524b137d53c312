"""Kills a training, an export and a folder of pictures at random points, starves them, and looks at what is left.

Usage: python tools/faults.py --points 50
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import click

from pnen_runtime.commands import Command, say
from pnen_runtime.errors import BackendMissing, PnenError

if TYPE_CHECKING:
    from reliability.jobs import Job

NAMES = ("train", "export", "smooth")
SIZES = (1, 4, 8, 12, 24, 48)  # kilobytes of a disk that is full soon


@click.command(cls=Command)
@click.option("--job", "names", multiple=True, type=click.Choice(NAMES), help="Repeatable.  [default: all]")
@click.option("--points", metavar="NUMBER", type=click.IntRange(min=0), default=10, show_default=True, help="At which "
              "each is killed, and half as often its input vanishes.")  # fmt: skip
@click.option("--seed", metavar="NUMBER", type=int, default=0, show_default=True)
@click.option("--mount/--no-mount", default=True, show_default=True, help="Make full disks as file systems in memory, "
              "where this process may; else no file may be large.")  # fmt: skip
def main(names: tuple[str, ...], points: int, seed: int, mount: bool) -> None:
    """Kill commands by SIGKILL, half of the times at a step on a file and half at any time, and run them again.

    No file may be torn under its final name, the next run must end as one that was never killed, and what was half
    written must be gone or ignored. Full disk, read-only folder and vanished input must end in one line. Exit codes: 0
    all survived, 1 something did not, 2 wrong usage, 4 this system cannot fork.
    """
    if not hasattr(os, "fork"):
        raise BackendMissing("expected a system that can fork, such as Linux; this one cannot")
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch
    from reliability.children import fresh, run
    from reliability.jobs import JOBS, prepare

    torch.set_num_threads(1)
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pnen-faults-") as scratch:
        good, folder = Path(scratch).resolve() / "good", Path(scratch).resolve() / "work"
        prepare(good)
        for name in names or NAMES:
            job, draw = JOBS[name], Random(f"{seed} {name}")
            whole = run(job, fresh(folder, good))
            if whole.code:
                raise PnenError(f"{name} fails before anything is done to it: {whole.said.strip()}")
            right = job.look(folder / "out")
            for lines in (killed(job, folder, good, right, whole.seconds, whole.steps, points, draw),
                          starved(job, folder, good, whole.steps, points, draw, mount)):  # fmt: skip
                for line, faults in lines:
                    say(f"{name}, {line}: {len(faults)} faults")
                    failed += [f"{name}, {fault}" for fault in faults]
    for fault in failed[:20]:
        say(fault, err=True)
    if failed:
        raise PnenError(f"{len(failed)} faults")


def killed(job: Job, folder: Path, good: Path, right: dict[str, str], seconds: float, steps: int, points: int,
           draw: Random) -> Iterator[tuple[str, list[str]]]:  # fmt: skip
    """Kill it at so many points and run it again."""
    from reliability.children import fresh, run
    from reliability.jobs import temporaries

    for by_step in (True, False):
        faults, died, left, again_left = [], 0, 0, 0
        count = points - points // 2 if by_step else points // 2
        for _ in range(count):
            fresh(folder, good)
            step, moment = draw.randint(1, max(1, steps)), draw.random() * seconds
            end = run(job, folder, at_step=step) if by_step else run(job, folder, seconds=moment + 0.001)
            where = f"killed at step {step} of {steps}" if by_step else f"killed after {moment:.2f} s"
            died += end.code == -9
            left += len(temporaries(folder))
            try:
                job.look(folder / "out")
            except Exception as error:
                faults.append(f"{where}: torn under its final name: {error}")
            again = run(job, folder, again=True)
            if again.code or not again.clean:
                faults.append(f"{where}, then: {again.said.strip()[-200:]}")
            elif job.look(folder / "out") != right:
                faults.append(f"{where}: it does not end as one that was never killed")
            again_left += len(temporaries(folder))
        yield (f"killed at {count} {'steps on files' if by_step else 'moments'} ({died} died): {left} half-written "
               f"files, {again_left} still there after the next run", faults)  # fmt: skip


def starved(job: Job, folder: Path, good: Path, steps: int, points: int, draw: Random,
            mount: bool) -> Iterator[tuple[str, list[str]]]:  # fmt: skip
    """A full disk, a read-only folder, a vanished input."""
    from reliability.starving import can_mount, in_read_only, on_full_disk, with_largest_file, without_input

    mount, faults, failures = mount and can_mount(folder.parent / "mounted" / job.name), [], 0
    for size in SIZES:
        end, wrong = (on_full_disk if mount else with_largest_file)(job, folder, good, size)
        failures += end.code != 0
        faults += [f"a disk of {size} kB: {fault}" for fault in wrong]
    how = "file systems in memory" if mount else "stand-in: the largest file is limited"
    yield f"a full disk ({how}), {len(SIZES)} sizes ({failures} failed in one line)", faults
    if mount or os.getuid():  # to the administrator nothing else is forbidden
        end, faults = in_read_only(job, folder, good, mount)
        yield f"a read-only folder (exit code {end.code})", faults + ["it was written to"] * (end.code == 0)
    else:
        yield "a read-only folder: left out, since this user may write everywhere", []
    faults, failures, count = [], 0, max(1, points // 2)
    for _ in range(count):
        step = draw.randint(1, max(1, steps))
        end, wrong = without_input(job, folder, good, step)
        failures += end.code != 0
        faults += [f"input gone at step {step}: {fault}" for fault in wrong]
    yield f"its input vanished at {count} steps ({failures} failed in one line)", faults


if __name__ == "__main__":
    sys.exit(main())
