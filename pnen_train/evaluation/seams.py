"""Do tiles show? A picture smoothed on two grids of tiles that lie half a step apart should be the same picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pnen_runtime.image import full_scale

from .evaluate import Smooth

BLOCK = 16  # pixels a side; means over it are what an eye sees in skies, where single pixels hide it
ALLOWED = 1.0  # levels, of photographs
ALLOWED_FLAT = 0.5  # levels, of gradients and skies
EVEN = 3.0  # levels; a block is even, as of a sky, where the picture's standard deviation in it is no larger


def seam(smooth: Smooth, image: NDArray[Any], tile: int, step: int, even: bool = False) -> float:
    """The largest difference, in 8-bit levels, between the means of a 16×16 block on the two grids.

    `smooth` works in tiles of `tile` pixels every `step`, from the top left. Given the picture without its first half
    step of rows and columns it lays the other grid; what the first tiles of that grid have at their outer edges, and
    other tiles blend away, is left out; and as much at the far edges, where a network may see beyond the border what
    the other picture lacks. 0 where the picture is too small for that. With `even`, of those blocks alone in which the
    picture is even.
    """
    height, width = image.shape[:2]
    shift, left_out = step // 2, step // 2 + (tile - step)
    high, wide = ((side - left_out - (tile - step)) // BLOCK * BLOCK for side in (height, width))
    if min(high, wide) < BLOCK or max(height, width) <= tile:
        return 0.0
    inner = slice(left_out, left_out + high), slice(left_out, left_out + wide)
    unit = 255 / full_scale(image.dtype)
    one = unit * smooth(image).astype(np.float64)[inner]
    other = unit * smooth(np.ascontiguousarray(image[shift:, shift:])).astype(np.float64)
    other = other[left_out - shift :, left_out - shift :][:high, :wide]
    blocks = high // BLOCK, BLOCK, wide // BLOCK, BLOCK, -1
    difference = np.abs((one - other).reshape(blocks).mean((1, 3))).max(axis=-1)
    if even:
        difference = difference[unit * image[inner].reshape(blocks).std((1, 3)).max(axis=-1) <= EVEN]
    return float(difference.max(initial=0))
