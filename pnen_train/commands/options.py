"""What several subcommands take."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pnen_runtime.errors import CheckpointError, UsageError

from ..data.pictures import read_picture
from ..data.targets import EITHER, SMALLEST, Pair, by_stem, find_images, ready_target
from ..data.tasks import Load, Task, of_strength, resolve_target, strengths_of, task_of, usual_strength
from ..data.usable import usable
from ..progress import bar

THERE = click.Path(exists=True, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

model = click.argument("checkpoint", metavar="MODEL.pt")
images = click.argument("images", nargs=-1, required=True, type=THERE)
targets = click.option("--targets", type=FOLDER, help="Ready targets; otherwise the task that the network learnt makes "
                       "them.")  # fmt: skip
skip_bad = click.option("--skip-bad", is_flag=True, help="Leave out, with a warning, pictures that cannot be read "
                        "or are too small.")  # fmt: skip
SKIP_BAD = ", or add --skip-bad"
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


def usable_of(
    least: Mapping[Path, int], ready: Path | None = None, *, skip: bool = False, remedy: str = ""
) -> list[Path]:
    """The pictures that can be read, have so many pixels a side and, where targets are ready, one; see `usable`."""
    named = by_stem(find_images([ready]), EITHER) if ready is not None else {}

    def check(path: Path) -> None:
        image = read_picture(path, least[path])
        if ready is not None:
            ready_target(path, image, named, ready)

    with bar("looking at pictures", len(least)) as advance:
        return usable(list(least), check, skip=skip, remedy=remedy, progress=advance)


def pairs_of(load: Load, name: str, paths: Sequence[Path], smallest: int = SMALLEST) -> list[Pair]:
    """What `load` makes of the pictures, behind a progress bar of this name."""
    with bar(name, len(paths)) as advance:
        return load(paths, smallest, advance)


def task_learnt(training: Mapping[str, Any], ready: Path | None = None) -> Task:
    """The task of a checkpoint with this record; CheckpointError where it says none that there can be.

    With ready targets it need not say. A user's function is looked for in the working folder, and run when targets are
    made, if its source is the one that the network learnt.
    """
    task = training.get("task") or {}
    if not task and ready is None:
        raise CheckpointError(
            "the checkpoint does not say which filter it learnt; score it with evaluate and --targets"
        )
    try:
        task = resolve_target(task)
        if task.get("strengths"):
            usual_strength(task)
    except UsageError as error:
        raise CheckpointError(f"the checkpoint does not say what it learnt: {error}") from error
    return task_of(task, ready)


# Strengths of Fan et al. 2018, "Decoupled learning", and those that denoisers are usually compared at
EVALUATED = {"l0": (0.002, 0.004, 0.02, 0.093, 0.2), "noise": (15, 25, 50)}


def scored_tasks(
    training: Mapping[str, Any], ready: Path | None, strengths: Sequence[float]
) -> dict[float | None, Task]:
    """The task of each strength at which a checkpoint with this record is scored; one of one strength is under None."""
    learnt = task_learnt(training, ready)
    if not (training.get("task") or {}).get("strengths"):
        if strengths:
            raise UsageError("the network knows one strength; leave out --strengths")
        return {None: learnt}
    task = training["task"]
    least, most = strengths_of(task)
    kind = "noise" if "noise" in task else task.get("filter", "")
    for strength in strengths:
        check_strength(training, strength)
    usual = [strength for strength in EVALUATED.get(kind, ()) if least <= strength <= most]
    asked = strengths or usual or (least, usual_strength(task), most)
    return {strength: task_of(of_strength(task, strength)) for strength in asked}


def check_strength(training: Mapping[str, Any], strength: float) -> None:
    """UsageError where an adjustable network with this record does not know it: what it gives there means nothing."""
    least, most = strengths_of(training["task"])
    if not least <= strength <= most:
        raise UsageError(f"expected a strength from {least:g} to {most:g}, which the network learnt, got {strength:g}")


def check_tiles(tile: int | str, step: int | None) -> None:
    """UsageError for a `--tile-step` that does not go with the tile, which would show after minutes of targets."""
    if step is not None and tile == "whole":
        raise UsageError("--tile-step is for tiles, and --tile is whole; leave it out")
    if isinstance(tile, int) and step is not None and step > tile:
        raise UsageError(f"expected --tile-step from 1 to {tile}, a tile, got {step}")


def file_to_write(checkpoint: str) -> Path:
    """The checkpoint that `--write` changes; UsageError for a bundled one, which is asked for by name."""
    if not Path(checkpoint).is_file():
        raise UsageError(f"expected a file for --write, got {checkpoint}; copy the bundled model first")
    return Path(checkpoint)
