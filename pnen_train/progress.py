"""What a command shows while it works: a bar on a terminal, plain lines in a log file."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
from rich.text import Text

from pnen_runtime.commands import printable

console = Console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")  # of several processes the first speaks


class Rate(ProgressColumn):
    """Steps per second over the last half minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.3g} it/s" if task.speed else "")


def say(line: str) -> None:
    """Print a line above the bar, or into the log, as it is: not wrapped, coloured or read as markup."""
    console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def bar(title: str, total: int, figures: str = "", done: int = 0) -> Iterator[Callable[..., None]]:
    """A bar of `total` steps, `done` of them before; call what it gives with steps done and the values of `figures`.

    `figures` is a format string, such as "loss {loss:.4f}"; with it the bar stays when all is done. Without a terminal
    there is no bar.
    """
    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()]
    if figures:
        columns += [TextColumn("{task.fields[figures]}", markup=False), Rate()]
    columns += [TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()]
    progress = Progress(*columns, console=console, transient=not figures, disable=not console.is_terminal)
    with progress:
        task = progress.add_task(printable(title), total=total, completed=done, figures="")

        def advance(done: int, _total: int = 0, **values: float) -> None:
            progress.update(task, completed=done, figures=figures.format(**values) if values else "")

        yield advance
