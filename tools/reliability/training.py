"""Checkpoints, recipes, runs to resume and caches, damaged, on the way `pnen-train` and `pnen-export` take them."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pnen_export.engine_cache import find_engine, keep_engine
from pnen_export.record import make_card
from pnen_train import checkpoint as checkpoints_of
from pnen_train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pnen_train.commands.options import scored_tasks
from pnen_train.config import Recipe, read_recipe, recipe_from
from pnen_train.data import on_device
from pnen_train.run_folder import RunFolder
from pnen_train.state import State, build_network
from pnen_train.step import objective_of, train_step
from pnen_train.targets import Maker
from pnen_train.tasks import task_of
from pnen_train.train import train

from .damage import ODD, RAW, Draw, Raw, as_json, damaged_bytes, damaged_value
from .models import CARDS, ENGINE
from .pictures import Wrong

CPU = torch.device("cpu")
SMALL = {"channels": 4, "stages": 1, "dilations": [1], "scales": [4], "key_channels": 2, "value_channels": 4}
SECTIONS: dict[str, Any] = {
    "network": {"name": "pnen", **SMALL, "init": "he"},
    "target": {"filter": "l0", "strength": 0.02},
    "data": {"crop": 16, "batch": 1},
    "optimiser": {"steps": 4, "learning_rate": 0.001, "average": 0.9, "schedule": "cosine"},
    "run": {"seed": 1, "evaluate_every": 2, "checkpoint_every": 1, "tile": 16, "tile_step": 16},
}
OTHERS = [
    {"network": {"name": "pnen", **SMALL}, "target": {"filter": "l0", "strengths": [0.002, 0.02, 0.2]}},
    {
        "network": {"name": "memnet", "channels": 4, "blocks": 1, "recursions": 1},
        "target": {"noise": 25},
        "optimiser": {"clip_step": 0.1},
    },
    {"network": {"name": "djf"}, "target": {"filter": "wmf", "sigma": 25.5}, "run": {"tile": "whole"}},
    {"extends": "pnen-l0-small", "network": {"channels": 4}, "optimiser": {"loss": "l1"}},
    SECTIONS,
]


def a_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 16, 20, 3), np.uint8)
    return pixels[0], pixels[1]


def _saved(found: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(found, buffer)
    return buffer.getvalue()


def _damaged_pt(data: bytes, draw: Draw) -> bytes:
    """A checkpoint with damaged bytes, with odd fields, or with damage inside that fits its checksums."""
    way = draw.choice(("bytes", "fields", "fields", "inside"))
    if way == "bytes" or draw.whole:
        return damaged_bytes(data, draw)
    if way == "fields":
        found = torch.load(io.BytesIO(data), weights_only=True)
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
        weight.to("meta"), found[name] * float("nan"), torch.zeros(1).expand(found[name].shape),
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
        found = load_checkpoint(path)
        found.model()
        make_card(found)
        for task in scored_tasks(found.training, None, ()).values():
            str(task.name)

    return trial


def recipes(folder: Path) -> Callable[[Draw], None]:
    """Read a damaged recipe, or a good one with an odd --set, as `pnen-train run --dry-run` does."""
    path, built = folder / "recipe.toml", set[str]()  # a network that comes again is not built again

    def trial(draw: Draw) -> None:
        sections, changes = draw.choice(OTHERS), []
        if draw.random() < 0.2 and not draw.whole:
            section = draw.choice(("network", "target", "data", "optimiser", "run", "", "new"))
            key = draw.choice([*sections.get(section, ()), "", "new", "name"])
            changes = [f"{section}.{key}={draw.choice([*RAW, *map(_toml, ODD)])}"]
            text = _as_toml(sections, draw).encode()
        else:
            text = _as_toml(damaged_value(sections, draw), draw).encode("utf-8", "surrogatepass")
            text = damaged_bytes(text, draw) if draw.random() < 0.3 else text
        path.write_bytes(text)
        plan = read_recipe(path, changes)
        network = json.dumps([plan.network, plan.target, plan.optimiser.loss])
        if network not in built:
            build_network(plan)
            built.add(network)
        task_of(plan.target)
        json.dumps(asdict(plan))

    return trial


def _as_toml(sections: Any, draw: Draw) -> str:
    if not isinstance(sections, dict):
        return _toml(sections)
    alone = {key: part for key, part in sections.items() if not isinstance(part, dict)}
    lines = [f"{_key(key)} = {_toml(value, draw)}" for key, value in alone.items()]
    for name, part in sections.items():
        if isinstance(part, dict):
            lines += [f"[{_key(name)}]", *(f"{_key(key)} = {_toml(value, draw)}" for key, value in part.items())]
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() else json.dumps(key)


def _toml(value: Any, draw: Draw | None = None) -> str:
    if draw and not draw.whole and draw.random() < 0.02:
        return draw.choice(RAW)
    if isinstance(value, Raw) or value is None:
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(str(key))} = {_toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value) if isinstance(value, (str, bool)) else repr(value)


def runs(folder: Path) -> Callable[[Draw], None]:
    """Go on for a step with a run whose last.pt, parts or metrics are damaged."""
    pairs, recipe = [a_pair(0)], recipe_from(SECTIONS)
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


def caches(folder: Path) -> Callable[[Draw], None]:
    """Targets and engines out of the caches, whose files or notes are damaged: the right one, or made anew."""
    image, _ = a_pair(2)
    maker, plan = Maker.of("l0", {}, folder / "targets"), b"ptrt" + bytes(range(200))
    right, key = maker.target(image), "0" * 32
    target, note = (next((folder / "targets/l0").glob(f"*{suffix}")) for suffix in (".png", ".json"))
    card = replace(CARDS[0], engine=ENGINE | {"built": {"plan_bytes": len(plan),
                                                        "plan_sha256": sha256(plan).hexdigest()}})  # fmt: skip
    keep_engine(folder / "engines", key, plan, card)
    engine, record = (folder / "engines" / f"{key}{suffix}" for suffix in (".engine", ".json"))
    goods = {path: path.read_bytes() for path in (target, note, engine, record)}

    def trial(draw: Draw) -> None:
        of_engine = draw.random() < 0.5
        file, own_note = (engine, record) if of_engine else (target, note)
        for path in (file, own_note):
            path.write_bytes(goods[path])
        if draw.random() < 0.5:
            file.write_bytes(damaged_bytes(goods[file], draw))
        if draw.random() < 0.7:
            own_note.write_bytes(as_json(damaged_value(json.loads(goods[own_note]), draw), draw))
        if of_engine:
            found = find_engine(folder / "engines", key)
            if found is not None and found[0] != plan:
                raise Wrong("the cache gave another engine than was kept")
            if found is None and draw.whole:
                raise Wrong("the cache lost an engine")
        elif not np.array_equal(maker.target(image), right):
            raise Wrong("the cache gave another target than the filter makes")

    return trial
