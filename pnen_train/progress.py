"""Progress bars of the commands; silent where output is no terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True)


@contextmanager
def bar(title: str, total: int, figures: str = "") -> Iterator[Callable[..., None]]:
    """A bar of `total` steps; call what it gives with the steps done and the named figures of the format string `figures`."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"),
               TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()]  # fmt: skip
    with Progress(*columns, console=console, transient=not figures) as progress:
        task = progress.add_task(title, total=total, figures="")

        def advance(done: int, _total: int = 0, **values: float) -> None:
            progress.update(task, completed=done, figures=figures.format(**values) if values else "")

        yield advance
