"""Table 5: super-resolution by 3. Rows are MemNet, a deeper one, and one with blocks; columns are folders.

Usage: python tools/table5.py runs/memnet* --on Set5 --on Set14 --on BSDS500/val  # which is BSD100
"""

import sys
from typing import Any

import click
from paper.command import options, show
from paper.published import TABLE5

from pnen_runtime.commands import Command


@click.command(cls=Command)
@options
def main(**how: Any) -> None:
    """Score every RUN (a run folder, a checkpoint, or a bundled name) on every folder, and print Table 5."""
    show(TABLE5, **how)


if __name__ == "__main__":
    sys.exit(main())
