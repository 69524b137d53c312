"""Checks in processes of their own: a crash, a hang or a broken device ends one line and not the proof."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from .lab import missing
from .line import FAIL, SKIP, Line, Outcome

PROGRAM = Path(__file__).parents[1] / "gpu_proof.py"
TIMES_LONGER = 3  # than a line usually takes, before it is ended
PATIENCE = 60  # seconds on top


class Worker:
    """A process that makes one check after another."""

    def __init__(self, folder: Path):
        self.subject = ""
        paths = os.pathsep.join(filter(None, (str(PROGRAM.parents[1]), os.environ.get("PYTHONPATH"))))
        environment = os.environ | {"PYTHONPATH": paths, "XDG_CACHE_HOME": str(folder / "cache")}
        self._log = open(folder / "worker.log", "w+b")  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "worker", str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment,
        )  # fmt: skip

    def ask(self, line: Line, limit: float, over: str) -> Outcome:
        """The outcome of a line; `over` is the verdict where it takes more than `limit` seconds."""
        ended, begin = threading.Event(), time.perf_counter()

        def end() -> None:
            ended.set()
            self._process.kill()

        timer = threading.Timer(limit, end)
        timer.start()
        try:
            self._process.stdin.write(f"{line}\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
            answer = self._process.stdout.readline()  # type: ignore[union-attr]
        except BrokenPipeError:
            answer = ""
        finally:
            timer.cancel()
        if answer:
            return Outcome(**json.loads(answer))
        seconds = round(time.perf_counter() - begin, 2)
        if ended.is_set():
            return Outcome(str(line), over, f"ended after {limit:.0f} s", {}, seconds)
        code = self._process.wait()
        self._log.seek(0)
        said = (self._log.read().decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        what = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Outcome(str(line), FAIL, f"the process ended with {what}: {said}", {}, seconds)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()


def perform_all(
    lines: Iterable[Line],
    folder: Path,
    minutes: float,
    show: Callable[[Outcome], None] = lambda _: None,
    passed: Mapping[str, Outcome] | None = None,
) -> list[Outcome]:
    """The outcomes in order; those in `passed` are taken over. Lines of one subject share a process until one fails."""
    outcomes: list[Outcome] = []
    until = time.monotonic() + 60 * minutes
    worker: Worker | None = None
    for line in lines:
        left = until - time.monotonic()
        lacks = missing(line.subject)
        if passed and str(line) in passed:
            outcome = passed[str(line)]
        elif lacks:
            outcome = Outcome(str(line), SKIP, lacks)
        elif line.seconds > left:
            outcome = Outcome(
                str(line), SKIP, f"it takes about {line.seconds:.0f} s and {max(0, left):.0f} s of --time were left"
            )
        else:
            if worker is None or worker.subject != str(line.subject):
                if worker is not None:
                    worker.close()
                worker = Worker(folder)
                worker.subject = str(line.subject)
            own = PATIENCE + TIMES_LONGER * line.seconds
            outcome = worker.ask(line, min(own, left), FAIL if own <= left else SKIP)
            if outcome.verdict == FAIL or outcome.reason.startswith("ended after"):
                worker.close()
                worker = None
        outcomes.append(outcome)
        show(outcome)
    if worker is not None:
        worker.close()
    return outcomes
