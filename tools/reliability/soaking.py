"""Runs from many threads compared with those of one, and what a process holds."""

from __future__ import annotations

import os
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pnen_runtime import Smoother

KEPT = 10  # runs of a Smoother that a thread opens for itself, and then as many on the shared one
SHAPES = ((20, 24, 3), (33, 57, 3), (64, 48, 3), (40, 40), (24, 31, 4), (2, 20, 20, 3), (130, 20, 1))
TYPES = (np.uint8, np.uint16, np.float32)


@dataclass(frozen=True)
class Use:
    """What this process holds."""

    megabytes: float
    handles: int
    threads: int

    @classmethod
    def now(cls) -> Use | None:
        """None where the system does not tell."""
        process = Path("/proc/self")
        if not (process / "status").exists():
            return None
        found = re.search(r"VmRSS:\s+(\d+) kB", (process / "status").read_text())
        handles, threads = (len(os.listdir(process / part)) for part in ("fd", "task"))
        return cls(int(found[1]) / 1e3 if found else 0.0, handles, threads)

    @classmethod
    def settled(cls, threads: int) -> Use | None:
        """Likewise, once no more than so many threads are left, or after a second: the system takes a moment."""
        for _ in range(100):
            if (found := cls.now()) is None or found.threads <= threads:
                break
            time.sleep(0.01)
        return found

    def __str__(self) -> str:
        return f"{self.megabytes:.0f} MB, {self.handles} open files, {self.threads} threads"


def pictures(seed: int) -> list[np.ndarray]:
    """Noise of every shape and type that `run` takes."""
    random, found = np.random.default_rng(seed), []
    for number, shape in enumerate(SHAPES):
        kind, values = TYPES[number % len(TYPES)], random.random(shape)
        found.append((values * (1 if kind is np.float32 else np.iinfo(kind).max)).astype(kind))
    return found


@dataclass
class Soak:
    """The work of all threads on one model."""

    model: str
    given: list[np.ndarray]
    shared: Smoother
    right: list[np.ndarray]  # what one thread makes of the pictures
    opened: int = 0
    faults: list[str] = field(default_factory=list)
    _left: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, model: str, seed: int) -> Soak:
        shared, given = Smoother(model, threads=1), pictures(seed)
        return cls(model, given, shared, [shared.run(picture) for picture in given])

    def run(self, runs: int, threads: int) -> None:
        """So many runs, shared out among so many threads."""
        self._left = runs
        started = [threading.Thread(target=self._work) for _ in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()

    def _next(self) -> int:
        """The number of a run that is still to do, counted down; 0 where none is."""
        with self._lock:
            self._left -= 1
            return max(0, self._left + 1)

    def _work(self) -> None:
        """By turns some runs on a Smoother of this thread's own, and some on the one of all threads."""
        try:
            done, own = 0, None
            while number := self._next():
                if done % (2 * KEPT) == 0:
                    own = Smoother(self.model, threads=1)
                    with self._lock:
                        self.opened += 1
                elif own is not None and done % (2 * KEPT) == KEPT:
                    own.close()
                    own = None
                self._compare(own or self.shared, number)
                done += 1
            if own is not None:
                own.close()
        except Exception as error:
            self.faults.append(f"{type(error).__name__}: {error}")

    def _compare(self, smoother: Smoother, number: int) -> None:
        place = number % len(self.given)
        result = smoother.run(self.given[place])
        if result.dtype != self.right[place].dtype or not np.array_equal(result, self.right[place]):
            self.faults.append(f"run {number} of {SHAPES[place]} differs from one thread's")
