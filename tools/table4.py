"""Table 4: denoising at sigma 25. Rows are RDN, a deeper one, and one with non-local blocks; columns are folders.

Usage: python tools/table4.py runs/rdn* --on Set12 --on BSD68
"""

import sys
from typing import Any

import click
from paper.command import options, show
from paper.published import TABLE4

from pnen_runtime.commands import Command


@click.command(cls=Command)
@options
def main(**how: Any) -> None:
    """Score every RUN (a run folder, a checkpoint, or a bundled name) on every folder, and print Table 4."""
    show(TABLE4, **how)


if __name__ == "__main__":
    sys.exit(main())
