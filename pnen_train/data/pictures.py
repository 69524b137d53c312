"""Pictures as the tasks take them: RGB, grey, or the luma of colour television."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pnen_runtime.errors import ImageError
from pnen_runtime.image import read_image, read_rgb
from pnen_runtime.ycbcr import to_ycbcr

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 in full swing
GREY_MODES = ("1", "L", "LA", "La", "F")


def read_picture(path: Path, smallest: int) -> NDArray[np.uint8]:
    """(H, W, 3) RGB; ImageError where a side is under `smallest` pixels."""
    image = read_rgb(path)
    height, width = image.shape[:2]
    if min(height, width) < smallest:
        raise ImageError(f"{path}: expected at least {smallest} pixels a side, got {width}x{height}; take it out")
    return image


def read_grey(path: Path, smallest: int) -> NDArray[np.uint8]:
    """(H, W, 1), white 255 and black 0."""
    return np.rint(read_picture(path, smallest) @ LUMA).astype(np.uint8)[..., None]


def read_luma(path: Path, smallest: int) -> NDArray[np.uint8]:
    """(H, W, 1), of a colour picture Y in studio swing (white 235, black 16), of a grey one what is in it.

    So do the usual evaluation scripts of super-resolution, which leave grey files alone.
    """
    rgb, mode = read_picture(path, smallest), read_image(path).mode
    if mode in GREY_MODES or mode.startswith("I"):
        return np.ascontiguousarray(rgb[..., :1])
    return luma_of(rgb)


def luma_of(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Y in studio swing of (H, W, 3) pictures: (H, W, 1)."""
    return np.rint(255 * to_ycbcr(rgb / 255)[..., :1]).astype(np.uint8)
