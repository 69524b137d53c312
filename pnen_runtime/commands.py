"""What the commands of all three packages share: one line per failure, the exit code, `-h`, `--version`, `--debug`."""

from __future__ import annotations

import errno
import logging
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import click

from .errors import PnenError
from .signals import terminable

SIGNALLED = 128  # and the signal's number: what a shell reports
LONGEST, BEGIN, END = 2000, 1500, 300  # characters of a failure, and of one that is longer what is shown of it


class Failure(click.ClickException):
    """One line on stderr, and an exit code; of a line without end, as a value in a broken file makes it, the ends."""

    def __init__(self, message: str, exit_code: int):
        line = printable(" ".join(message.split()))
        if len(line) > LONGEST:
            line = f"{line[:BEGIN]} [{len(line) - BEGIN - END:,} characters left out] {line[-END:]}"
        super().__init__(line)
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        with suppress(OSError):  # of a terminal that was closed; the exit code still tells
            super().show(file)


def printable(text: str) -> str:
    """One line that any terminal shows as it is: names and cards may hold escape sequences and broken characters."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text
    )


def say(line: str, *, err: bool = False) -> None:
    """Print a line; what the terminal's encoding lacks is shown by its number."""
    # print and not click.echo, which would write into a progress bar
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(printable(line).encode(encoding, "backslashreplace").decode(encoding), file=stream)


class Plain(logging.StreamHandler):  # type: ignore[type-arg]  # Python 3.10 cannot subscript it
    """Warnings on stderr as Python prints them by default, but for what a terminal would obey."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage(), err=True)


@contextmanager
def _warnings_shown() -> Iterator[None]:
    log = logging.getLogger("pnen")
    if not log.hasHandlers():
        log.addHandler(Plain(logging.WARNING))
    with warnings.catch_warnings():  # Pillow's, about metadata: without the place in its source
        warnings.showwarning = lambda message, *_, **__: log.warning("%s", message)
        yield


class Reporting(click.Command):
    """A command whose failures are one line; a traceback comes only with `--debug`."""

    def __init__(self, *args: Any, **settings: Any):
        settings.setdefault("context_settings", {}).setdefault("help_option_names", ["-h", "--help"])
        super().__init__(*args, **settings)
        self.params += [
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_print_version,
                help="Show the version and exit.",
            ),
            click.Option(
                ["--debug"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_set_debug,
                help="Show the traceback of a failure.",
            ),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _reported(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _warnings_shown(), _reported(ctx), terminable():
            return super().invoke(ctx)


class Command(Reporting):
    """`@click.command(cls=Command)`: a click command that reports its failures in one line."""


class Group(Reporting, click.Group):
    """`@click.group(cls=Group)`: the same for a group; its `.command()` makes a `Command`."""

    command_class = Command


@contextmanager
def _reported(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:  # a group alone: its help
        raise
    except click.UsageError as error:  # click would print three lines more
        place = error.ctx or ctx
        raise Failure(
            f"{error.format_message()} ({place.command_path} --help shows the usage)", error.exit_code
        ) from None
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except (Exception, KeyboardInterrupt) as error:
        if getattr(error, "errno", None) == errno.EPIPE:
            raise  # the reader of our output went away; click ends quietly
        if ctx.find_root().meta.get("pnen.debug"):
            click.echo(traceback.format_exc(), err=True, nl=False)
        raise _failure(error) from error


def _failure(error: BaseException) -> Failure:
    """The line and the exit code for what went wrong."""
    if isinstance(error, PnenError):
        return Failure(str(error) or type(error).__name__, error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return Failure("interrupted", SIGNALLED + getattr(error, "number", signal.SIGINT))
    if isinstance(error, MemoryError):
        return Failure(f"not enough memory: {error}" if str(error) else "not enough memory", 1)
    if isinstance(error, OSError) and error.strerror:
        return Failure(f"{error.filename}: {error.strerror}" if error.filename else error.strerror, 1)
    return Failure(f"unexpected {type(error).__name__}: {error} (--debug shows where)", 1)


def version() -> str:
    """The installed version of `pnen`, or "unknown" in a source folder that was never installed."""
    from importlib import metadata  # slow to import, seldom asked

    try:
        return metadata.version("pnen")
    except metadata.PackageNotFoundError:
        return "unknown"


def _print_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(f"{ctx.find_root().info_name} {version()}")
        ctx.exit()


def _set_debug(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked:
        ctx.find_root().meta["pnen.debug"] = True
