"""A bar for the steps of an export or a build."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pnen_runtime.commands import printable


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar where stderr is a terminal: call what it gives with what is done, the steps done and the steps in all."""
    if not sys.stderr.isatty():  # where a bar would leave a blank line
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=escape(printable(what)), completed=done, total=total
        )
