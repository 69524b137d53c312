"""Bicubic resizing as MATLAB's `imresize` does it, with which super-resolution is trained, scored and run."""

from __future__ import annotations

import numpy as np


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, C) → (height, width, C) float64, neither rounded nor clipped.

    Keys' kernel with a = -1/2; where the picture shrinks, the kernel is as much wider, so that nothing aliases. Beyond
    the border the picture is mirrored, its last row and column included. Other libraries differ: OpenCV has a = -3/4
    and does not widen the kernel, Pillow leaves the outside out instead of mirroring.
    """
    return _along_columns(_along_columns(np.asarray(image, np.float64), height).swapaxes(0, 1), width).swapaxes(0, 1)


def enlarge(image: np.ndarray, scale: int) -> np.ndarray:
    """(H, W, C) → (scale·H, scale·W, C) float64."""
    return resize(image, scale * image.shape[0], scale * image.shape[1])


def weights(length: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of `length` samples make each of the `wanted` ones: places and weights, both (wanted, taps)."""
    shrinking = max(1.0, length / wanted)
    centre = (np.arange(wanted) + 0.5) * (length / wanted) - 0.5
    taps = int(np.ceil(4 * shrinking)) + 2
    places = np.floor(centre - 2 * shrinking).astype(int)[:, None] + np.arange(taps)
    weights = keys_kernel((places - centre[:, None]) / shrinking)
    weights /= weights.sum(axis=1, keepdims=True)
    places %= 2 * length  # the mirrored picture repeats
    return np.where(places < length, places, 2 * length - 1 - places), weights


def keys_kernel(x: np.ndarray) -> np.ndarray:
    """The cubic convolution kernel of Keys 1981, Eq. 15; 0 from ±2 outwards."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x**2 + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _along_columns(image: np.ndarray, wanted: int) -> np.ndarray:
    """(H, ...) → (wanted, ...)."""
    places, factors = weights(len(image), wanted)
    result = np.zeros((wanted, *image.shape[1:]))
    for place, factor in zip(places.T, factors.T, strict=True):
        if factor.any():
            result += image[place] * factor[:, None, None]
    return result
