"""The command that repeats a training, out of the recipe that a checkpoint has kept."""

import json
import shlex
from dataclasses import asdict
from typing import Any

from pnen_train.config import BEGIN_ANEW, RECIPES, Recipe, read_recipe, recipe_from

SEED = "run.seed={0.run.seed}"


def command(kept: dict[str, Any], trained_on: str, scored_on: str) -> str:
    """`pnen-train run` with the nearest of the recipes that come with the package, and what to change in it."""
    wanted = recipe_from(kept)
    named = {path.stem: _changes(read_recipe(path.stem), wanted) for path in sorted(RECIPES.glob("*.toml"))}
    found = {name: sets for name, sets in named.items() if read_recipe(name, [SEED.format(wanted), *sets]) == wanted}
    nearest = min(found, key=lambda name: len(found[name]))
    words = [f"--set {shlex.quote(change)}" for change in found[nearest]]
    images = f"{trained_on} --validation {scored_on}"
    return " ".join(["pnen-train run", nearest, images, *words, f"--seed {wanted.run.seed}"])


def _changes(given: Recipe, wanted: Recipe) -> list[str]:
    """SECTION.KEY=VALUE for all in which they differ, but for the seed; a section of another kind is written whole."""
    changes = []
    for section, settings in asdict(wanted).items():
        before = asdict(given)[section]
        names = [name for name in BEGIN_ANEW.get(section, ()) if name in settings]
        anew = bool(before.keys() - settings.keys()) or any(before.get(name) != settings[name] for name in names)
        keys = [*names, *(key for key in settings if key not in names)] if anew else list(settings)
        changes += [_setting(section, key, settings[key]) for key in keys
                    if (anew or before.get(key) != settings[key]) and (section, key) != ("run", "seed")]  # fmt: skip
    return changes


def _setting(section: str, key: str, value: Any) -> str:
    return f"{section}.{key}={value if isinstance(value, str) and value else json.dumps(value)}"
