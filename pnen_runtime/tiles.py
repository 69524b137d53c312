"""Smoothing in overlapping tiles, with memory for one band of rows however large the image is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from .border import MARGIN, Border, continued, margin
from .errors import UsageError
from .image import from_batch, to_batch

# (B, C, h, w) float32 in [0, 1], and for adjustable networks (B, 1, h, w) strengths → the first's shape
Run = Callable[..., np.ndarray]
Progress = Callable[[int, int], None]  # tiles done, tiles in all
Blend = Literal["feather", "inner", "uniform"]
BLENDS: tuple[str, ...] = get_args(Blend)
JOINT = 16  # pixels over which inner parts of tiles are joined


def blend_for(config: Mapping[str, Any]) -> Blend:
    """How tiles of a network with these settings are joined.

    What a non-local block sees of a tile changes all of it, so its tiles fade into each other. Without one a tile is
    right but near its borders, where it does not know what lies beyond: those are dropped.
    """
    return "feather" if config.get("scales") else "inner"


def on_grid(length: int, tile: int, step: int, grid: int = 1) -> tuple[int, int]:
    """Tile and step along an axis of `length` pixels: as asked, or less by under `grid`, so that tiles begin on it.

    A network on a coarser grid gives another result for a picture that is moved by part of a place.
    """
    side = min(length, tile)
    side -= (side - length) % grid
    step = min(step, side)
    return side, step - step % grid if step > grid else step


def starts(length: int, tile: int, step: int) -> list[int]:
    """Where the tiles of one axis begin: 0, step, 2·step, ... and one flush with the far edge."""
    if length <= tile:
        return [0]
    regular = list(range(0, length - tile + 1, step))
    return regular if regular[-1] + tile == length else [*regular, length - tile]


def smooth_tiled(
    run: Run,
    image: np.ndarray,
    tile: int | Literal["whole"] = "whole",
    step: int | None = None,
    blend: Blend = "feather",
    *,
    grid: int = 1,
    channels: int = 3,
    batch: int = 1,
    clip: bool = True,
    strength: float | np.ndarray | None = None,
    border: Border = "",
    out: np.ndarray | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Smooth an image by `run`, in tiles where it is larger than `tile`.

    Parameters
    ----------
    run : (B, C, h, w) float32 in [0, 1] → the same shape; B is at most `batch`. It must not keep or change its input.
    image : (H, W, 1|3), uint8, uint16 or floats in [0, 1]
    tile : pixels a side, or "whole"; a side of the image that is shorter is taken as it is
    step : pixels from one tile to the next, at most `tile`; by default half of it
    blend : "uniform" clips every tile to [0, 1] and averages the overlaps, the protocol of the paper's authors;
        "feather" weighs the same tiles by a ramp over the overlap, so that no seam shows; "inner" drops the outer
        parts of overlaps and joins what is left over 16 pixels (see `blend_for`)
    grid : pixels a side of a place in the network's feature maps; tiles begin on it where `step` is a multiple of it
    channels : what the network takes, 1 or 3
    batch : tiles given to `run` at once
    strength : for an adjustable network, a number or an (H, W) array; `run` then takes those of each tile besides
    border : how the image goes on beyond its border (`pnen_runtime.border`)
    clip : False keeps floats of the image that are outside [0, 1], as noise may be; the result is always clipped
    out : where to put the result; by default new, of the type of `image`. Floats give the values before rounding.
    progress : called after each batch with the tiles done and the tiles in all

    Returns
    -------
    out : of the shape of `image`
    """
    height, width = image.shape[:2]
    side = max(height, width) + 2 * MARGIN if tile == "whole" else tile
    step = max(1, side // 2) if step is None else step
    if not 1 <= step <= side:
        raise UsageError(f"expected a step of 1 to {side} pixels for tiles of {side}, got {step}")
    if blend not in BLENDS:
        raise UsageError(f"expected the blend {' or '.join(BLENDS)}, got {blend!r}")
    out = np.empty_like(image) if out is None else out
    above, beside = margin(height, side, border, grid), margin(width, side, border, grid)
    tall, broad = height + 2 * above, width + 2 * beside
    high, down = on_grid(tall, side, step, grid)
    wide, across = on_grid(broad, side, step, grid)
    rows, columns = starts(tall, high, down), starts(broad, wide, across)
    row_weights = tile_weights(rows, high, tall, down, blend)
    column_weights = tile_weights(columns, wide, broad, across, blend)
    done, total = 0, len(rows) * len(columns)

    def part(values: np.ndarray, top: int) -> np.ndarray:
        return continued(continued(values, top - above, high, border, 0), -beside, broad, border, 1)

    band = np.zeros((1, channels, high, broad), np.float32)  # the rows still open, from the current tile's top
    for row, (top, below) in enumerate(pairwise([*rows, tall])):
        strengths = part(strength, top) if isinstance(strength, np.ndarray) else strength
        for first, smooth in _strip(run, part(image, top), columns, wide, channels, batch, clip, strengths):
            for column, pixels in enumerate(smooth, first):
                left = columns[column]
                weights = row_weights[row][:, None] * column_weights[column]
                band[0, :, :, left : left + wide] += np.clip(pixels, 0, 1) * weights
            done += len(smooth)
            if progress is not None:
                progress(done, total)
        closed = below - top
        inside = slice(max(0, top - above), max(0, min(height, below - above)))
        shown = slice(inside.start + above - top, inside.stop + above - top)
        if shown.stop > shown.start:
            from_batch(band[:, :, shown, beside : beside + width], out[None, inside])
        band[:, :, : high - closed] = band[:, :, closed:]
        band[:, :, high - closed :] = 0
    return out


def _strip(
    run: Run,
    strip: np.ndarray,
    columns: list[int],
    wide: int,
    channels: int,
    batch: int,
    clip: bool,
    strength: float | np.ndarray | None,
) -> Iterator[tuple[int, np.ndarray]]:
    """The smoothed tiles of one strip of rows: (number of the first, (B, C, h, w)) for each batch."""
    for first in range(0, len(columns), batch):
        lefts = columns[first : first + batch]
        tiles = [strip[:, left : left + wide] for left in lefts]
        inputs = [to_batch(np.stack(tiles) if len(tiles) > 1 else tiles[0], channels, clip=clip)]
        if isinstance(strength, np.ndarray):
            maps = [strength[None, :, left : left + wide] for left in lefts]
            inputs.append(np.stack(maps).astype(np.float32))
        elif strength is not None:
            inputs.append(np.full((len(lefts), 1, *inputs[0].shape[2:]), strength, np.float32))
        yield first, run(*inputs)


def tile_weights(begins: list[int], size: int, length: int, step: int, blend: Blend) -> list[np.ndarray]:
    """For each tile of one axis, the weight of its pixels; over all tiles they add up to 1 at every pixel."""
    windows = [np.ones(size) for _ in begins]
    if blend != "uniform":
        ramp = max(1, min(size - step, size // 2))
        dropped = 0
        if blend == "inner" and ramp > JOINT:
            ramp, dropped = JOINT, min((size - step - JOINT) // 2, size // 2 - JOINT)
        rise = np.concatenate([np.zeros(dropped), np.sin(np.pi / 2 * (np.arange(ramp) + 0.5) / ramp) ** 2])
        for begin, window in zip(begins, windows, strict=True):
            if begin > 0:
                window[: len(rise)] = rise
            if begin + size < length:
                window[size - len(rise) :] = np.minimum(window[size - len(rise) :], rise[::-1])
    total = np.zeros(length)
    for begin, window in zip(begins, windows, strict=True):
        total[begin : begin + size] += window
    return [
        (window / total[begin : begin + size]).astype(np.float32) for begin, window in zip(begins, windows, strict=True)
    ]


def of_frames(progress: Progress, number: int, count: int) -> Progress:
    """Progress over frame `number` of `count` as progress over all."""
    return lambda done, total: progress(number * total + done, count * total)
