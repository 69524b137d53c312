"""PSNR and the two SSIMs of uint8 images, as the tables report them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity


def levels(image: NDArray[Any], rounded: Callable[..., NDArray[np.floating]] = np.rint) -> NDArray[np.uint8]:
    """8-bit levels of values in [0, 1], clipped and rounded; with `np.floor` cut off instead, as the authors do."""
    return rounded(np.clip(255 * image, 0, 255)).astype(np.uint8)


def psnr(image: NDArray[Any], reference: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels, peak 255; inf for equal images."""
    error = np.mean((image.astype(np.float64) - reference) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(image: NDArray[Any], reference: NDArray[np.uint8]) -> float:
    """Structural similarity of (H, W, C) images, from 11 pixels a side (Wang et al. 2004).

    11×11 Gaussian window of σ 1.5, mean over the valid region, then over the channels.
    """
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(image, reference, data_range=255, channel_axis=2, **wang))


def ssim_box7(image: NDArray[Any], reference: NDArray[np.uint8]) -> float:
    """The same with scikit-image's defaults (7×7 box, sample covariance), which the authors' released code calls."""
    return float(structural_similarity(image, reference, data_range=255, channel_axis=2))
