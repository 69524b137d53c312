"""Smoothing in overlapping tiles on the GPU: only the picture's own bytes go there and back.

The kernels of `pixels.cu` cut the picture into tiles, blend them and round the result, as `pnen_runtime.tiles` does on
the host. While one row of tiles is smoothed, the next one is on its way to the GPU and the last one on its way back.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil, inf

import numpy as np

from ..border import Border, margin
from ..errors import NotFinite, UsageError
from ..tiles import Blend, Progress, on_grid, starts, tile_weights
from . import BLOCK, blocks
from .arrays import CudaArray
from .lane import Lane
from .transfer import Download, InPlace, Upload

KINDS_OF_BORDER = {"": 0, "wrap": 1, "reflect": 2}  # as the kernels have them
UP, MAP = slice(0, 2), slice(4, 6)  # pieces of page-locked memory of a lane


def smooth_tiled(
    lane: Lane,
    picture: np.ndarray | CudaArray,
    out: np.ndarray | CudaArray,
    tile: int,
    step: int,
    blend: Blend,
    *,
    grid: int = 1,
    channels: int,
    batch: int,
    strength: float | np.ndarray | CudaArray | None = None,
    limits: tuple[float, float] = (-inf, inf),
    border: Border = "",
    mix: float = 1.0,
    progress: Progress | None = None,
) -> None:
    """Smooth a picture into `out`, both (H, W, 1|3) and both on the host or both on the GPU, `batch` tiles at once.

    `strength` of an adjustable network is a number, or an (H, W) map of numbers on the host or on the GPU, from
    `limits[0]` to `limits[1]`; a number is filled in on the GPU, a map is cut as the picture is. The other arguments
    are those of `pnen_runtime.tiles.smooth_tiled`. Raises UsageError where the map has other values, NotFinite where
    the network gives values that are no numbers.
    """
    height, width, given = picture.shape
    above, beside = margin(height, tile, border, grid), margin(width, tile, border, grid)
    tall, broad = height + 2 * above, width + 2 * beside
    high, down = on_grid(tall, tile, step, grid)
    wide, across = on_grid(broad, tile, step, grid)
    rows, columns = starts(tall, high, down), starts(broad, wide, across)
    at_once = ceil(len(columns) / ceil(len(columns) / batch))  # even batches need fewer contexts
    cuda, work = lane.cuda, lane.work
    lane.need_batch((at_once, channels, high, wide))
    for buffer, size in ((lane.band, 4 * channels * high * broad), (lane.bad, 8)):
        cuda.fill(buffer.need(size), size, work)
    row_weights = tile_weights(rows, high, tall, down, blend)
    column_weights = tile_weights(columns, wide, broad, across, blend)
    *row_addresses, column_address = _upload_weights(lane, [*row_weights, np.concatenate(column_weights)])

    source = Upload(lane, picture, lane.picture, UP) if isinstance(picture, np.ndarray) else InPlace(lane, picture)
    strengths: Upload | InPlace | None = None
    if isinstance(strength, (np.ndarray, CudaArray)):
        lane.need_strength(at_once * high * wide)
        if strength.shape != (height, width):
            raise UsageError(f"expected a map of strengths of shape {(height, width)}, got {strength.shape}")
    if isinstance(strength, np.ndarray):
        strengths = Upload(lane, strength, lane.map, MAP)
    elif isinstance(strength, CudaArray):
        strengths = InPlace(lane, strength)
    elif strength is not None:
        lane.fill_strength(strength, at_once * high * wide)
    target = Download(lane, out) if isinstance(out, np.ndarray) else InPlace(lane, out)
    beyond = [np.int32(value) for value in (KINDS_OF_BORDER[border], height, width, beside)]
    for row, (top, below) in enumerate(pairwise([*rows, tall])):
        bottom = height if border == "wrap" and above else min(height, top - above + high)
        for lower in [*range(high, bottom, high), bottom]:  # in pieces, of which each is held twice
            source.need(lower)
            if strengths is not None:
                strengths.need(lower)
        for first in range(0, len(columns), at_once):
            count = min(at_once, len(columns) - first)
            place = [np.int32(value) for value in (count, channels, high, wide, top, first, across, broad)]
            here = [*place[:4], np.int32(top - above), *place[5:], *beyond]
            cut = [*source.frame.arguments(), np.int32(given), np.uint64(lane.image.pointer), *here]
            cuda.launch(f"cut_{source.frame.kind}", blocks(wide, high, count * channels), BLOCK, cut, work)
            if strengths is not None:
                addresses = [np.uint64(lane.strength.pointer), np.uint64(lane.bad.pointer + 4)]
                cut = [*strengths.frame.arguments(), *map(np.float32, limits), *addresses, here[0], *here[2:]]
                cuda.launch(f"cut_strength_{strengths.frame.kind}", blocks(wide, high, count), BLOCK, cut, work)
            lane.enqueue((count, channels, high, wide))
            used = (lane.image.pointer, lane.smooth.pointer, lane.band.pointer, row_addresses[row], column_address)
            blended = [*map(np.uint64, used), np.float32(mix), np.uint64(lane.bad.pointer), *place]
            cuda.launch("blend", blocks(broad, high, channels), BLOCK, blended, work)
        numbers = [np.int32(v) for v in (channels, given, high, broad, top, below - top, above, beside, height, width)]
        put = [np.uint64(lane.band.pointer), *target.frame.arguments(), *numbers]
        cuda.launch(f"put_{target.frame.kind}", blocks(broad, below - top, 1), BLOCK, put, work)
        if (last := min(height, below - above)) > (begin := max(0, top - above)):
            target.take(begin, last)
        if row and progress is not None:
            target.wait()  # for the row before; one stays under way
            progress(row * len(columns), len(rows) * len(columns))
    cuda.synchronize(lane.up)
    bad = lane.staging[0].need((2,), np.dtype(np.int32))
    cuda.download(bad, lane.bad.pointer, work)
    cuda.synchronize(work)
    if bad[1]:
        least, most = limits
        raise UsageError(f"expected a map of strengths from {least:g} to {most:g}, got others in it; clip it first")
    if bad[0]:
        raise NotFinite("the network gave values that are not numbers")
    target.finish()
    if progress is not None:
        progress(len(rows) * len(columns), len(rows) * len(columns))


def _upload_weights(lane: Lane, parts: list[np.ndarray]) -> list[int]:
    """The address of each."""
    together = np.concatenate(parts).astype(np.float32)
    start = lane.weights.need(together.nbytes)
    staged = lane.staging[2].need(together.shape, together.dtype)
    np.copyto(staged, together)
    lane.cuda.upload(start, staged, lane.work)
    lane.cuda.synchronize(lane.work)
    return [start + 4 * int(before) for before in np.cumsum([0, *(len(part) for part in parts[:-1])])]
