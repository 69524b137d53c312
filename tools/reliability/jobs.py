"""What is killed and starved: a training, an export and a folder of pictures, each small, and what they leave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tomllib
from PIL import Image

from pnen_export.cli import main as export_command
from pnen_export.onnx_file import read_onnx
from pnen_runtime.cli import smooth as smooth_command
from pnen_runtime.files import TEMPORARY
from pnen_runtime.onnx_check import graph_sha256
from pnen_train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pnen_train.cli import main as train_command
from pnen_train.config import recipe_from
from pnen_train.training.state import build_network

RECIPE = """
[network]
name = "pnen"
channels = 4
stages = 1
dilations = [1]
scales = [4]
key_channels = 2
value_channels = 4
[data]
crop = 16
batch = 1
[optimiser]
steps = 12
[run]
evaluate_every = 4
checkpoint_every = 3
validation_images = 1
tile = 16
tile_step = 16
"""


@dataclass(frozen=True)
class Job:
    """A command on files in a folder, and how to look at what it leaves in `out` there."""

    name: str
    call: Callable[[Path, bool], None]  # on this folder; again, where it was killed before
    input: str  # what it reads in the folder
    look: Callable[[Path], dict[str, str]]  # the files in `out` by name, each whole: what is the same in every run


def prepare(folder: Path) -> None:
    """The inputs of all jobs."""
    (folder / "pictures").mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    random = np.random.default_rng(0)
    for number in range(4):
        pixels = random.integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png", dpi=(72, 72))
    network = build_network(recipe_from(tomllib.loads(RECIPE)))
    save_checkpoint(folder / "model.pt", Checkpoint.of("pnen", network, training={"task": {"filter": "l0"}}))


def _train(folder: Path, again: bool) -> None:
    resume = ["--resume"] if again and (folder / "out/last.pt").is_file() else []
    words = ["run", folder / "recipe.toml", folder / "pictures", "--out", folder / "out", "--device", "cpu",
             "--threads", 1, *resume]  # fmt: skip
    train_command(list(map(str, words)))


def _export(folder: Path, again: bool) -> None:
    export_command([str(folder / "model.pt"), "--out", str(folder / "out"), "--engine", "none", "--target", "ort"])


def _smooth(folder: Path, again: bool) -> None:
    words = [folder / "pictures", folder / "out", "--model", "wmf-fast", "--threads", 1, *["--overwrite"] * again]
    smooth_command(list(map(str, words)))


def files(out: Path) -> list[Path]:
    """The files that are there under a name of their own."""
    return [path for path in sorted(out.rglob("*")) if path.is_file() and not TEMPORARY.match(path.name)]


def temporaries(folder: Path) -> list[Path]:
    """What was left half written."""
    return [path for path in sorted(folder.rglob("*")) if TEMPORARY.match(path.name)]


def _look_at_run(out: Path) -> dict[str, str]:
    found = {}
    for path in files(out):
        name = str(path.relative_to(out))
        if path.suffix == ".pt":
            checkpoint = load_checkpoint(path, to_resume=path.name == "last.pt")
            checkpoint.model()
            found[name] = f"{checkpoint.step} {checkpoint.sha256()}"
        elif path.suffix == ".png":
            found[name] = _pixels(path)
        elif path.suffix == ".json":
            found[name] = json.dumps(json.loads(path.read_text()))
        elif path.suffix == ".jsonl":  # rows are added one by one: the last may be torn, until the run goes on
            rows = [json.loads(row) for row in path.read_text().splitlines(keepends=True) if row.endswith("\n")]
            found[name] = json.dumps([{key: row[key] for key in row if key != "seconds"} for row in rows])
    return found


def _look_at_export(out: Path) -> dict[str, str]:
    found = {}
    for path in files(out):
        file = read_onnx(path)
        if not file.card.parity:
            raise ValueError(f"{path.name} has its name before it was proven")
        found[path.name] = graph_sha256(file.data)
    return found


def _look_at_pictures(out: Path) -> dict[str, str]:
    return {path.name: _pixels(path) for path in files(out)}


def _pixels(path: Path) -> str:
    with Image.open(path) as image:
        return hashlib.sha256(np.asarray(image).tobytes()).hexdigest()


JOBS = {
    job.name: job
    for job in (
        Job("train", _train, "pictures", _look_at_run),
        Job("export", _export, "model.pt", _look_at_export),
        Job("smooth", _smooth, "pictures", _look_at_pictures),
    )
}
