"""What a command shows while it works: a bar on a terminal, a line a minute in a log file."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from statistics import fmean

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from pnen_runtime.commands import printable

PATIENCE = 60.0  # seconds from line to line where there is no terminal
FIGURES = 70  # columns of a terminal that are not for the title: of a narrow one the figures get all but the title's 8
console = Console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")  # of several processes the first speaks


class Rate(ProgressColumn):
    """Steps per second over the last half minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.3g} it/s" if task.speed else "")


def say(line: str) -> None:
    """Print a line above the bar, or into the log, as it is: not wrapped, coloured or read as markup."""
    try:
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
    except OSError as error:
        if error.errno != errno.EIO:  # that of a terminal which was closed, and which must not keep a run from saving
            raise


@contextmanager
def bar(
    title: str, total: int, figures: str = "", done: int = 0, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[..., None]]:
    """A bar of `total` steps, `done` of them before; call what it gives with steps done and the values of `figures`.

    `figures` is a format string, such as "loss {loss:.4f}"; with it the bar stays when all is done. A second number
    that is given with the steps done is a new total. Without a terminal there is a line a minute by `clock`, with the
    means of the values since the line before.
    """
    if console.is_terminal:
        with _drawn(title, total, figures, done) as advance:
            yield advance
    else:
        yield Lines(title, total, figures, done, clock)


@contextmanager
def _drawn(title: str, total: int, figures: str, done: int) -> Iterator[Callable[..., None]]:
    def whole() -> Column:
        return Column(no_wrap=True)  # so that a narrow terminal shortens the bar

    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn(None)]
    columns += [MofNCompleteColumn(table_column=whole())]
    if figures:
        columns += [TextColumn("{task.fields[figures]}", markup=False), Rate(table_column=whole())]
    else:
        columns += [TimeElapsedColumn(table_column=whole())]
    columns += [TextColumn("left"), TimeRemainingColumn(table_column=whole())]
    progress = Progress(*columns, console=console, transient=not figures)
    title = printable(title)
    shown = title if len(title) <= (room := max(8, console.width - FIGURES)) else f"{title[: room - 1]}…"
    task = progress.add_task(shown, total=total, completed=done, figures="")

    def advance(done: int, total: int | None = None, **values: float) -> None:
        told = figures.format(**values) if values else ""
        progress.update(task, completed=done, total=total or None, figures=told)

    progress.start()
    try:
        yield advance
    finally:
        with suppress(OSError):  # of a terminal that was closed
            progress.stop()


class Lines:
    """In place of a bar, where there is no terminal: how far the work is, once a minute."""

    def __init__(self, title: str, total: int, figures: str, done: int, clock: Callable[[], float]):
        self.title, self.total, self.figures, self.clock = title, total, figures, clock
        self._begin(done)

    def __call__(self, done: int, total: int | None = None, **values: float) -> None:
        self.total = total or self.total
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)
        seconds = self.clock() - self.since
        if seconds < PATIENCE:
            return
        means = {name: fmean(found) for name, found in self.values.items()}
        words = [self.figures.format(**means)] if means else []
        if (rate := (done - self.done) / seconds) > 0:
            left = timedelta(seconds=round((self.total - done) / rate))
            words += [f"{rate:.3g} it/s", f"{left} left"]
        say(f"{self.title}: {done:,} of {self.total:,}, {', '.join(words)}".rstrip(", "))
        self._begin(done)

    def _begin(self, done: int) -> None:
        """From here on the next line counts."""
        self.since, self.done = self.clock(), done
        self.values: dict[str, list[float]] = {}
