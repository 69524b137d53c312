"""Where a bundled model comes from: its pictures, its licence, its training; nothing of the machine it was made on."""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paper.published import TABLE1
from paper.runs import TrainedRun

from pnen_runtime.errors import UsageError
from pnen_train.checkpoint import BUNDLED, load_checkpoint

from .recipes import command

# Photographs whose licence allows any use: how many there are, and under what they may be used.
FREE = {"free/train": (59, "CC0 and Unsplash licence"), "Kodak24": (24, "")}
LICENCES = {"CC0-1.0": "any use, no attribution needed", "Apache-2.0": "any use, the notice is kept"}
PUBLISHED = "the full-size PNEN on other photographs (Zhu et al. 2020, Table 1)"
SIZES = {1: "", 2: ", each in two sizes", 3: ", each in three sizes"}  # of `pnen-train pictures`
MORE = ({}, {"noisy": 2}, {"drawn": 2}, {"noisy": 2, "drawn": 2})  # for each photograph, instead of a third
ORDINALS = ("first", "second", "third", "fourth", "fifth")  # folders of trainings that went before, in runs
ABSOLUTE = re.compile(r"""(?:^|[\s"'=(,:])(~?/\w|[A-Za-z]:[\\/])""")  # a path that begins somewhere in a text


@dataclass(frozen=True)
class Given:
    """What only the person who bundles a model knows: photographs it was trained on, and under what its weights are."""

    trained_on: str  # names of FREE, with spaces between them
    licence: str  # one of LICENCES
    choose_on: str  # the folder of held-out photographs, as it is called in the record


def origin(run: TrainedRun, given: Given) -> dict[str, Any]:
    """The record of the run with its licence, its pictures, the commands that repeat it, its curve and its minutes.

    Raises UsageError for photographs that are not free, another number of pictures than these make, weights to start
    with that no clone has, and a record that holds a path of this machine.
    """
    training = deepcopy(dict(run.training))
    before = _name_the_start(training, run.name)
    training["licence"] = f"{given.licence}: {LICENCES[given.licence]}"
    training["trained_on"] = trained_on(training, given.trained_on.split())
    training["reproduce"] = reproduce(training, before, given)
    reached = TABLE1.figures.get(("PNEN", training["task"].get("filter", "").upper()))
    if reached:
        training["published"] = {"psnr": reached[0], "ssim": reached[1], "of": PUBLISHED}
    if run.seconds is not None:
        training["seconds"] = run.seconds
    if rows := curve(run):
        training["curve"] = rows
    refuse_paths(training, run.name)
    return training


@dataclass(frozen=True)
class Made:
    """What `pnen-train pictures` made of so many photographs: options that differ from its own, and the pictures."""

    sizes: int = 2
    more: tuple[tuple[str, int], ...] = ()
    pictures: int = 0

    @property
    def options(self) -> str:
        changed = {**({"sizes": self.sizes} if self.sizes != Made.sizes else {}), **dict(self.more)}
        return "".join(f" --{name} {value}" for name, value in changed.items())

    @property
    def folder(self) -> str:
        return "_".join(["pictures_in", str(self.sizes), *(f"{value}_{name}" for name, value in self.more)])


def reproduce(training: Mapping[str, Any], before: list[dict[str, Any]], given: Given) -> list[str]:
    """The commands that make the pictures and repeat the training, after those that went before it."""
    names = given.trained_on.split()
    made = [made_of(record, names) for record in (*before, training)]
    folders = {each: "pictures" if each == made[-1] else each.folder for each in made}
    clean = "" if "filter" in training["task"] else " --clean"
    return [*(f"pnen-train pictures {given.trained_on} {folder}{each.options}{clean}"
              for each, folder in folders.items()),
            f"pnen-train pictures {given.choose_on} holdout --sizes 1 --clean",
            *(f"{command(record['recipe'], folders[each], 'holdout')} --out runs/{ordinal}"
              for record, each, ordinal in zip(before, made[:-1], ORDINALS[: len(before)], strict=True)),
            command(training["recipe"], folders[made[-1]], "holdout")]  # fmt: skip


