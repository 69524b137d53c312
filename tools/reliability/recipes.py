"""Recipes and changes of their settings, damaged, on the way that `pnen-train run` takes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pnen_train.config import read_recipe
from pnen_train.data.own_filter import with_source
from pnen_train.data.tasks import task_of
from pnen_train.training.start import begin_with
from pnen_train.training.state import build_network

from .damage import ODD, RAW, Draw, Raw, damaged_bytes, damaged_value

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
    {
        "network": {"name": "pnen", **SMALL, "grid": 2},
        "target": {"function": "own_function:faded", "strength": 0.5, "strengths": [0.25, 0.5]},
        "optimiser": {"start": ""},
    },
    SECTIONS,
]


def recipes(folder: Path) -> Callable[[Draw], None]:
    """Read a damaged recipe, or a good one with an odd --set, as `pnen-train run --dry-run` does."""
    path, built = folder / "recipe.toml", set[str]()  # a network that comes again is not built again
    (folder / "own_function.py").write_text("def faded(image, strength=0.1):\n    return image * (1 - strength)\n")

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
        plan = replace(plan, target=with_source(plan.target, [folder]))
        network = json.dumps([plan.network, plan.target, plan.optimiser.loss, plan.optimiser.start])
        if network not in built:
            model = build_network(plan)
            if plan.optimiser.start:
                begin_with(model, plan.optimiser.start)
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
