"""The classical filters by name, and their results as 8-bit targets."""

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pnen_runtime.errors import UsageError

from .l0 import l0_smooth
from .sd import sd_smooth
from .wmf import opencv, wmf_smooth

FILTERS: dict[str, Callable[..., NDArray[np.float64]]] = {"l0": l0_smooth, "wmf": wmf_smooth, "sd": sd_smooth}
STRENGTH = {"l0": "strength", "wmf": "sigma", "sd": "strength"}  # the setting that says how much goes
LIBRARIES = {"l0": ["numpy"], "wmf": ["numpy", "numba"], "sd": ["numpy", "numba", "scikit-image"]}
VERSIONS = {
    "l0": 1,
    "wmf": 1,
    "sd": 1,
}  # raise it when a filter's results change, so that targets kept on disk are made again
ROUNDING = "round(clip(255 x, 0, 255))"  # of every 8-bit target, for its metadata


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


def libraries(name: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """What the filter computes with, and which version, for the metadata of its results."""
    if settings.get("backend") == "opencv":
        return {"opencv": opencv().__version__}
    return {library: version(library) for library in LIBRARIES[name]}


def filter_values(image: NDArray[np.floating], name: str, settings: Mapping[str, Any]) -> NDArray[np.float64]:
    """Filter an (H, W, 3) image in [0, 1]; neither clipped nor rounded."""
    settings = resolve(name, settings)
    try:
        return FILTERS[name](image, **settings)
    except ValueError as error:
        raise UsageError(f"filter {name}: {error}") from error


def filter_image(image: NDArray[np.uint8], name: str, settings: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Filter an (H, W, 3) uint8 image; clipped and rounded to uint8 like every training target."""
    smooth = filter_values(image / 255.0, name, settings)
    return np.rint(np.clip(smooth * 255, 0, 255)).astype(np.uint8)
