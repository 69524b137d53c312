"""Recipes: everything a training run depends on besides the images, read strictly from TOML."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

import tomllib

from pnen_runtime.errors import UsageError
from pnen_runtime.files import is_file

from .data.tasks import NAMED_BY, channels_of, resolve_target

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Data:
    """Patches: random crops of random images, flipped with probability 1/2 and turned by k·90 degrees."""

    images: int = 0  # of those given, spread evenly, where a filter is too slow for all of them; 0: all
    crop: int = 96  # pixels a side
    batch: int = 8  # crops of a step, over all processes together
    late_share: float = 0.0  # of the steps, the last ones, that take crops of another size: ...
    late_crop: int = 96  # ... pixels a side ...
    late_batch: int = 8  # ... and how many

    @property
    def largest(self) -> int:
        """The largest crop of the run."""
        return max(self.crop, self.late_crop) if self.late_share else self.crop

    def at(self, step: int, steps: int) -> tuple[int, int]:
        """Crop and batch for the step after `step` finished ones of `steps`."""
        late = self.late_share > 0 and step >= round((1 - self.late_share) * steps)
        return (self.late_crop, self.late_batch) if late else (self.crop, self.batch)


@dataclass(frozen=True)
class Optimiser:
    """The loss, what makes it small, and its rate; the defaults are the paper's for smoothing."""

    steps: int = 400_000
    start: str = ""  # a bundled name or a checkpoint with weights to begin with, maybe of fewer stages; "": random ones
    method: str = "adam"  # "sgd", with a momentum of 0.9; "muon" (see training.muon), which learns in fewer steps
    learning_rate: float = 5e-4
    schedule: str = "plateau"  # halves the rate when the training loss stops falling; "cosine" takes it to minimum_rate
    minimum_rate: float = 1e-4  # of "plateau" and "cosine"
    warmup_steps: int = 0
    epoch_steps: int = 1000  # what the plateau rule averages over
    patience: int = 5  # epochs without a loss lower by 0.1 % before the rate is halved
    decay: float = 0.5  # of "step", the third schedule: the rate is multiplied by it ...
    decay_steps: int = 100_000  # ... every so many steps
    weight_decay: float = 0.0
    clip_norm: float = 0.0  # largest norm of the gradient; 0: any
    clip_step: float = 0.0  # largest norm of rate times gradient; 0: any
    loss: str = "mse"  # of an image; "l1"; "ceilnet": the own losses of that network, on edges too
    strength_power: float = 0.0  # errors weigh (default / strength) to this power, or the strongest drown the others
    flat_weight: float = 0.0  # what errors count where colour is flat and stays as it is; 0: as much as elsewhere
    deep_supervision: bool = True  # every exit has its own loss, Eq. 5; False: the last one only
    mean_of_exits: bool = False  # the mean of these losses, as for MemNet, instead of their sum
    frozen_norms: bool = False  # keep the statistics of the weights to start with, as the trained network will use them
    average: float = 0.0  # decay a step of the weights' moving average, which is scored and kept; 0: the weights are


@dataclass(frozen=True)
class Run:
    """How the run goes and what it writes, not what is learnt (but for seed and precision)."""

    seed: int = 0
    precision: str = "fp32"  # or "bf16": autocast, weights stay fp32; "auto": that where the machine computes in it
    compile: bool = False  # torch.compile: minutes at the start, then shorter steps; pays on a GPU
    evaluate_every: int = 1000  # steps: validation, picture
    checkpoint_every: int = 500  # steps
    validation_images: int = 10  # at most: spread evenly over the validation images given, or else held out of training
    tile: int | Literal["whole"] = 96  # pixels; of the validation, and the card's recommendation until it is measured
    tile_step: int = 80  # pixels from one tile to the next


@dataclass(frozen=True)
class Recipe:
    """A whole training run.

    `network` holds the network's name and its settings (see `pnen_train.models`), `target` what it learns (see
    `pnen_train.data.tasks.resolve_target`).
    """

    network: dict[str, Any]
    target: dict[str, Any] = field(default_factory=lambda: resolve_target({}))
    data: Data = Data()
    optimiser: Optimiser = Optimiser()
    run: Run = Run()

    @property
    def fixed_by(self) -> str:
        """What keeps a run that has begun to its number of steps; empty where more may follow."""
        if self.optimiser.schedule == "cosine":
            return "every rate of the cosine schedule"
        return "the step at which crops change" if self.data.late_share else ""


SECTIONS: dict[str, type] = {"data": Data, "optimiser": Optimiser, "run": Run}
CHOICES = {"schedule": ("plateau", "cosine", "step"), "precision": ("fp32", "bf16", "auto"),
           "method": ("adam", "sgd", "muon"), "loss": ("mse", "l1", "ceilnet")}  # fmt: skip
FROM_0 = ("seed", "minimum_rate", "warmup_steps", "patience", "weight_decay", "clip_norm", "clip_step", "late_share",
          "average", "images", "strength_power", "flat_weight")  # fmt: skip
LEAST = {"crop": 16, "late_crop": 16, "tile": 16} | dict.fromkeys(FROM_0, 0)  # others: 1, or above 0
SHARES = ("late_share", "average")
KINDS: dict[type, str] = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
BEGIN_ANEW = {"network": ("name",), "target": NAMED_BY}  # what changes these leaves no other setting of its section


