"""Scores of anything that maps an image to an image: a network, an engine, a classical filter."""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pnen_runtime.border import Border
from pnen_runtime.tiles import Blend, blend_for, smooth_tiled

from ..data.targets import Pair
from ..metrics import levels, psnr, ssim, ssim_box7

Smooth = Callable[[NDArray[Any]], NDArray[Any]]  # (H, W, C) uint8 or floats in [0, 1] → the same
log = logging.getLogger("pnen")


@dataclass(frozen=True)
class Scores:
    """Means over images, all of 8-bit results against 8-bit targets."""

    psnr: float  # dB, of the images that differ from their targets; inf where none does
    ssim: float
    ssim_box7: float
    seconds: float  # for an image
    images: int
    psnr_floor: float | None = None  # dB, of float results cut off to 8 bits, not rounded, as the authors' code does

    def record(self) -> dict[str, Any]:
        """For JSON, which knows no infinity."""
        known = {key: value for key, value in asdict(self).items() if value is not None}
        return {key: value if math.isfinite(value) else None for key, value in known.items()}


def evaluate(
    smooth: Smooth,
    pairs: Iterable[Pair],
    shave: int = 0,
    *,
    quantise: bool = True,
    clock: Callable[[], float] = perf_counter,
    seen: Callable[[NDArray[Any]], None] = lambda _: None,
) -> Scores:
    """Score `smooth` on pairs of input and target, (H, W, C); the mean is over images, not over pixels.

    `shave` pixels on each side are left out. Results of floats are first rounded to 8 bits; without `quantise` they
    are scored as they are, which is how a noisy image is usually given its PSNR. The infinite PSNR of a result that
    equals its target is left out of the mean, with a warning. `clock` gives seconds: `time.process_time` those of
    the CPU, which other work on the machine hardly lengthens. `seen` gets each result, whole and before it is rounded.
    """
    rows, floors = [], []
    for image, target in pairs:
        start = clock()
        result = smooth(image)
        seconds = clock() - start
        seen(result)
        inner = tuple(slice(shave, side - shave) for side in target.shape[:2])
        result, target = result[inner], target[inner]
        if result.dtype != np.uint8 and quantise:
            floors.append(psnr(levels(result, np.floor), target))
            result = levels(result)
        final = result if result.dtype == np.uint8 else 255.0 * result
        rows.append((psnr(final, target), ssim(final, target), ssim_box7(final, target), seconds))
    if not rows:
        raise ValueError("expected at least one pair, got none")
    decibels, *others = zip(*rows, strict=True)
    finite = [value for value in decibels if math.isfinite(value)]
    if len(finite) < len(rows):
        log.warning("%d of %d results equal their targets: left out of PSNR", len(rows) - len(finite), len(rows))
    similar, similar_box7, seconds = map(fmean, others)
    floor = fmean(floors) if floors else None
    return Scores(fmean(finite) if finite else math.inf, similar, similar_box7, seconds, len(rows), floor)


def mean_scores(rows: Sequence[Scores]) -> Scores:
    """The means of scores on the same images, at several strengths."""
    floors = [row.psnr_floor for row in rows if row.psnr_floor is not None]
    decibels, similar, similar_box7, seconds = (
        fmean(column) for column in zip(*((r.psnr, r.ssim, r.ssim_box7, r.seconds) for r in rows), strict=True)
    )
    floor = fmean(floors) if floors else None
    return Scores(decibels, similar, similar_box7, seconds, rows[0].images, floor)


def network_smoother(
    model: nn.Module,
    tile: int | Literal["whole"] = "whole",
    step: int | None = None,
    blend: Blend | None = None,
    device: str | torch.device = "cpu",
    strength: float | None = None,
    border: Border = "",
) -> Smooth:
    """The network as a function of images, in the tiles that `pnen_runtime` would use; a whole image has no step.

    An adjustable network smooths with this `strength`. Floats come back as floats, and what is outside [0, 1] reaches
    the network as it is. With `border` an image goes on beyond its border (`pnen_runtime.border`).
    """

    config: Any = getattr(model, "config", None)
    settings = asdict(config) if config else {}
    step, joined, grid = None if tile == "whole" else step, blend or blend_for(settings), settings.get("grid", 1)

    @torch.inference_mode()
    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        x = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
        wanted = () if strength is None else (x.new_full((len(x), 1, *x.shape[2:]), strength),)
        return model(x, *wanted)[-1].float().cpu().numpy()

    return lambda image: smooth_tiled(
        run, image, tile, step, joined, grid=grid, channels=image.shape[2], clip=False, border=border
    )
