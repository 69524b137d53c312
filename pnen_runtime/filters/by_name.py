"""The classical filters by name: their settings, and their results as they are."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .l0_gradients import l0_smooth
from .static_dynamic import sd_smooth
from .weighted_median import wmf_smooth

FILTERS: dict[str, Callable[..., NDArray[np.float64]]] = {"l0": l0_smooth, "wmf": wmf_smooth, "sd": sd_smooth}
STRENGTH = {"l0": "strength", "wmf": "sigma", "sd": "strength"}  # the setting that says how much goes
LARGEST = 1e9  # of a setting; none of them means anything there


def resolve(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of the filter, its defaults filled in; UsageError for a filter or a setting that cannot be."""
    if name not in FILTERS:
        raise UsageError(f'unknown filter "{name}"; there are {", ".join(FILTERS)}')
    parameters = inspect.signature(FILTERS[name]).parameters.values()
    known = {p.name: p for p in parameters if p.default is not p.empty}
    for key in settings:
        if key not in known:
            raise UsageError(f'unknown setting "{key}" of filter {name}; there are {", ".join(known)}')
    return {key: _setting(name, p, settings.get(key, p.default)) for key, p in known.items()}


def _setting(name: str, parameter: inspect.Parameter, value: Any) -> Any:
    """The value as its parameter's type; UsageError where it does not fit."""
    kind, choices = type(parameter.default), get_args(parameter.annotation)
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LARGEST
    if value in choices or (number and not choices and (kind is float or value == int(value))):
        return kind(value)
    what = {int: "a whole number from 0", float: "a number from 0"}.get(kind, f"one of {', '.join(choices)}")
    raise UsageError(f"expected {what} for {parameter.name} of filter {name}, got {value!r}")


def filter_values(image: NDArray[np.floating], name: str, settings: Mapping[str, Any]) -> NDArray[np.float64]:
    """Filter an (H, W, 3) image in [0, 1]; neither clipped nor rounded."""
    settings = resolve(name, settings)
    try:
        return FILTERS[name](image, **settings)
    except ValueError as error:
        raise UsageError(f"filter {name}: {error}") from error
