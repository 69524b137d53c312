"""Trials in processes that may crash or hang, counted."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pnen_runtime.errors import PnenError

from .worker import FINE, OUTSIDE, TOO_LARGE

TOOLS = Path(__file__).parents[1]
WORKER = "reliability.worker"
STARTING = 600.0  # seconds that a process may take until it is ready


@dataclass
class Tally:
    """What became of the cases of one kind."""

    kind: str
    counts: Counter[str] = field(default_factory=Counter)  # by verdict: "fine", "exit code 5", ...
    outside: dict[str, list[int]] = field(default_factory=dict)  # the cases of each fault
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        return self.counts.total()

    def take(self, case: int, verdict: str, why: str) -> None:
        if verdict.startswith("exit code") and why:
            verdict = OUTSIDE
        self.counts[verdict] += 1
        if verdict == OUTSIDE:
            self.outside.setdefault(why, []).append(case)

    def row(self) -> str:
        """A line of a Markdown table."""
        refused = {name: count for name, count in self.counts.items() if name.startswith("exit code")}
        codes = ", ".join(f"{count:,} with {name.removeprefix('exit ')}" for name, count in sorted(refused.items()))
        return (f"| {self.kind} | {self.cases:,} | {self.counts[FINE]:,} | {codes or 'none'} | "
                f"{self.counts[TOO_LARGE]:,} | {self.counts[OUTSIDE]:,} | {self.seconds:.0f} |")  # fmt: skip


HEADER = "| kind | cases | read | refused | too large | OUTSIDE | s |\n| --- | ---: | ---: | --- | ---: | ---: | ---: |"


def try_kind(
    kind: str,
    seed: int,
    cases: range,
    limit: float,
    *,
    whole: bool = False,
    watch: Callable[[int], None] = lambda _: None,
) -> Tally:
    """Try the cases one after the other; a process that dies, or is silent for `limit` seconds, costs its case."""
    tally, case, began = Tally(kind), cases.start, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pnen-fuzz-") as folder:
        while case < cases.stop:
            words = [kind, str(seed), str(case), str(cases.stop), folder, *["--whole"] * whole]
            with _Process(words) as process:
                if process.line(STARTING) is None:
                    raise PnenError(f"{kind}: the good files could not be prepared: {process.last_words()}")
                while case < cases.stop:
                    line = process.line(limit)
                    if line is None:
                        tally.take(case, OUTSIDE, process.last_words())
                    else:
                        tally.take(*json.loads(line))
                    case += 1
                    watch(case - cases.start)
                    if line is None:
                        break
    tally.seconds = time.monotonic() - began
    return tally


class _Process:
    """A worker whose lines are waited for; a context that ends it."""

    def __init__(self, words: list[str]):
        paths = os.pathsep.join(filter(None, (str(TOOLS), str(TOOLS.parent), os.environ.get("PYTHONPATH"))))
        environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen([sys.executable, "-m", WORKER, *words], stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL, text=True, env=environment)  # fmt: skip
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=1000)
        self._stopped = self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
            if self._stopped:
                return
        self._ended = True
        self._lines.put(None)

    def line(self, seconds: float) -> str | None:
        """The next line; None where the process is silent for so long, or has ended."""
        try:
            return self._lines.get(timeout=seconds)
        except queue.Empty:
            return None

    def last_words(self) -> str:
        """How it ended, if it did."""
        if not self._ended:
            return "hang: it said nothing in time and was ended"
        code = self._process.wait()
        return f"crash: the process ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._process.kill()
        self._process.wait()
