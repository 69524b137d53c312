"""How much noise a picture has: σ of Gaussian noise, from the picture alone."""

from __future__ import annotations

import numpy as np

from .image import full_scale

DETAIL = np.array([-0.12940952255126, -0.22414386804201, 0.83651630373781, -0.48296291314469])  # Daubechies' db2
HALF_OF_NORMAL = 0.67448975  # the median of |x| of a normal distribution of σ 1
BLOCK = 34  # pixels a side of what is looked at by itself: 16 details
MOST = 32  # blocks along a side of the picture; of larger pictures, so many evenly spread
QUIET = 0.4  # the quantile of the blocks; the noisiest ones hold texture
CLIPPED = 0.05  # of a block's values: where more are black or white, noise was cut off


def estimate_sigma(frame: np.ndarray) -> float:
    """σ in 8-bit levels of the Gaussian noise of an (H, W, C) picture of uint8, uint16 or floats in [0, 1].

    The median of the finest diagonal wavelet details (Donoho and Johnstone 1994), by blocks, of which quiet ones count
    that are neither black nor white; strips and frames without any noise do not. Texture passes for noise: clean
    photographs get 0.2 to 8 levels. It is for noise that is the same everywhere and independent from pixel to pixel,
    which JPEG's and enlarged pictures' is not.
    """
    found = []
    for top in _places(frame.shape[0]):
        for left in _places(frame.shape[1]):
            block = frame[top : top + BLOCK, left : left + BLOCK] * np.float32(255 / full_scale(frame.dtype))
            details = _details(_details(block, 0), 1)  # (16, 16, C)
            sigma = np.median(np.abs(details), (0, 1)).mean() / HALF_OF_NORMAL
            found.append((sigma, ((block <= 0) | (block >= 255)).mean()))
    sigmas, clipped = np.array(found).T
    drawn = sigmas < 1e-3  # levels: a caption's strip or a frame, which the noise does not reach
    if 0 < drawn.sum() < len(drawn) / 2:
        sigmas, clipped = sigmas[~drawn], clipped[~drawn]
    return float(np.quantile(sigmas[clipped <= max(CLIPPED, np.quantile(clipped, 0.1))], QUIET))


def _places(side: int) -> list[int]:
    """Where blocks begin along a side."""
    last = max(0, side - BLOCK)
    return sorted({round(place) for place in np.linspace(0, last, min(MOST, max(1, side // BLOCK)))})


def _details(values: np.ndarray, axis: int) -> np.ndarray:
    """Every second detail along an axis, of pixels that are all inside."""
    count = values.shape[axis]
    taps = (values.take(range(tap, count - 3 + tap, 2), axis) * weight for tap, weight in enumerate(DETAIL))
    return np.asarray(sum(taps))
