"""Scores of anything that maps an image to an image: a network, an engine, a classical filter."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean
from time import perf_counter
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pnen_runtime.tiles import Blend, smooth_tiled

from .metrics import psnr, ssim, ssim_box7
from .targets import Pair

Smooth = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]  # (H, W, 3) → the same


@dataclass(frozen=True)
class Scores:
    """Means over images, all of uint8 results against uint8 targets."""

    psnr: float  # dB
    ssim: float
    ssim_box7: float
    seconds: float  # for an image
    images: int


def evaluate(smooth: Smooth, pairs: Iterable[Pair]) -> Scores:
    """Score `smooth` on pairs of input and target, (H, W, 3) uint8 each. The mean is over images, not over pixels."""
    rows = []
    for image, target in pairs:
        start = perf_counter()
        result = smooth(image)
        rows.append((psnr(result, target), ssim(result, target), ssim_box7(result, target), perf_counter() - start))
    if not rows:
        raise ValueError("expected at least one pair, got none")
    return Scores(*(fmean(column) for column in zip(*rows, strict=True)), images=len(rows))


def network_smoother(
    model: nn.Module, tile: int | Literal["whole"] = "whole", step: int | None = None, blend: Blend = "feather", device: str = "cpu"
) -> Smooth:
    """The network as a function of uint8 images, in the tiles that `pnen_runtime` would use."""

    @torch.inference_mode()
    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        x = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
        return model(x)[-1].float().cpu().numpy()

    return lambda image: smooth_tiled(run, image, tile, step, blend)
