"""The options that the tables share, and the way from them to the entries of a table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from pnen_runtime.errors import UsageError
from pnen_train.commands.options import FOLDER, THERE, TileSize, device, maker_of, pairs_of
from pnen_train.device import pick_device
from pnen_train.filters import VERSIONS
from pnen_train.targets import find_images, spread

from .page import Entry, as_csv, markdown
from .published import Table
from .runs import TrainedRun
from .scores import Inference, digest, measure


class TileWish(TileSize):
    """ "paper", "own", or what TileSize takes."""

    name = "paper|own|whole|PIXELS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value in ("paper", "own") else super().convert(value, param, ctx)


OPTIONS = (
    click.argument("runs", nargs=-1, required=True, metavar="RUN..."),
    click.option("--on", "folders", multiple=True, required=True, type=THERE, help="Images; may be given repeatedly."),
    click.option("--images", "count", metavar="NUMBER", type=click.IntRange(min=1), help="At most so many, spread "
                 "evenly, for a quick look.  [default: all]"),
    click.option("--tile", type=TileWish(), default="paper", show_default=True, help="How networks see an image: "
                 "the paper's way (tiles 96/40 for networks with non-local blocks, else whole), the checkpoint's own, "
                 "or all alike."),
    click.option("--csv", "comma", is_flag=True, help="Every figure on a line of its own, instead of Markdown."),
    device,
)  # fmt: skip


def options(command: Callable) -> Callable:
    """The arguments of every table of scores."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def smoothing_options(command: Callable) -> Callable:
    """Those of tables whose columns are filters."""
    ready = click.option("--targets", type=FOLDER, help="Ready targets of all runs; otherwise the filter that each "
                         "run learnt makes them, and keeps them.")  # fmt: skip
    return options(ready(command))


def show(table: Table, entries: Sequence[Entry], comma: bool) -> None:
    """Print it."""
    click.echo(as_csv(table, entries) if comma else markdown(table, entries), nl=not comma)


def smoothing_entries(
    runs: Sequence[str],
    folders: Sequence[Path],
    count: int | None,
    tile: Any,
    device: str,
    targets: Path | None = None,
) -> list[Entry]:
    """Each run scored against the filter it learnt, on all the images together."""
    place, found = pick_device(device), different(runs)
    paths = find_images(folders)
    paths = spread(paths, count) if count else paths
    data = " and ".join(map(data_name, folders))
    loaded: dict[str, Any] = {}
    entries = []
    for run in found:
        maker = maker_of(run.training)
        made_by = (maker.filter, VERSIONS[maker.filter], dict(maker.settings))
        images = digest(paths, made_by) if targets is None else digest([*paths, *find_images([targets])], "ready")

        def pairs(images: str = images, maker: Any = maker) -> Any:
            if images not in loaded:
                loaded[images] = pairs_of(paths, None if targets else maker, targets)
            return loaded[images]

        way = Inference.of(run, tile)
        title = f"{run.name} on {data}"
        entries.append(Entry(run, maker.filter.upper(), data, way, measure(run, images, pairs, way, place, title)))
    _same_targets(entries)
    return entries


def different(runs: Sequence[str]) -> list[TrainedRun]:
    """The runs, each once, however often it is named."""
    found = (TrainedRun.of(run) for run in runs)
    return list({run.checkpoint.sha256(): run for run in found}.values())


def _same_targets(entries: Sequence[Entry]) -> None:
    """UsageError where runs of one column learnt different strengths of a filter."""
    first: dict[str, Entry] = {}
    for entry in entries:
        other = first.setdefault(entry.column, entry)
        ours, theirs = (found.run.training["task"] for found in (entry, other))
        if ours != theirs:
            raise UsageError(f"expected the same settings of filter {entry.column} in all runs, got {theirs} in "
                             f"{other.run.name} and {ours} in {entry.run.name}; make two tables")  # fmt: skip


def data_name(folder: Path) -> str:
    """What to call a set of images: its folder, with the set's own name before a split's."""
    folder = folder.resolve()
    split = folder.name.lower() in ("train", "val", "test", "validation", "images")
    name = f"{folder.parent.name}/{folder.name}" if split else folder.name
    return f"{name} (BSDS500 stand-in)" if "bsds500" in name.lower() else name
