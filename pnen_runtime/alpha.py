"""Colours that nobody sees, under pixels that are fully transparent: they may reach nothing that is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

FAR = 1 << 29  # more rows than a picture has
BAND = 1 << 20  # pixels for which the nearest are sought at once: a few arrays of 8 MB


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


def frames_seen(picture: Any) -> list[tuple[Any, NDArray[np.bool_] | None]]:
    """Each frame, and (H, W) which of its pixels are shown, where some may be hidden: those are no noise."""
    alpha = getattr(picture, "alpha", None)
    if alpha is None:
        on_host = isinstance(picture.frames, np.ndarray)
        return [(frame, None) for frame in (picture.frames if on_host else [picture.frames])]
    return [(frame, one != 0) for frame, one in zip(picture.frames, alpha, strict=True)]


def without_hidden(values: NDArray[Any], shown: NDArray[np.bool_]) -> NDArray[Any]:
    """(H, W, C) values with those of hidden pixels mirrored at the nearest shown one (by rows plus columns), or its own
    where the mirror image is hidden, too.

    So an edge of what is shown sees about what the border of a picture sees, in colours and in noise.
    """
    if shown.all() or not shown.any():
        return values
    filled, nearest = values.copy(), _nearest_in_column(shown)
    step = max(1, BAND // shown.shape[1])
    for begin in range(0, len(shown), step):
        band = slice(begin, begin + step)
        here = np.nonzero(~shown[band])
        columns = _nearest_column(nearest[band], begin)[here]
        rows = nearest[band][here[0], columns]
        mirrored = 2 * rows - (here[0] + begin), 2 * columns - here[1]
        inside = [(place >= 0) & (place < size) for place, size in zip(mirrored, shown.shape, strict=True)]
        down, across = (np.where(inside[0] & inside[1], place, 0) for place in mirrored)
        good = inside[0] & inside[1] & shown[down, across]
        filled[band][here] = values[np.where(good, down, rows), np.where(good, across, columns)]
    return filled


def _nearest_in_column(shown: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(H, W) rows of the nearest shown pixel above or below each; `FAR` away where its column has none."""
    rows, nearest = np.arange(len(shown), dtype=np.int32)[:, None], np.empty(shown.shape, np.int32)
    step = max(1, BAND // len(shown))
    for begin in range(0, shown.shape[1], step):
        part = shown[:, begin : begin + step]
        above = np.maximum.accumulate(np.where(part, rows, np.int32(-FAR)), 0)
        below = np.minimum.accumulate(np.where(part, rows, np.int32(FAR))[::-1], 0)[::-1]
        nearest[:, begin : begin + step] = np.where(rows - above <= below - rows, above, below)
    return nearest


def _nearest_column(nearest: NDArray[np.int32], begin: int) -> NDArray[np.int64]:
    """(h, W) columns whose `nearest` row is the fewest steps away from each pixel of the rows from `begin` on."""
    height, width = nearest.shape
    columns = np.arange(width)
    away = np.abs(np.arange(begin, begin + height)[:, None] - nearest.astype(np.int64))
    left = np.minimum.accumulate((away - columns) * width + columns, 1)  # distances, and whose they are
    right = np.minimum.accumulate(((away + columns) * width + columns)[:, ::-1], 1)[:, ::-1]
    nearer: NDArray[np.int64] = np.where(left // width + columns <= right // width - columns, left, right) % width
    return nearer
