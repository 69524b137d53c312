"""Proves on an NVIDIA card, line by line, that everything here runs, is right, and how fast it is.

Usage: make gpu-proof; or, where PyTorch and the card are on two machines, `prepare` on the one and `run` on the other.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click
from gpu_checks.lab import PREPARED, Lab
from gpu_checks.line import FAIL, SKIP, Outcome, perform
from gpu_checks.order import all_lines
from gpu_checks.process import perform_all
from gpu_checks.report import describe, one_line, summary, write_report
from gpu_checks.verdicts import Verdicts

from pnen_runtime.commands import Group
from pnen_runtime.errors import BackendMissing, PnenError, UsageError
from pnen_runtime.install import pip_install

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group(cls=Group)
def main() -> None:
    """Prove what only an NVIDIA card can prove."""


@main.command()
@click.argument("folder", type=FOLDER)
@click.option("--force", is_flag=True, help="Prepare again what is there.")
def prepare(folder: Path, force: bool) -> None:
    """Export the networks to FOLDER, with PyTorch's results. Needs PyTorch and no GPU, and takes minutes."""
    if (folder / PREPARED).is_file() and not force:
        click.echo(f"{folder} is prepared already; --force does it again")
        return
    try:
        from gpu_checks.prepare import networks
        from gpu_checks.prepare import prepare as write

        from pnen_export.cli import progress
    except ImportError as error:
        raise BackendMissing(f"preparing needs {error.name}; install it: {pip_install('export')}") from error
    with progress() as watch:
        sizes = write(folder, networks(), watch=watch)
    for name, size in sizes.items():
        click.echo(f"{size / 2**20:6.2f} MiB  {name}")
    click.echo(f"{sum(sizes.values()) / 2**20:6.2f} MiB  in all, in {folder}, to be run in a repository like this one")


@main.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--out", metavar="FOLDER", type=FOLDER, help="Write gpu_proof.json, gpu_proof.md and verdicts/LINE.json there."
)
@click.option("--only", metavar="WORDS", default="", help="Lines that contain one of these, separated by commas.")
@click.option("--time", "minutes", metavar="MINUTES", type=click.FloatRange(0), default=8.0, show_default=True,
              help="3, 8 and 30 are sizes, the most telling lines first; what does not fit is left out.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Take over what passed in --out on this machine, with the same files.")
@click.option("--list", "only_list", is_flag=True, help="Show the lines and end.")
def run(folder: Path, out: Path | None, only: str, minutes: float, resume: bool, only_list: bool) -> None:
    """Check everything that is installed here, on what `prepare` wrote to FOLDER. Needs no PyTorch.

    Exit codes: 0 nothing failed, 1 a line failed, 2 wrong usage, 4 there was nothing to check: no GPU, no package.
    """
    words = [word.strip() for word in only.split(",") if word.strip()]
    lines = [line for line in all_lines() if not words or any(word in str(line) for word in words)]
    if not lines:
        raise UsageError(f"no line contains {' or '.join(words)}; --list shows them")
    if only_list:
        for line in lines:
            click.echo(f"{line.minutes:2} min {line.seconds:4.0f} s  {line}")
        return
    if resume and out is None:
        raise UsageError("--resume goes on with the report of an earlier run; name it: --out FOLDER")
    if not (folder / PREPARED).is_file():
        raise UsageError(f"{folder} is not prepared: python tools/gpu_proof.py prepare {folder}, where PyTorch is")
    header = describe()
    for name, value in header.items():
        click.echo(f"{name}: {value}")
    for failed in folder.glob("engines/*/*.failed"):
        failed.unlink()
    outcomes: list[Outcome] = []
    verdicts = Verdicts(out, folder, header) if out else None
    passed = verdicts.passed() if verdicts and resume else {}

    def show(outcome: Outcome) -> None:
        outcomes.append(outcome)
        click.echo(one_line(outcome))
        begun = outcome.seconds or outcome.verdict != SKIP
        if out and verdicts and begun:  # after each line, so that a machine that is taken away leaves what was found
            if outcome.line not in passed:
                verdicts.keep(outcome)
            write_report(out, header, outcomes)

    perform_all(lines, folder.resolve(), minutes, show, passed)
    if out:
        write_report(out, header, outcomes)
    click.echo(summary(outcomes))
    failed_lines = [outcome.line for outcome in outcomes if outcome.verdict == FAIL]
    if failed_lines:
        raise PnenError(f"{len(failed_lines)} of {len(outcomes)} failed: {'; '.join(failed_lines)}")
    if all(outcome.verdict == SKIP for outcome in outcomes):
        raise BackendMissing(f"nothing could be checked here: {outcomes[0].reason}")


@main.command(hidden=True)
@click.argument("folder", type=FOLDER)
def worker(folder: Path) -> None:
    """Make the checks whose lines come in on standard input. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lines, lab = {str(line): line for line in all_lines()}, Lab(folder)
    for text in sys.stdin:
        outcome = perform(lines[text.rstrip("\n")], lab)
        print(json.dumps(outcome.to_json()), file=answers, flush=True)


if __name__ == "__main__":
    main()
