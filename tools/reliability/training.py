"""Checkpoints and runs to resume, damaged, on the way that `pnen-train` and `pnen-export` take them."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pnen_export.record import make_card
from pnen_runtime.checkpoint_record import read_record
from pnen_runtime.errors import CheckpointError
from pnen_runtime.inspecting import of_training
from pnen_train import checkpoint as checkpoints_of
from pnen_train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pnen_train.commands.options import scored_tasks
from pnen_train.config import Recipe, recipe_from
from pnen_train.data.batches import on_device
from pnen_train.training.run_folder import RunFolder
from pnen_train.training.state import State, build_network
from pnen_train.training.step import objective_of, train_step
from pnen_train.training.train import train

from .damage import Draw, damaged_bytes, damaged_value
from .recipes import OTHERS, SECTIONS

CPU = torch.device("cpu")


def a_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 16, 20, 3), np.uint8)
    return pixels[0], pixels[1]


def _saved(found: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(found, buffer)
    return buffer.getvalue()


@lru_cache(maxsize=8)
def _fields(data: bytes) -> dict[str, Any]:
    return torch.load(io.BytesIO(data), weights_only=True)


def _damaged_pt(data: bytes, draw: Draw) -> bytes:
    """A checkpoint with damaged bytes, with odd fields, or with damage inside that fits its checksums."""
    way = draw.choice(("bytes", "fields", "fields", "inside"))
    if way == "bytes" or draw.whole:
        return damaged_bytes(data, draw)
    if way == "fields":
        found = dict(_fields(data))
        weights = found.pop("weights")
        found = damaged_value(found, draw)
        if isinstance(found, dict):
            found["weights"] = _odd_weights(weights, draw) if draw.random() < 0.2 else weights
        return _saved(found)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for entry in old.infolist():
            inner = old.read(entry)
            new.writestr(entry, damaged_bytes(inner, draw) if entry.filename.endswith("data.pkl") else inner)
    return buffer.getvalue()


def _odd_weights(weights: dict[str, torch.Tensor], draw: Draw) -> Any:
    found, name = dict(weights), draw.choice(list(weights))
    weight = found[name].reshape(-1, 1)
    found[name] = draw.choice((
        weight.half(), weight.double(), weight.to(torch.complex64), weight.bool(), weight, weight[:0],
        weight.to("meta"), found[name] * float("nan"), torch.zeros(()).expand(found[name].shape),
        torch.zeros(1).expand(3000, 3000, 3, 3), weight.to_sparse(), None, found[name].to(torch.int64), weight.tolist(),
    ))  # fmt: skip
    return draw.choice((found, found, found, list(found.values()), {}, {key: found[key] for key in list(found)[1:]}))


def checkpoints(folder: Path) -> Callable[[Draw], None]:
    """Read a damaged checkpoint, make its network, its card and its task."""
    files, path = [], folder / "model.pt"
    for sections in (SECTIONS, *OTHERS[:2]):
        recipe = recipe_from(sections)
        training = {"task": recipe.target, "crop": 16, "tile": 32, "tile_step": 24, "scores": {"rows": {}}}
        save_checkpoint(path, Checkpoint.of(recipe.network["name"], build_network(recipe), step=3, training=training))
        files.append(path.read_bytes())

    def trial(draw: Draw) -> None:
        path.write_bytes(_damaged_pt(draw.choice(files), draw))
        with suppress(CheckpointError):  # as `pnen-smooth inspect` reads it
            list(of_training(read_record(path)[2]))
        found = load_checkpoint(path)
        found.model()
        make_card(found)
        for task in scored_tasks(found.training, None, ()).values():
            str(task.name)

    return trial


def runs(folder: Path) -> Callable[[Draw], None]:
    """Go on for a step with a run whose last.pt, parts or metrics are damaged."""
    pairs = [a_pair(0)]
    recipe = recipe_from(SECTIONS | {"network": SECTIONS["network"] | {"scales": []}})  # opened in half the time
    good = folder / "good"
    checkpoints_of.LARGEST = 20_000  # so that small networks have parts too
    with_parts = _begun(recipe, pairs, good / "parts")
    checkpoints_of.LARGEST = 8_000_000
    whole = _begun(recipe, pairs, good / "whole")

    def trial(draw: Draw) -> None:
        out = folder / "run"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(draw.choice((with_parts, whole, whole)), out)
        last = out / "last.pt"
        if draw.random() < 0.8:
            last.write_bytes(_damaged_pt(last.read_bytes(), draw))
        file = draw.choice([path for path in sorted(out.iterdir()) if path != last])
        if draw.random() < 0.5:
            file.write_bytes(damaged_bytes(file.read_bytes(), draw))
        state = State.resumed(last, recipe, pairs, CPU)
        files = RunFolder(out)
        files.start(state.recipe, state.step, state.training.get("fitted"))
        files.close()
        for row in files.metrics.read_text(encoding="utf-8").splitlines():
            json.loads(row)
        if not state.finished:
            train_step(state, on_device(pairs, CPU), objective_of(state, CPU))
        state.checkpoint(resumable=True)

    return trial


def _begun(recipe: Recipe, pairs: list[Any], out: Path) -> Path:
    """The folder of a run that came half way, without what TensorBoard reads."""
    half = replace(recipe, optimiser=replace(recipe.optimiser, steps=2))
    train(half, pairs, pairs, out, device="cpu")
    found = torch.load(out / "last.pt", weights_only=True)
    found["resume"]["recipe"] = json.dumps(asdict(recipe))
    (out / "last.pt").write_bytes(_saved(found))
    for file in out.glob("events.*"):
        file.unlink()
    shutil.rmtree(out / "pictures")
    return out
