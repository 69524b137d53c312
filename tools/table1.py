"""Table 1: networks that imitate smoothing filters. Rows are networks, columns are the filters they learnt.

Usage: python tools/table1.py runs/* --on BSDS500/val
"""

import sys
from typing import Any

import click
from paper.command import show, smoothing_options
from paper.published import TABLE1

from pnen_runtime.commands import Command


@click.command(cls=Command)
@smoothing_options
def main(**how: Any) -> None:
    """Score every RUN (a run folder, a checkpoint, or a bundled name) against its filter, and print Table 1."""
    show(TABLE1, **how)


if __name__ == "__main__":
    sys.exit(main())
