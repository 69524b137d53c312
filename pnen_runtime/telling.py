"""What a command says of its work: result lines or JSON, warnings, a progress bar, or nothing."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from .commands import say
from .tiles import Progress


@dataclass(frozen=True)
class Done:
    """What became of one picture or video; `str` of it is the line about it."""

    input: str
    output: str
    width: int
    height: int
    seconds: float
    peak_mb: float
    frames: int | None = None  # of what moves or has pages
    strength: float | None = None  # that was estimated
    depth: str = "8 bits"

    def __str__(self) -> str:
        size, pace = f"{self.width}x{self.height}", ""
        if self.frames is not None:
            size, pace = f"{self.frames} frames of {size}", f", {self.frames / max(self.seconds, 1e-3):.1f} a second"
        told = "" if self.strength is None else f"  strength {self.strength:.1f}, estimated"
        told += "" if self.depth == "8 bits" else f"  in {self.depth}"
        return f"{self.input} -> {self.output}  {size} in {self.seconds:.1f} s{pace}, peak {self.peak_mb:.0f} MB{told}"


@dataclass
class Teller:
    """Says it on stdout, or on stderr where stdout is the picture (`err`)."""

    quiet: bool = False
    as_json: bool = False
    err: bool = False

    def begins(self, info: object) -> None:
        """The line about the model."""
        if not self.quiet and not self.as_json:
            say(str(info), err=self.err)

    def done(self, done: Done) -> None:
        if self.as_json:
            row = {key: value for key, value in asdict(done).items() if value is not None}
            say(json.dumps(row | {"seconds": round(done.seconds, 3), "peak_mb": round(done.peak_mb)}), err=self.err)
        elif not self.quiet:
            say(str(done), err=self.err)

    def failed(self, picture: Path, error: Exception, *, alone: bool) -> None:
        """Of one picture; of one that is `alone` the command's own line says it, but not to who reads JSON."""
        told = str(error) or "not enough memory"
        if self.as_json:
            say(json.dumps({"input": str(picture), "error": told}), err=self.err)
        if alone:
            return
        say(f"failed {told if str(picture) in told else f'{picture}: {told}'}", err=True)

    @contextmanager
    def bar(self, unit: str) -> Iterator[Progress | None]:
        """A bar on stderr where that is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
            task = bar.add_task(unit, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def telling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-q`, `-v` and `--json`; the command gets a `Teller` as `teller`."""

    @click.option("-q", "--quiet", is_flag=True, help="No result lines, no progress bar; warnings and failures stay.")
    @click.option("-v", "--verbose", is_flag=True, help="Also what is decided on the way: tiles, strengths, backends.")
    @click.option("--json", "as_json", is_flag=True, is_eager=True, help="A line of JSON for each picture in place of "
                  "result lines.")  # fmt: skip
    @wraps(command)
    def with_all(*, quiet: bool, verbose: bool, as_json: bool, **others: Any) -> Any:
        if verbose:
            _show_everything(click.get_current_context())
        return command(teller=Teller(quiet, as_json), **others)

    return with_all


def _show_everything(context: click.Context) -> None:
    """Let the log's handlers show all levels until the command ends."""
    log = logging.getLogger("pnen")
    parts: list[Any] = [log, *log.handlers]
    before = [(part, part.level) for part in parts]
    for part, _ in before:
        part.setLevel(logging.DEBUG)

    def restore() -> None:
        for part, level in before:
            part.setLevel(level)

    context.call_on_close(restore)
