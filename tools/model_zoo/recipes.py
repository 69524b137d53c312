"""The command that repeats a training, out of the recipe that a checkpoint has kept."""

import json
import shlex
from dataclasses import asdict
from typing import Any

from pnen_train.config import RECIPES, Recipe, read_recipe, recipe_from

SEED = "run.seed"


def command(kept: dict[str, Any], trained_on: str) -> str:
    """`pnen-train run` with the nearest of the recipes that come with the package, and what to change in it."""
    wanted = _settings(recipe_from(kept))
    changes = {path.stem: _changes(_settings(read_recipe(path)), wanted) for path in sorted(RECIPES.glob("*.toml"))}
    nearest = min(changes, key=lambda name: len(changes[name]))
    words = [f"--set {_setting(key, wanted[key])}" for key in changes[nearest] if key in wanted and key != SEED]
    return " ".join(
        ["pnen-train run", nearest, trained_on, "--validation BSDS500/val", *words, f"--seed {wanted[SEED]}"]
    )


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, part in asdict(recipe).items() for key, value in part.items()}


def _changes(given: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """The settings in which they differ."""
    return [key for key in given | wanted if given.get(key) != wanted.get(key)]


def _setting(key: str, value: Any) -> str:
    """KEY=VALUE as a shell takes it."""
    return shlex.quote(f"{key}={value if isinstance(value, str) else json.dumps(value)}")
