"""Recipes: everything a training run depends on besides the images, read strictly from TOML."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

import tomllib

from pnen_runtime.errors import UsageError

from .filters import resolve

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Target:
    """The filter that the network learns."""

    filter: str = "l0"
    settings: dict[str, Any] = field(default_factory=dict)  # of the filter; its defaults where left out


@dataclass(frozen=True)
class Data:
    """Patches: random crops of random images, flipped with probability 1/2 and turned by k·90 degrees."""

    crop: int = 96  # pixels a side
    batch: int = 8


@dataclass(frozen=True)
class Optimiser:
    """Adam and its rate; the defaults are the paper's."""

    steps: int = 400_000
    learning_rate: float = 5e-4
    schedule: str = "plateau"  # halves the rate when the training loss stops falling; "cosine" takes it to minimum_rate
    minimum_rate: float = 1e-4
    warmup_steps: int = 0
    epoch_steps: int = 1000  # what the plateau rule averages over
    patience: int = 5  # epochs without a loss lower by 0.1 % before the rate is halved
    deep_supervision: bool = True  # every exit has its own loss, Eq. 5; False: the last one only


@dataclass(frozen=True)
class Run:
    """How the run goes and what it writes, not what is learnt (but for seed and precision)."""

    seed: int = 0
    precision: str = "fp32"  # or "bf16": autocast, weights stay fp32
    evaluate_every: int = 1000  # steps: validation, picture
    checkpoint_every: int = 500  # steps
    validation_images: int = 10  # at most: spread evenly over the validation images given, or else held out of training
    tile: int = 96  # pixels; of the validation, and the card's recommendation until it is measured
    tile_step: int = 80  # pixels from one tile to the next


@dataclass(frozen=True)
class Recipe:
    """A whole training run. `network` holds the network's name and its settings (see `pnen_train.models`)."""

    network: dict[str, Any]
    target: Target = Target()
    data: Data = Data()
    optimiser: Optimiser = Optimiser()
    run: Run = Run()


SECTIONS: dict[str, type] = {"target": Target, "data": Data, "optimiser": Optimiser, "run": Run}
CHOICES = {"schedule": ("plateau", "cosine"), "precision": ("fp32", "bf16")}
LEAST = {"crop": 16, "tile": 16, "seed": 0, "minimum_rate": 0, "warmup_steps": 0, "patience": 0}  # others: 1
KINDS: dict[type, str] = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def read_recipe(recipe: str | Path) -> Recipe:
    """A recipe by file or by the name of one that comes with the package; UsageError says what is wrong in it."""
    path = Path(recipe)
    if not path.is_file():
        path = RECIPES / f"{recipe}.toml"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise UsageError(f'no recipe "{recipe}": expected a TOML file or one of {names}')
    try:
        return recipe_from(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def recipe_from(found: Mapping[str, Any]) -> Recipe:
    """A recipe from nested dictionaries, as in TOML; unknown names, wrong types and impossible values are refused."""
    for name, section in found.items():
        if name not in ("network", *SECTIONS):
            raise UsageError(f"unknown section [{name}]; there are network, {', '.join(SECTIONS)}")
        if not isinstance(section, dict):
            raise UsageError(f"expected a section [{name}], got {section!r}")
    if not isinstance(found.get("network", {}).get("name"), str):
        raise UsageError('expected a section [network] with a name, such as name = "pnen"')
    if found["network"].get("image_channels", 3) != 3:
        got = found["network"]["image_channels"]
        raise UsageError(f"expected image_channels in [network] of 3, as the RGB pictures have, got {got!r}")
    parts = {name: _section(name, SECTIONS[name], found[name]) for name in SECTIONS if name in found}
    recipe = Recipe(network=dict(found["network"]), **parts)
    if recipe.run.tile_step > recipe.run.tile:
        raise UsageError(f"expected tile_step in [run] of at most tile = {recipe.run.tile}, got {recipe.run.tile_step}")
    return recipe


def _section(name: str, made_of: type, found: dict[str, Any]) -> Any:
    if made_of is Target:  # the filter's own settings stand beside its name
        settings = dict(found)
        target = Target(settings.pop("filter", Target.filter), settings)
        _check("filter in [target]", "filter", str, target.filter)
        resolve(target.filter, settings)
        return target
    kinds = get_type_hints(made_of)
    for key, value in found.items():
        if key not in kinds:
            raise UsageError(f'unknown setting "{key}" in [{name}]; there are {", ".join(kinds)}')
        _check(f"{key} in [{name}]", key, kinds[key], value)
    return made_of(**found)


def _check(where: str, key: str, kind: Any, value: Any) -> None:
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise UsageError(f"expected {where} to be {KINDS[kind]}, got {value!r}")
    if key in CHOICES and value not in CHOICES[key]:
        raise UsageError(f"expected {where} to be one of {', '.join(CHOICES[key])}, got {value!r}")
    if kind is int and value < LEAST.get(key, 1):
        raise UsageError(f"expected {where} to be at least {LEAST.get(key, 1)}, got {value}")
    if kind is float and not (math.isfinite(value) and (value > 0 or value == LEAST.get(key))):
        raise UsageError(f"expected {where} to be above 0, got {value}")


def override(recipe: Recipe, *, steps: int | None = None, seed: int | None = None) -> Recipe:
    """The recipe with the few things that a command line may change."""
    optimiser = recipe.optimiser if steps is None else replace(recipe.optimiser, steps=steps)
    return replace(recipe, optimiser=optimiser, run=recipe.run if seed is None else replace(recipe.run, seed=seed))