def read_recipe(recipe: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """A recipe by file or by the name of one that comes with the package, with "SECTION.KEY=VALUE" changed in it.

    UsageError says what is wrong in it.
    """
    found = _read(recipe)
    try:
        result = recipe_from(found)
    except UsageError as error:
        raise UsageError(f"{_find(recipe)}: {error}") from error
    for change in changes:
        try:
            found = _changed(found, _parsed(change))
            result = recipe_from(found)
        except UsageError as error:
            raise UsageError(f"--set {change}: {error}") from error
    return result


def _find(recipe: str | Path, beside: Path = Path()) -> Path:
    for path in (beside / recipe, RECIPES / f"{recipe}.toml"):
        if is_file(path):
            return path
    names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
    raise UsageError(f'no recipe "{recipe}": expected a TOML file or one of {names}')


def _read(recipe: str | Path, beside: Path = Path(), extending: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The sections of a recipe, on top of those of the recipe that it extends."""
    path = _find(recipe, beside)
    try:
        found = _plain(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:  # tomllib's own, text that is not UTF-8, numbers without end
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    if "extends" not in found:
        return found
    base, extending = found.pop("extends"), (*extending, path.resolve())
    if not isinstance(base, str):
        raise UsageError(f"{path}: expected extends to be the name of a recipe, got {base!r}")
    try:
        again = _find(base, path.parent).resolve() in extending
    except UsageError as error:
        raise UsageError(f"{path}: extends {error}") from error
    if again:
        raise UsageError(f"{path}: extends itself by way of {base}")
    return _changed(_read(base, path.parent, extending), found)


def _changed(sections: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The sections with these changes; another network or another target begins its section anew."""
    result = dict(sections)
    for name, change in changes.items():
        before = sections.get(name, {})
        both = isinstance(before, dict) and isinstance(change, dict)
        if both and not any(key in change for key in BEGIN_ANEW.get(name, ())):
            result[name] = before | change
        else:
            result[name] = change
    return result


def _parsed(change: str) -> dict[str, dict[str, Any]]:
    """SECTION.KEY=VALUE as in TOML; a text may do without its quotes."""
    where, equals, text = change.partition("=")
    section, point, key = where.strip().partition(".")
    if not (equals and point and section and key):
        raise UsageError("expected SECTION.KEY=VALUE, such as target.filter=wmf")
    try:
        value = _plain(tomllib.loads(f"value = {text}")["value"])
    except tomllib.TOMLDecodeError:
        value = text.strip()
    except (ValueError, RecursionError) as error:
        raise UsageError(f"expected a value as in TOML: {error}") from error
    return {section: {key: value}}


def _plain(value: Any) -> Any:
    """The same; ValueError for what a recipe never holds: dates, and numbers over 64 bits, which cannot be shown."""
    if isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            _plain(part)
    elif not isinstance(value, (str, int, float)) or (isinstance(value, int) and abs(value) >= 2**63):
        raise ValueError(f"expected texts, numbers of 64 bits and lists, got something else of {type(value).__name__}")
    return value


def recipe_from(found: Mapping[str, Any]) -> Recipe:
    """A recipe from nested dictionaries, as in TOML; unknown names, wrong types and impossible values are refused."""
    for name, section in found.items():
        if name not in ("network", "target", *SECTIONS):
            raise UsageError(f"unknown section [{name}]; there are network, target, {', '.join(SECTIONS)}")
        if not isinstance(section, dict):
            raise UsageError(f"expected a section [{name}], got {section!r}")
    if not isinstance(found.get("network", {}).get("name"), str):
        raise UsageError('expected a section [network] with a name, such as name = "pnen"')
    target = resolve_target(found.get("target", {}))
    wanted = channels_of(target)
    if (got := found["network"].get("image_channels", wanted)) != wanted:
        pictures = {3: "RGB", 1: "grey"}[wanted]
        raise UsageError(f"expected image_channels in [network] of {wanted}, as the {pictures} pictures have, "
                         f"got {got!r}")  # fmt: skip
    parts = {name: _section(name, SECTIONS[name], found[name]) for name in SECTIONS if name in found}
    recipe = Recipe(network=dict(found["network"]), target=target, **parts)
    tile, step = recipe.run.tile, recipe.run.tile_step
    if isinstance(tile, int) and step > tile:
        raise UsageError(f"expected tile_step in [run] of at most tile = {tile}, got {step}")
    return recipe


def _section(name: str, made_of: type, found: dict[str, Any]) -> Any:
    kinds = get_type_hints(made_of)
    for key, value in found.items():
        if key not in kinds:
            raise UsageError(f'unknown setting "{key}" in [{name}]; there are {", ".join(kinds)}')
        if (key, value) != ("tile", "whole"):
            _check(f"{key} in [{name}]", key, int if key == "tile" else kinds[key], value)
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
    if key in SHARES and value >= 1:
        raise UsageError(f"expected {where} to be below 1, got {value}")


def override(recipe: Recipe, *, steps: int | None = None, seed: int | None = None) -> Recipe:
    """The recipe with the few things that a command line may change."""
    optimiser = recipe.optimiser if steps is None else replace(recipe.optimiser, steps=steps)
    return replace(recipe, optimiser=optimiser, run=recipe.run if seed is None else replace(recipe.run, seed=seed))
