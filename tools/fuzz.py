"""Damages good files of every kind that is read, and counts what becomes of them: read, refused, or outside of both.

Usage: python tools/fuzz.py --cases 1000; a case is repeated by --kind KIND --seed SEED --only CASE.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from reliability.guard import HEADER, try_kind
from reliability.kinds import KINDS, trial_of
from reliability.worker import draw_of

from pnen_runtime.commands import Command, say
from pnen_runtime.errors import PnenError, UsageError
from pnen_train.progress import bar


@click.command(cls=Command)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Repeatable.  [default: all]")
@click.option("--seed", metavar="NUMBER", type=int, default=0, show_default=True)
@click.option("--cases", metavar="NUMBER", type=click.IntRange(min=1), default=1000, show_default=True,
              help="Of each kind.")  # fmt: skip
@click.option("--first", metavar="CASE", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--limit", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True), default=60, show_default=True,
              help="A case that takes longer is a hang.")  # fmt: skip
@click.option("--only", "case", metavar="CASE", type=click.IntRange(min=0), help="Try this case of one --kind here, in "
              "this process, and show its traceback.")  # fmt: skip
@click.option("--keep", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path), help="With --only: leave "
              "the damaged files there.")  # fmt: skip
@click.option("--undamaged", is_flag=True, help="Leave the files whole: then all must be read.")
def main(kinds: tuple[str, ...], seed: int, cases: int, first: int, limit: float, case: int | None, keep: Path | None,
         undamaged: bool) -> None:  # fmt: skip
    """Damage files by seeds: bits, cuts, insertions, odd fields; read them as the commands do, and print a table.

    Refused is what ends in one of our own errors; too large is a lack of memory (4 GB), which the commands report in
    one line too. OUTSIDE is any other exception, a crash, a hang, or a wrong result. Exit codes: 0 nothing was outside,
    1 something was, 2 wrong usage.
    """
    if case is not None:
        if len(kinds) != 1:
            raise UsageError(f"expected one --kind beside --only, got {len(kinds)}")
        return repeat(kinds[0], seed, case, keep, undamaged)
    if keep is not None:
        raise UsageError("--keep is for one case: name it by --only")
    click.echo(HEADER)
    faults = 0
    for kind in kinds or KINDS:
        with bar(kind, cases) as advance:
            tally = try_kind(kind, seed, range(first, first + cases), limit, whole=undamaged, watch=advance)
        say(tally.row())
        for why, found in sorted(tally.outside.items(), key=lambda item: -len(item[1])):
            say(f"outside, {len(found)} times: {why}; again by --kind {kind} --seed {seed} --only {found[0]}", err=True)
        faults += sum(map(len, tally.outside.values()))
        if undamaged and tally.counts["fine"] < cases:
            raise PnenError(f"{kind}: {cases - tally.counts['fine']} of {cases} whole files were not read")
    if faults:
        raise PnenError(f"{faults:,} cases ended outside of the documented errors")


def repeat(kind: str, seed: int, case: int, keep: Path | None, whole: bool) -> None:
    """One case in this process; its exception is the command's."""
    with tempfile.TemporaryDirectory(prefix="pnen-fuzz-") as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        trial_of(kind, folder)(draw_of(kind, seed, case, whole))
    say(f"{kind} case {case} of seed {seed}: read")


if __name__ == "__main__":
    sys.exit(main())
