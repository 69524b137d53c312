"""Table 2: what the scales of the block are worth. Rows are PNEN with reference pixels at these scales.

Usage: python tools/table2.py runs/* --on BSDS500/val
"""

import sys
from typing import Any

import click
from paper.command import show, smoothing_options
from paper.published import TABLE2

from pnen_runtime.commands import Command


@click.command(cls=Command)
@smoothing_options
def main(**how: Any) -> None:
    """Score every RUN (a run folder, a checkpoint, or a bundled name) against its filter, and print Table 2."""
    show(TABLE2, **how)


if __name__ == "__main__":
    sys.exit(main())
