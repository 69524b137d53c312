"""Many runs from many threads, over Smoothers that open and close: every result must be what one thread gives.

Usage: python tools/soak.py --runs 10000 --threads 8
"""

from __future__ import annotations

import sys

import click
from reliability.soaking import KEPT, Soak, Use

from pnen_runtime.commands import Command, say
from pnen_runtime.errors import PnenError

GROWTH = 64.0  # megabytes: the allocator keeps some for every thread, and a session that leaks holds 2 of them


@click.command(cls=Command)
@click.option("--runs", metavar="NUMBER", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--threads", metavar="NUMBER", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--model", metavar="NAME|PATH", default="wmf-fast", show_default=True)
@click.option("--seed", metavar="NUMBER", type=click.IntRange(min=0), default=0, show_default=True, help="Of the "
              "pictures' pixels.")  # fmt: skip
def main(runs: int, threads: int, model: str, seed: int) -> None:
    """Smooth small pictures of every shape and type from many threads, and compare bit by bit with one thread.

    All threads share a Smoother; by turns each opens one of its own, for ten runs. Memory, open files and threads are
    compared from when all is warm to the end. Exit codes: 0 done, 1 something differed, failed or grew, 2 wrong usage.
    """
    soak = Soak.of(model, seed)
    warm = max(runs // 4, threads * 2 * KEPT)
    soak.run(warm, threads)
    before, opened = Use.now(), soak.opened
    soak.run(runs, threads)
    after = Use.settled(before.threads if before else 0)
    soak.shared.close()
    say(f"{runs:,} runs of {model} from {threads} threads, {soak.opened - opened:,} Smoothers opened and closed: "
        f"{len(soak.faults)} differ from one thread's or failed")  # fmt: skip
    say(f"before, after {warm:,} runs to get warm: {before or 'this system does not tell'}")
    say(f"after: {after or 'this system does not tell'}")
    faults = soak.faults[:5]
    if before and after:
        faults += [f"{after.megabytes - before.megabytes:.0f} MB more"] * (after.megabytes > before.megabytes + GROWTH)
        faults += [f"{after.handles - before.handles} more open files"] * (after.handles > before.handles)
        faults += [f"{after.threads - before.threads} more threads"] * (after.threads > before.threads)
    if faults:
        raise PnenError("; ".join(faults))


if __name__ == "__main__":
    sys.exit(main())
