"""What several subcommands take."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pnen_runtime.errors import UsageError

from ..progress import bar
from ..targets import SMALLEST, Maker, Pair, load_pairs

THERE = click.Path(exists=True, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

model = click.argument("checkpoint", metavar="MODEL.pt")
images = click.argument("images", nargs=-1, required=True, type=THERE)
device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:NUMBER.")


class TileSize(click.ParamType):
    """ "whole" or a number of pixels."""

    name = "PIXELS|whole"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "whole" or isinstance(value, int):
            return value
        if not (value.isdecimal() and int(value) >= 16):
            self.fail(f'expected "whole" or at least 16 pixels, got "{value}"', param, ctx)
        return int(value)


def pairs_of(
    paths: Sequence[Path], maker: Maker | None, targets: Path | None = None, smallest: int = SMALLEST
) -> list[Pair]:
    """The pairs, behind a progress bar."""
    with bar("reading" if maker is None else f"{maker.filter} targets", len(paths)) as advance:
        return load_pairs(paths, maker, targets, smallest=smallest, progress=advance)


def maker_of(training: Mapping[str, Any], alternative: str = "") -> Maker:
    """What made the targets that a checkpoint with this record learnt from; UsageError where it does not say."""
    task = dict(training.get("task", {}))
    if "filter" not in task:
        raise UsageError(f"the checkpoint does not say which filter it learnt{alternative}")
    return Maker.of(task.pop("filter"), task)


def file_to_write(checkpoint: str) -> Path:
    """The checkpoint that `--write` changes; UsageError for a bundled one, which is asked for by name."""
    if not Path(checkpoint).is_file():
        raise UsageError(f"expected a file for --write, got {checkpoint}; copy the bundled model first")
    return Path(checkpoint)
