"""Scores of anything that maps an image to an image: a network, an engine, a classical filter."""

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from statistics import fmean
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pnen_runtime.tiles import Blend, smooth_tiled

from .metrics import psnr, ssim, ssim_box7
from .targets import Pair

Smooth = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]  # (H, W, 3) → the same
log = logging.getLogger("pnen")


@dataclass(frozen=True)
class Scores:
    """Means over images, all of uint8 results against uint8 targets."""

    psnr: float  # dB, of the images that differ from their targets; inf where none does
    ssim: float
    ssim_box7: float
    seconds: float  # for an image
    images: int

    def record(self) -> dict[str, Any]:
        """For JSON, which knows no infinity."""
        return {key: value if math.isfinite(value) else None for key, value in asdict(self).items()}


def evaluate(smooth: Smooth, pairs: Iterable[Pair]) -> Scores:
    """Score `smooth` on pairs of input and target, (H, W, 3) uint8 each; the mean is over images, not over pixels.

    The infinite PSNR of a result that equals its target is left out of the mean, with a warning.
    """
    rows = []
    for image, target in pairs:
        start = perf_counter()
        result = smooth(image)
        seconds = perf_counter() - start
        rows.append((psnr(result, target), ssim(result, target), ssim_box7(result, target), seconds))
    if not rows:
        raise ValueError("expected at least one pair, got none")
    levels, *others = zip(*rows, strict=True)
    finite = [level for level in levels if math.isfinite(level)]
    if len(finite) < len(rows):
        log.warning("%d of %d results equal their targets: left out of PSNR", len(rows) - len(finite), len(rows))
    similar, similar_box7, seconds = map(fmean, others)
    return Scores(fmean(finite) if finite else math.inf, similar, similar_box7, seconds, len(rows))


def network_smoother(
    model: nn.Module,
    tile: int | Literal["whole"] = "whole",
    step: int | None = None,
    blend: Blend = "feather",
    device: str | torch.device = "cpu",
) -> Smooth:
    """The network as a function of uint8 images, in the tiles that `pnen_runtime` would use."""

    @torch.inference_mode()
    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        x = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
        return model(x)[-1].float().cpu().numpy()

    return lambda image: smooth_tiled(run, image, tile, step, blend)
