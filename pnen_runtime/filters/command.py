"""`pnen-smooth --filter`: a classical filter in the place of a model."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from click.core import ParameterSource

from ..card import Card
from ..errors import UsageError
from ..strength import share_of
from .by_name import FILTERS, STRENGTH, filter_values, resolve
from .pictures import filter_picture

if TYPE_CHECKING:
    from typing_extensions import Self

NAMES = {"l0": "L0 gradient minimisation", "wmf": "the weighted median", "sd": "static and dynamic guidance"}
UNIT = {"l0": "λ", "wmf": "σ", "sd": "λ"}  # of the strength
# All other options are of models; one that is not known here is refused, lest it have no effect and nobody be told.
SHARED = ("words", "out", "filter_name", "strength", "mix", "detail", "repeat", "recursive", "overwrite", "suffix",
          "quality", "strip", "raw", "compare", "quiet", "verbose", "as_json")  # fmt: skip
HINT = """\
Take the filter (--filter) where nothing but its own result will do, for strengths that no model knows (wmf, sd), and
for strong L0: at λ 0.2 l0 comes as near as 27.55 dB in 0.584 s of one CPU thread, the filter takes 0.701 s.
Take the model where time counts: l0 35.17 dB in 0.630 s against 0.812 s (λ 0.02), wmf 40.38 dB in 0.403 s against
0.758 s, sd 35.37 dB in 0.499 s against 5.45 s, for 481x321 pixels; where pictures are large, since filters take them
whole; and on GPUs, since filters run on the CPU."""


class ExactFilter:
    """A classical filter at one strength, with as much of `Smoother` as the command uses.

    Raises UsageError for a strength that cannot be, BackendMissing where the filter lacks a package.
    """

    def __init__(self, name: str, strength: float | str | None):
        if isinstance(strength, str):
            raise UsageError(f"expected --strength to be a number with --filter, got {strength}")
        own = STRENGTH[name]
        self._name, self._settings = name, resolve(name, {} if strength is None else {own: strength})
        filter_values(np.zeros((2, 2, 3)), name, self._settings)  # tells what cannot be before the first picture
        self.card = Card(network=name, task={"filter": name, **self._settings})
        others = " ".join(f"{key}={value}" for key, value in self._settings.items() if key != own)
        self.info = (
            f"{NAMES[name]} itself, {UNIT[name]} {self._settings[own]:g} {others}, on the CPU, the whole picture"
        )

    def run(self, image: Any, *, mix: float, detail: float | None = None, progress: Any = None) -> Any:
        """As `filter_picture`."""
        return filter_picture(image, self._name, self._settings, mix, detail, progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def filtering(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--filter`; the command gets None or an `ExactFilter` as `exact`, which then has the strength."""

    @click.option("--filter", "filter_name", type=click.Choice(list(FILTERS)), help="A classical filter itself in "
                  "place of a model; --strength is then its own: λ of l0 and sd, σ of wmf.")  # fmt: skip
    @wraps(command)
    def with_filter(*, filter_name: str | None, strength: float | str | None, **others: Any) -> Any:
        if filter_name is None:
            return command(strength=strength, exact=None, **others)
        _refuse_options_of_models(click.get_current_context())
        share_of(others["mix"], others["detail"])
        return command(strength=None, exact=ExactFilter(filter_name, strength), **others)

    return with_filter


def _refuse_options_of_models(context: click.Context) -> None:
    given = (option for option in context.command.params if option.name and option.name not in SHARED
             and context.get_parameter_source(option.name) == ParameterSource.COMMANDLINE)  # fmt: skip
    if names := ", ".join(max(option.opts, key=len) for option in given):
        raise UsageError(
            f"expected no {names} beside --filter, which takes no option of models; leave one of the two out"
        )


def rows_of_filters() -> list[dict[str, Any]]:
    """Of each filter its name, what it is and its strength by default."""
    return [{"filter": name, "does": f"{NAMES[name]} itself", "unit": UNIT[name],
             "default": resolve(name, {})[STRENGTH[name]]} for name in FILTERS]  # fmt: skip


def list_filters() -> str:
    """The same, a line for each, and when to take one rather than the model that imitates it."""
    lines = [f"{row['filter']:10} {row['does']}, {row['unit']} {row['default']:g} by default"
             for row in rows_of_filters()]  # fmt: skip
    return "\n".join(["--filter:", *lines, HINT])
