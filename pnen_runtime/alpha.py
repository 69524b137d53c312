"""Colours that nobody sees, under pixels that are fully transparent: they may reach nothing that is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def seen(picture: Any) -> Iterator[tuple[Any, Any]]:
    """Each frame of a `Picture` or a `GpuPicture` without what is hidden, and where its result goes.

    What is hidden comes back as it was.
    """
    alpha = getattr(picture, "alpha", None)
    for number, (frame, smooth) in enumerate(zip(picture.frames, picture.smooth, strict=True)):
        if alpha is None:
            yield frame, smooth
            continue
        shown = alpha[number] != 0
        yield without_hidden(frame, shown), smooth
        smooth[~shown] = frame[~shown]


def frames_seen(picture: Any) -> Any:
    """All of its frames without what is hidden; what is hidden must not be taken for noise, either."""
    alpha = getattr(picture, "alpha", None)
    if alpha is None:
        return picture.frames
    return np.stack([without_hidden(frame, one != 0) for frame, one in zip(picture.frames, alpha, strict=True)])


def without_hidden(values: NDArray[Any], shown: NDArray[np.bool_]) -> NDArray[Any]:
    """(H, W, C) values with those of hidden pixels taken from shown ones nearby, for nothing hidden to reach an edge.

    Means of 2×2, 4×4, ... pixels fill what is left.
    """
    if shown.all() or not shown.any():
        return values
    height, width = shown.shape
    odd = (0, height % 2), (0, width % 2)
    sums, counts = (
        np.pad(part, (*odd, (0, 0))).reshape(-(-height // 2), 2, -(-width // 2), 2, part.shape[2]).sum((1, 3))
        for part in (values * shown[..., None], shown[..., None].astype(np.uint8))
    )
    coarse = without_hidden(sums / np.maximum(counts, 1), counts[..., 0] > 0)
    filled = coarse.repeat(2, 0).repeat(2, 1)[:height, :width]
    if values.dtype.kind != "f":
        filled = np.rint(filled).astype(values.dtype)
    return np.where(shown[..., None], values, filled)
