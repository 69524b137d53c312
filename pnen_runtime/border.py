"""What lies beyond a picture's border: each filter has its way, and a network that imitates one is shown the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

# L0's Fourier transform takes the far side for what lies beyond; a median filter's windows turn back at the border.
# What that is worth: docs/benchmarks/training.md.
Border = Literal["", "wrap", "reflect"]
BORDERS: dict[str, Border] = {"l0": "wrap", "wmf": "reflect"}  # of filters; others are not continued
MARGIN = 8  # pixels


def border_of(task: Any) -> Border:
    """That of a task, as cards and checkpoints have it: "wrap" for L0, "reflect" for the weighted median, else ""."""
    name = task.get("filter") if isinstance(task, Mapping) else None
    return BORDERS.get(name, "") if isinstance(name, str) else ""


def margin(length: int, tile: int, border: Border, grid: int = 1) -> int:
    """Pixels, 0 to `MARGIN`, by which an axis of `length` is continued on either side, a multiple of `grid`.

    No more than keeps a picture that fits into one tile of `tile` pixels in one.
    """
    room = (tile - length) // 2 if length <= tile else MARGIN
    most = min(MARGIN, room, length - 1) if border else 0
    return most - most % grid


def continued(image: np.ndarray, begin: int, count: int, border: Border, axis: int) -> np.ndarray:
    """`count` rows (`axis` 0) or columns (1) of an (H, W, ...) array from `begin` on, some of them beyond the image.

    At most one length of it beyond either side. A view where all lie inside, else a copy.
    """
    length = image.shape[axis]
    if begin >= 0 and begin + count <= length:
        return image[begin : begin + count] if axis == 0 else image[:, begin : begin + count]
    places = np.arange(begin, begin + count)
    if border == "wrap":
        return image.take(places % length, axis)
    turned = np.abs(places)
    return image.take(np.where(turned < length, turned, 2 * (length - 1) - turned), axis)
