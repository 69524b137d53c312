"""The classical filters of `pnen_runtime.filters`, and their results as 8-bit targets."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pnen_runtime.filters.by_name import FILTERS, LARGEST, STRENGTH, filter_values, resolve
from pnen_runtime.filters.weighted_median import opencv

__all__ = ["FILTERS", "LARGEST", "LIBRARIES", "ROUNDING", "STRENGTH", "VERSIONS", "filter_image", "filter_values",
           "libraries", "resolve"]  # fmt: skip

LIBRARIES = {"l0": ["numpy"], "wmf": ["numpy", "numba"], "sd": ["numpy", "numba", "scikit-image"]}
VERSIONS = {
    "l0": 1,
    "wmf": 1,
    "sd": 1,
}  # raise it when a filter's results change, so that targets kept on disk are made again
ROUNDING = "round(clip(255 x, 0, 255))"  # of every 8-bit target, for its metadata


def libraries(name: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """What the filter computes with, and which version, for the metadata of its results."""
    if settings.get("backend") == "opencv":
        return {"opencv": opencv().__version__}
    return {library: version(library) for library in LIBRARIES[name]}


def filter_image(image: NDArray[np.uint8], name: str, settings: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Filter an (H, W, 3) uint8 image; clipped and rounded to uint8 like every training target."""
    smooth = filter_values(image / 255.0, name, settings)
    return np.rint(np.clip(smooth * 255, 0, 255)).astype(np.uint8)
