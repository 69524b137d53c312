"""Recipes: everything a training run depends on besides the images, read strictly from TOML."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import tomllib

from pnen_runtime.errors import UsageError

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Target:
    """The filter that the network learns."""

    filter: str = "l0"
    settings: dict[str, float] = field(default_factory=dict)  # of the filter; its defaults where left out


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
    schedule: str = "plateau"  # "plateau" halves the rate when the training loss stops falling, "cosine" takes it to minimum_rate
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
    validation_images: int = 10  # held out of the training images where no validation folder is given
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

    def __post_init__(self) -> None:
        _expect(self.optimiser.schedule in ("plateau", "cosine"), "schedule", '"plateau" or "cosine"', self.optimiser.schedule)
        _expect(self.run.precision in ("fp32", "bf16"), "precision", '"fp32" or "bf16"', self.run.precision)
        _expect(self.data.crop >= 16, "crop", "at least 16 pixels", self.data.crop)
        _expect(self.optimiser.learning_rate > 0, "learning_rate", "a number above 0", self.optimiser.learning_rate)
        for section, names in (
            ("data", ("batch",)),
            ("optimiser", ("steps", "epoch_steps")),
            ("run", ("evaluate_every", "checkpoint_every")),
        ):
            for name in names:
                value = getattr(getattr(self, section), name)
                _expect(value >= 1, name, "at least 1", value)


def _expect(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise UsageError(f"expected {name} to be {expected}, got {got!r}")


def read_recipe(recipe: str | Path) -> Recipe:
    """A recipe by file or by the name of one that comes with the package; UsageError says what is wrong in it."""
    path = Path(recipe)
    if not path.is_file():
        path = RECIPES / f"{recipe}.toml"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise UsageError(f'no recipe "{recipe}": expected a TOML file or one of {names}')
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    try:
        return recipe_from(found)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def recipe_from(found: Mapping[str, Any]) -> Recipe:
    """A recipe from nested dictionaries, as in TOML; unknown names and wrong types are refused."""
    sections: dict[str, Any] = {"target": Target, "data": Data, "optimiser": Optimiser, "run": Run}
    for name in found:
        if name not in ("network", *sections):
            raise UsageError(f"unknown section [{name}]; there are network, {', '.join(sections)}")
    network = found.get("network")
    if not isinstance(network, dict) or "name" not in network:
        raise UsageError('expected a section [network] with a name, such as name = "pnen"')
    parts = {name: _section(name, made_of, found[name]) for name, made_of in sections.items() if name in found}
    return Recipe(network=network, **parts)


def _section(name: str, made_of: type, found: Any) -> Any:
    if not isinstance(found, dict):
        raise UsageError(f"expected a section [{name}], got {found!r}")
    known = {entry.name: entry for entry in fields(made_of)}
    if made_of is Target:  # the filter's own settings stand beside its name
        return Target(found.get("filter", "l0"), {key: value for key, value in found.items() if key != "filter"})
    for key, value in found.items():
        if key not in known:
            raise UsageError(f'unknown setting "{key}" in [{name}]; there are {", ".join(known)}')
        wanted = known[key].type
        if (not isinstance(value, wanted) and not (wanted is float and type(value) is int)) or (wanted is int and type(value) is bool):
            raise UsageError(f"expected {key} in [{name}] to be of type {wanted.__name__}, got {value!r}")
    return made_of(**found)


def override(recipe: Recipe, *, steps: int | None = None, seed: int | None = None) -> Recipe:
    """The recipe with the few things that a command line may change."""
    optimiser = recipe.optimiser if steps is None else replace(recipe.optimiser, steps=steps)
    return replace(recipe, optimiser=optimiser, run=recipe.run if seed is None else replace(recipe.run, seed=seed))
