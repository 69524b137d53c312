"""What an exported file is tried on: a photograph, and what breaks networks, attention and half precision first."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from pnen_runtime.image import read_rgb, to_batch
from pnen_runtime.tiles import starts

PHOTOGRAPH = Path(__file__).parent / "photograph.jpg"  # 481×321, from a NASA portrait in the public domain
SIZES = (1, 16, 16), (1, 37, 53), (1, 96, 96), (2, 61, 90)  # batch, height, width
KINDS = ("photograph", "flat", "noise", "checkerboard", "impulse")


@dataclass(frozen=True)
class Input:
    """One line of the comparison: batches that are run one after the other and judged together."""

    kind: str
    size: str  # batch×height×width
    batches: list[np.ndarray]  # (B, C, H, W) float32 in [0, 1]


def make_inputs(channels: int, tile: int) -> list[Input]:
    """Every kind at every size, and all of the photograph in tiles."""
    inputs = [
        Input(kind, f"{batch}x{height}x{width}", [make_batch(kind, batch, height, width, channels)])
        for batch, height, width in SIZES
        for kind in KINDS
    ]
    tiles = photograph_tiles(channels, tile)
    return [*inputs, Input("photograph", f"{len(tiles)} tiles of {tile} (321x481)", tiles)]


def make_batch(kind: str, batch: int, height: int, width: int, channels: int) -> np.ndarray:
    """(B, C, H, W) float32 in [0, 1]."""
    rows, columns = np.mgrid[:height, :width]
    shape = (batch, channels, height, width)
    match kind:
        case "photograph":
            crops = [photograph()[40 * b : 40 * b + height, 150 + 60 * b : 150 + 60 * b + width] for b in range(batch)]
            return to_batch(np.stack(crops)[..., :channels], channels)
        case "flat":  # equal scores everywhere: the worst case of a half-precision softmax
            return np.full(shape, 0.5, np.float32)
        case "noise":
            return np.random.default_rng(0).random(shape, np.float32)
        case "checkerboard":
            return np.broadcast_to(((rows + columns) % 2).astype(np.float32), shape).copy()
        case "impulse":
            return np.broadcast_to(((rows == height // 2) & (columns == width // 3)).astype(np.float32), shape).copy()
    raise ValueError(kind)


def photograph_tiles(channels: int, tile: int) -> list[np.ndarray]:
    """Tiles that cover the photograph, each a batch of one."""
    picture = photograph()[..., :channels]
    height, width = picture.shape[:2]
    corners = [(top, left) for top in starts(height, tile, tile) for left in starts(width, tile, tile)]
    return [to_batch(picture[top : top + tile, left : left + tile], channels) for top, left in corners]


@cache
def photograph() -> np.ndarray:
    """(321, 481, 3) uint8."""
    return read_rgb(PHOTOGRAPH)
