"""The options that the tables share, and the way from them to the entries of a table."""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import click

from pnen_runtime.errors import UsageError
from pnen_train.commands.options import FOLDER, THERE, TileSize, device, pairs_of
from pnen_train.data.filters import VERSIONS
from pnen_train.data.targets import Pair, find_images, spread
from pnen_train.data.tasks import Task, resolve_target, task_of
from pnen_train.device import pick_device

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


def show(table: Table, runs: Sequence[str], folders: Sequence[Path], comma: bool, **how: Any) -> None:
    """Measure what was not measured before, and print the table."""
    found = entries(table, runs, folders, **how)
    click.echo(as_csv(table, found) if comma else markdown(table, found), nl=not comma)


def entries(
    table: Table,
    runs: Sequence[str],
    folders: Sequence[Path],
    count: int | None,
    tile: Any,
    device: str,
    targets: Path | None = None,
) -> list[Entry]:
    """Each run scored on the pictures: the columns are the filters that the runs learnt, or else the folders."""
    place, found = pick_device(device), different(runs)
    sets = [folders] if table.task == "filter" else [[folder] for folder in folders]
    for run in found:
        _check_task(table, run)
    loaded: dict[str, list[Pair]] = {}
    rows = []
    for run, together in product(found, sets):
        paths = find_images(together)
        paths = spread(paths, count) if count else paths
        learnt, task = resolve_target(run.training["task"]), task_of(run.training["task"], targets)
        ready = find_images([targets]) if targets else []
        images = digest([*paths, *ready], learnt, VERSIONS.get(learnt.get("filter", "")), bool(targets))

        def pairs(images: str = images, task: Task = task, paths: list[Path] = paths) -> list[Pair]:
            if images not in loaded:
                loaded[images] = pairs_of(task.scored, task.name, paths)
            return loaded[images]

        way, data = Inference.of(run, tile), " and ".join(map(data_name, together))
        measured = measure(run, images, pairs, task, way, place, f"{run.name} on {data}")
        column = learnt["filter"].upper() if table.task == "filter" else column_of(table, together[0])
        rows.append(Entry(run, column, data, task.nothing_name, way, measured))
    _check_same(rows)
    return rows


def different(runs: Sequence[str]) -> list[TrainedRun]:
    """The runs, each once, however often it is named."""
    found = (TrainedRun.of(run) for run in runs)
    return list({str((run.checkpoint.sha256(), run.settings, run.training.get("task"))): run for run in found}.values())


def _check_task(table: Table, run: TrainedRun) -> None:
    """UsageError for a run that has no place in this table."""
    learnt = run.training.get("task", {})
    if table.task not in learnt or (table.figure and learnt[table.task] != table.figure):
        wanted = f"{table.task} = {table.figure}" if table.figure else f"a {table.task}"
        got = " ".join(f"{key} = {value}" for key, value in learnt.items()) or "none"
        raise UsageError(f"{run.path}: expected a network that learnt {wanted} for Table {table.number}, got {got}")


def _check_same(entries: Sequence[Entry]) -> None:
    """UsageError where runs of one column learnt different strengths of a filter."""
    first: dict[str, Entry] = {}
    for entry in entries:
        other = first.setdefault(entry.column, entry)
        ours, theirs = (resolve_target(found.run.training["task"]) for found in (entry, other))
        if ours != theirs:
            raise UsageError(f"expected the same settings of filter {entry.column} in all runs, got {theirs} in "
                             f"{other.run.name} and {ours} in {entry.run.name}; make two tables")  # fmt: skip


def data_name(folder: Path) -> str:
    """What to call a set of images: its folder, with the set's own name before a split's."""
    folder = folder.resolve()
    split = folder.name.lower() in ("train", "val", "test", "validation", "holdout", "images")
    return f"{folder.parent.name}/{folder.name}" if split else folder.name


def column_of(table: Table, folder: Path) -> str:
    """The paper's name of a set where it has one; BSD100 is BSDS500/val, pixel for pixel."""
    name = data_name(folder)
    return "BSD100" if name == "BSDS500/val" and "BSD100" in table.columns else name
