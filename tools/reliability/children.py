"""Commands in forked processes, which die at a point that is drawn: after some time, or at one of their own steps."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .jobs import Job

STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir", "shutil.rmtree")


@dataclass(frozen=True)
class End:
    """How a command ended."""

    code: int  # negative: the signal
    said: str  # on stderr
    seconds: float
    steps: int  # on files in its folder

    @property
    def clean(self) -> bool:
        """Whether it is one of our own endings: one line where it failed, and no traceback."""
        return self.code >= 0 and "Traceback" not in self.said and "unexpected" not in self.said


def run(job: Job, folder: Path, *, again: bool = False, seconds: float = 0.0, at_step: int = 0,
        then: Callable[[], Any] | None = None) -> End:  # fmt: skip
    """Run the job in a forked process; kill it after `seconds`, or do `then` (by default kill it) at one of its steps.

    A step is an operation on a file or folder in `folder`, counted from 1.
    """
    (folder / "said").mkdir(exist_ok=True)
    counted, began = folder / "said" / "steps", time.monotonic()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        _be_the_child(job, folder, counted, again, at_step, then or _kill_myself)
    if seconds:
        timer = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
        timer.start()
    _, status = os.waitpid(child, 0)
    if seconds:
        timer.cancel()
    said = (folder / "said" / "stderr").read_text(errors="replace")
    return End(os.waitstatus_to_exitcode(status), said, time.monotonic() - began, counted.stat().st_size)


def _kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _be_the_child(job: Job, folder: Path, counted: Path, again: bool, at_step: int, then: Callable[[], Any]) -> None:
    """Never comes back."""
    code = 70
    try:
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(folder / "said" / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        tally, inside, steps = os.open(counted, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), str(folder), [0]

        def count(event: str, words: tuple[Any, ...]) -> None:
            if event in STEPS and words and str(words[0]).startswith(inside):
                steps[0] += 1
                os.write(tally, b".")
                if steps[0] == at_step:
                    then()

        sys.addaudithook(count)
        job.call(folder, again)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def fresh(folder: Path, good: Path) -> Path:
    """The folder with the inputs and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    return folder
