"""Luma and chroma of ITU-R BT.601 in studio swing: white is 235/255, black 16/255, no colour 128/255."""

from __future__ import annotations

import numpy as np

OFFSET = np.array([16, 128, 128]) / 255
FROM_RGB = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
TO_RGB = np.linalg.inv(FROM_RGB)


def to_ycbcr(rgb: np.ndarray) -> np.ndarray:
    """(..., 3) RGB in [0, 1] → Y, Cb, Cr as float64, not rounded; 255 times that is MATLAB's `rgb2ycbcr`."""
    return rgb @ FROM_RGB.T + OFFSET


def to_rgb(ycbcr: np.ndarray) -> np.ndarray:
    """The way back; not clipped, since not every Y, Cb, Cr is a colour."""
    return (ycbcr - OFFSET) @ TO_RGB.T
