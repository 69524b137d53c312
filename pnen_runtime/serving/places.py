"""How many pictures may be here at once, and their way through a model in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from math import ceil
from time import perf_counter
from typing import Any

from ..commands import printable
from ..errors import PnenError
from ..one_picture import Made, smoothed
from ..smoother import Smoother
from ..upscaler import Upscaler
from .query import Wanted

log = logging.getLogger("pnen")


class Full(PnenError):
    """All places are taken."""


class GivenUp(PnenError):
    """Nobody waits for the result any more."""


class Notes(logging.Handler):
    """What the log warns of, by the thread that it happens in: it belongs to the picture that is computed there."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._mine = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        getattr(self._mine, "lines", []).append(printable(record.getMessage()))

    def begin(self) -> list[str]:
        lines: list[str] = []
        self._mine.lines = lines
        return lines


class Places:
    """`workers` pictures are computed at once and `waiting` more may be here, each from before its bytes are read.

    A place is free again when its answer is sent and its thread has ended. Models are opened when they are first asked
    for, once each.
    """

    def __init__(self, names: Mapping[str, Any], workers: int, waiting: int, most: int, **settings: Any):
        self.all, self.taken, self.running, self.most = workers + waiting, 0, 0, most
        self.workers, self.settings = workers, settings
        self._lock, self._opening = threading.Lock(), {name: threading.Lock() for name in names}
        self._names, self.open = names, {}  # type: ignore[var-annotated]
        self._pool, self._closing = ThreadPoolExecutor(workers, "smoothing"), threading.Event()
        self._notes, self._pace = Notes(), 1.0  # seconds a picture takes
        log.addHandler(self._notes)

    def take(self) -> None:
        """Take a place; Full where there is none."""
        with self._lock:
            if self.taken >= self.all:
                raise Full(f"expected at most {self.all} pictures at once, and so many are here; come back in "
                           f"{self.seconds_to_wait} s")  # fmt: skip
            self.taken += 1

    def give_back(self, job: Future[Any] | None = None) -> None:
        """Give a place back, once the thread of `job` has ended."""
        if job is not None and not job.done():
            job.add_done_callback(lambda _: self.give_back())
            return
        with self._lock:
            self.taken -= 1

    @property
    def seconds_to_wait(self) -> int:
        """After which a place may be free."""
        return max(1, min(60, ceil(self._pace * self.all / self.workers / 2)))

    def begin(self, wanted: Wanted, data: bytes, given_up: threading.Event) -> Future[tuple[Made, list[str], float]]:
        """The result, what the log said of it, and the seconds it took; GivenUp soon after `given_up` is set."""
        return self._pool.submit(self._make, wanted, data, given_up)

    def _make(self, wanted: Wanted, data: bytes, given_up: threading.Event) -> tuple[Made, list[str], float]:
        def go_on(*_: int) -> None:
            if given_up.is_set() or self._closing.is_set():
                raise GivenUp("nobody waits for it any more")

        go_on()
        began, notes = perf_counter(), self._notes.begin()
        with self._lock:
            self.running += 1
        try:
            runs = self.model(wanted.model)
            most = self.most // getattr(runs, "scale", 1) ** 2
            made = smoothed(runs, data, wanted.kind, wanted.settings, wanted.saved, go_on, most)
        finally:
            with self._lock:
                self.running -= 1
        seconds = perf_counter() - began
        self._pace += 0.1 * (seconds - self._pace)
        return made, notes, seconds

    def model(self, name: str) -> Smoother | Upscaler:
        """That model, opened; the errors of `Smoother` where it does not open here."""
        with self._opening[name]:
            if name not in self.open:
                smoother = Smoother(self._names[name], **self.settings)
                self.open[name] = Upscaler(smoother) if "scale" in smoother.card.task else smoother
            found: Smoother | Upscaler = self.open[name]
            return found

    def close(self) -> None:
        """Give up what still runs, and free the models."""
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)
        log.removeHandler(self._notes)
        for model in self.open.values():
            model.close()
