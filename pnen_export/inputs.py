"""What an exported file is tried on: a photograph, and what breaks networks, attention and half precision first."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

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
    strength: str = ""  # in words; empty for networks of one strength
    maps: list[np.ndarray] = field(default_factory=list)  # (B, 1, H, W) float32 strengths of each batch, or none

    @property
    def given(self) -> list[tuple[np.ndarray, ...]]:
        """What the network takes for each batch."""
        return list(zip(self.batches, self.maps, strict=True)) if self.maps else [(batch,) for batch in self.batches]


def make_inputs(channels: int, tile: int) -> list[Input]:
    """Every kind at every size, and all of the photograph in tiles."""
    inputs = [
        Input(kind, f"{batch}x{height}x{width}", [make_batch(kind, batch, height, width, channels)])
        for batch, height, width in SIZES
        for kind in KINDS
    ]
    tiles = photograph_tiles(channels, tile)
    return [*inputs, Input("photograph", f"{len(tiles)} tiles of {tile} (321x481)", tiles)]


def at_strengths(inputs: Iterable[Input], strength: dict[str, Any]) -> list[Input]:
    """All inputs at the least, the default and the most strength of a card, and the photographs at a map of strengths.

    The same where the card has none: its network has one strength.
    """
    inputs = list(inputs)
    if not strength:
        return inputs
    found = [
        replace(given, strength=f"{value:g}", maps=[constant_map(batch, value) for batch in given.batches])
        for value in dict.fromkeys(strength[end] for end in ("least", "default", "most"))
        for given in inputs
    ]
    mapped = [given for given in inputs if given.kind == "photograph"]
    return found + [
        replace(given, strength="a map", maps=[varied_map(batch, strength) for batch in given.batches])
        for given in mapped
    ]


def constant_map(batch: np.ndarray, strength: float) -> np.ndarray:
    """(B, 1, H, W) float32 for a (B, C, H, W) batch."""
    return np.full((len(batch), 1, *batch.shape[2:]), strength, np.float32)


def varied_map(batch: np.ndarray, strength: dict[str, Any]) -> np.ndarray:
    """Strengths from the least to the most along both sides, the other way round in every second picture."""
    count, _, height, width = batch.shape
    rows, columns = np.mgrid[:height, :width]
    rise = (rows / (height - 1) + columns / (width - 1)) / 2
    shares = np.stack([rise if number % 2 == 0 else 1 - rise for number in range(count)])[:, None]
    least, most = strength["least"], strength["most"]
    values = least * (most / least) ** shares if strength["scale"] == "log" else least + (most - least) * shares
    return np.clip(values.astype(np.float32), np.float32(least), np.float32(most))


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