def trained_on(training: Mapping[str, Any], folders: list[str]) -> str:
    """How many pictures of which kind the network saw, in words, from what `pnen-train pictures` makes of FREE ones."""
    made = made_of(training, folders)
    count = sum(FREE[folder][0] for folder in folders)
    used, part = training["images"], training["recipe"]["data"].get("images", 0)
    if used != (min(part, made.pictures) or made.pictures):
        raise UsageError(f"expected a training on {min(part, made.pictures) or made.pictures} pictures, as "
                         f"`pnen-train pictures` makes of {' and '.join(folders)}, got one on {used}")  # fmt: skip
    sources = "; ".join(": ".join(filter(None, (folder, FREE[folder][1]))) for folder in folders)
    kinds = f"{count} photographs free for any use ({sources}){SIZES[made.sizes]}"
    if "filter" in training["task"]:
        noisy, drawn = _further(count, dict(made.more))
        kinds += f", {noisy} noisy pieces of them, {drawn} drawn pictures"
    return kinds if used == made.pictures else f"{used} of {made.pictures} pictures, spread evenly: {kinds}"


def made_of(training: Mapping[str, Any], folders: list[str]) -> Made:
    """What was made of all photographs, by how many pictures there are; as it usually is where that cannot be told."""
    if others := [folder for folder in folders if folder not in FREE]:
        raise UsageError(f"expected photographs free for any use ({', '.join(FREE)}), got {' '.join(others)}")
    count, part = sum(FREE[folder][0] for folder in folders), training["recipe"]["data"].get("images", 0)
    smoothing = "filter" in training["task"]
    ways = [Made(sizes, tuple(more.items()), count * sizes + sum(_further(count, more)) * smoothing)
            for more in (MORE if smoothing else MORE[:1]) for sizes in SIZES]  # fmt: skip
    found = [way for way in ways if training["images"] == (min(part, way.pictures) or way.pictures)]
    return found[0] if len(found) == 1 else next(way for way in ways if way.sizes == Made.sizes)


def _further(count: int, more: Mapping[str, int]) -> tuple[int, int]:
    """Noisy pieces and drawn pictures for so many photographs."""
    return count * more.get("noisy", 0) or -(-count // 3), count * more.get("drawn", 0) or count // 3


def _name_the_start(training: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """Weights that the training began with get the name of the bundled model that has them.

    Those of other trainings, whose checkpoints are still there, get names of ORDINALS, and what is known of them comes
    into the record; their records are returned, the earliest first. UsageError for weights that nobody can make again.
    """
    start = training.get("start")
    if start is None:
        return []
    there = {path.stem: path for path in sorted(BUNDLED.glob("*.pt"))}
    names = [name for name, path in there.items() if load_checkpoint(path).sha256() == start["sha256"]]
    if names:
        start["weights"] = training["recipe"]["optimiser"]["start"] = names[0]
        return []
    file = Path(start["weights"])
    found = load_checkpoint(file) if file.is_file() else None
    if found is None or found.sha256() != start["sha256"]:
        raise UsageError(f"{where}: expected a training that began with the weights of a bundled model, or of "
                         f"another run that is still there, so that others can repeat it, got other ones ({file.name})"
                         )  # fmt: skip
    before = deepcopy(found.training)
    earlier = _name_the_start(before, str(file))
    start["weights"] = f"runs/{ORDINALS[len(earlier)]}/best.pt"
    training["recipe"]["optimiser"]["start"] = start["weights"]
    start |= {key: before[key] for key in ("images", "pnen", "start") if key in before} | {"step": found.step}
    seconds = TrainedRun.of(str(file)).seconds
    start |= {} if seconds is None else {"seconds": seconds}
    return [*earlier, before]


def refuse_paths(record: Any, where: str) -> None:
    """UsageError where a text of the record holds an absolute path: what is shipped says nothing of this machine."""
    for name, text in _texts(record):
        if ABSOLUTE.search(text):
            raise UsageError(f"{where}: expected no path of this machine in its record, got {name} = {text!r}; train "
                             "with relative paths")  # fmt: skip


def _texts(found: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in the record with the name of its place; keys are texts too."""
    if isinstance(found, str):
        yield name, found
    elif isinstance(found, Mapping):
        for key, part in found.items():
            yield name or "a key", str(key)
            yield from _texts(part, f"{name}.{key}".lstrip("."))
    elif isinstance(found, list | tuple):
        for part in found:
            yield from _texts(part, name)


def curve(run: TrainedRun) -> list[dict[str, Any]]:
    """Step, validation PSNR in dB and seconds from the start, of each validation up to the checkpoint's step."""
    metrics = run.path.with_name("metrics.jsonl")
    whole_lines = metrics.read_text("utf-8").rpartition("\n")[0].splitlines() if metrics.is_file() else []
    rows = [json.loads(line) for line in whole_lines]
    return [
        {key: row[key] for key in ("step", "psnr", "seconds")}
        for row in rows
        if "psnr" in row and row["step"] <= run.checkpoint.step
    ]
