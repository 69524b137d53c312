"""How much noise a picture has: σ of Gaussian noise, from the picture alone."""

from __future__ import annotations

import numpy as np

from .alpha import without_hidden
from .image import full_scale

DETAIL = np.array([-0.12940952255126, -0.22414386804201, 0.83651630373781, -0.48296291314469])  # Daubechies' db2
HALF_OF_NORMAL = 0.67448975  # the median of |x| of a normal distribution of σ 1
BLOCK = 34  # pixels a side of what is looked at by itself: 16 details
MOST = 32  # blocks along a side of the picture; of larger pictures, so many evenly spread
QUIET = 0.4  # the quantile of the blocks; the noisiest ones hold texture
FEWEST = 16  # details of shown pixels that a block must have to count
CLIPPED = 0.05  # of a block's values: where more are black or white, noise was cut off


def estimate_sigma(frame: np.ndarray, shown: np.ndarray | None = None) -> float:
    """σ in 8-bit levels of the Gaussian noise of an (H, W, C) picture of uint8, uint16 or floats in [0, 1].

    Of the (H, W) pixels that are `shown` alone; where nowhere enough of them lie side by side, with what `alpha.py`
    puts in place of the others.

    The median of the finest diagonal wavelet details (Donoho and Johnstone 1994), by blocks, of which quiet ones count
    that are neither black nor white; strips and frames without any noise do not. Texture passes for noise: clean
    photographs get 0.2 to 8 levels. It is for noise that is the same everywhere and independent from pixel to pixel,
    which JPEG's and enlarged pictures' is not.
    """
    found, (rows, columns) = [], _box(shown, frame.shape)
    for top in _places(rows):
        for left in _places(columns):
            here = slice(top, min(top + BLOCK, rows.stop)), slice(left, min(left + BLOCK, columns.stop))
            block = frame[here] * np.float32(255 / full_scale(frame.dtype))
            details = np.abs(_details(_details(block, 0), 1)).reshape(-1, frame.shape[2])  # (16 * 16, C)
            if shown is not None:
                block, details = block[shown[here]], details[_all_shown(shown[here])]
            if shown is None or len(details) >= FEWEST:
                sigma = np.median(details, 0).mean() / HALF_OF_NORMAL
                found.append((sigma, ((block <= 0) | (block >= 255)).mean()))
    if not found:
        return estimate_sigma(frame if shown is None else without_hidden(frame, shown))
    sigmas, clipped = np.array(found).T
    drawn = sigmas < 1e-3  # levels: a caption's strip or a frame, which the noise does not reach
    if 0 < drawn.sum() < len(drawn) / 2:
        sigmas, clipped = sigmas[~drawn], clipped[~drawn]
    return float(np.quantile(sigmas[clipped <= max(CLIPPED, np.quantile(clipped, 0.1))], QUIET))


def _box(shown: np.ndarray | None, shape: tuple[int, ...]) -> tuple[range, range]:
    """Rows and columns around all that is shown."""
    if shown is None or not shown.any():
        return range(shape[0]), range(shape[1])
    found = (np.flatnonzero(shown.any(axis)) for axis in (1, 0))
    rows, columns = (range(int(places[0]), int(places[-1]) + 1) for places in found)
    return rows, columns


def _all_shown(shown: np.ndarray) -> np.ndarray:
    """Which details of a block, as `_details` lists them, are of shown pixels alone."""
    for axis in (0, 1):
        count = shown.shape[axis]
        taps = [shown.take(range(tap, count - 3 + tap, 2), axis) for tap in range(len(DETAIL))]
        shown = np.logical_and.reduce(taps)
    return shown.ravel()


def _places(side: range) -> list[int]:
    """Where blocks begin along a side."""
    last = max(0, len(side) - BLOCK)
    return sorted({side.start + round(place) for place in np.linspace(0, last, min(MOST, max(1, len(side) // BLOCK)))})


def _details(values: np.ndarray, axis: int) -> np.ndarray:
    """Every second detail along an axis, of pixels that are all inside."""
    count = values.shape[axis]
    taps = (values.take(range(tap, count - 3 + tap, 2), axis) * weight for tap, weight in enumerate(DETAIL))
    return np.asarray(sum(taps))
