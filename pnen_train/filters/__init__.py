"""The classical filters by name, and their results as 8-bit targets."""

import inspect
import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from pnen_runtime.errors import UsageError

from .l0 import l0_smooth

FILTERS: dict[str, Callable[..., NDArray[np.float64]]] = {"l0": l0_smooth}
VERSIONS = {"l0": 1}  # raise it when a filter's results change, so that targets kept on disk are made again
ROUNDING = "round(clip(255 x, 0, 255))"  # of every 8-bit target, for its metadata


def resolve(name: str, settings: Mapping[str, float]) -> dict[str, float]:
    """All settings of the filter, its defaults filled in; UsageError for a filter or a setting that cannot be."""
    if name not in FILTERS:
        raise UsageError(f'unknown filter "{name}"; there are {", ".join(FILTERS)}')
    parameters = inspect.signature(FILTERS[name]).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    for key, value in settings.items():
        if key not in defaults:
            raise UsageError(f'unknown setting "{key}" of filter {name}; there are {", ".join(defaults)}')
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not (0 <= value < math.inf):
            raise UsageError(f"expected a number from 0 for {key} of filter {name}, got {value!r}")
    return {**defaults, **{key: float(value) for key, value in settings.items()}}


def filter_values(image: NDArray[np.floating], name: str, settings: Mapping[str, float]) -> NDArray[np.float64]:
    """Filter an (H, W, 3) image in [0, 1]; neither clipped nor rounded."""
    settings = resolve(name, settings)
    try:
        return FILTERS[name](image, **settings)
    except ValueError as error:
        raise UsageError(f"filter {name}: {error}") from error


def filter_image(image: NDArray[np.uint8], name: str, settings: Mapping[str, float]) -> NDArray[np.uint8]:
    """Filter an (H, W, 3) uint8 image; clipped and rounded to uint8 like every training target."""
    smooth = filter_values(image / 255.0, name, settings)
    return np.rint(np.clip(smooth * 255, 0, 255)).astype(np.uint8)
