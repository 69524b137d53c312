"""Gaussian noise: on pictures that are scored, and anew on every batch that a denoiser learns from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..metrics import levels
from .pictures import LUMA
from .targets import Pair

GREY_SHARE = 4  # one in so many crops of a colour denoiser is grey, so that it knows what a grey picture is
CLEAN_SHARE = 8  # one in so many has no noise, whatever σ its map names, so that what is clean is left alone


@dataclass(frozen=True)
class Noise:
    """What is added: σ in 8-bit levels, or for an adjustable network the range from which each crop draws its own.

    In `colour`, noisy pictures are rounded to 8 bits, as files are; in grey they are floats, neither clipped nor
    rounded, as in papers.
    """

    sigma: float
    between: tuple[float, ...] = ()
    colour: bool = False

    def on(self, images: Sequence[NDArray[np.uint8]], sets: Sequence[Path]) -> list[Pair]:
        """Noisy (H, W, C) images, and the clean ones; a grey picture in RGB gets one noise in all channels.

        The noise of each set (a folder) starts anew from seed 0 and goes on from image to image, as in the authors'
        code.
        """
        draws = {folder: np.random.RandomState(0) for folder in sets}
        pairs: list[Pair] = []
        for image, folder in zip(images, sets, strict=True):
            channels = 1 if is_grey(image) else image.shape[2]
            noisy = image / 255 + draws[folder].normal(0, self.sigma / 255, (*image.shape[:2], channels))
            pairs.append((levels(noisy) if self.colour else noisy.astype(np.float32), image))
        return pairs

    def on_batch(self, clean: Tensor, random: np.random.Generator, share: slice, batch: int) -> tuple[Tensor, ...]:
        """Of a share of a batch, (B, H, W, C) uint8: inputs and targets, and (B, H, W, 1) maps of σ if they vary.

        Everything is drawn for the whole batch, so that several processes together hold the batch of one. Half of the
        crops have one σ, half two that meet at a line, so that a network learns to change within a picture.
        """
        height, width, channels = clean.shape[1:]
        if not self.between:
            sigma: NDArray[np.float64] = np.full((batch, 1, 1, 1), self.sigma)
        else:
            least, most = self.between
            left, right = (random.uniform(least, most, (batch, 1, 1, 1)) for _ in range(2))
            meeting = random.integers(width, size=(batch, 1, 1, 1)) * random.integers(2, size=(batch, 1, 1, 1))
            sigma = np.where(np.arange(width)[:, None] < meeting, left, right)
        grey = random.integers(GREY_SHARE, size=batch) == 0 if self.colour else np.zeros(batch, bool)
        noisy = random.integers(CLEAN_SHARE, size=(batch, 1, 1, 1)) > 0 if self.between else True
        added = random.normal(0, 1, (batch, height, width, channels)) * sigma * noisy
        added = np.where(grey[:, None, None, None], added[..., :1], added)[share]
        target = clean
        if self.colour:
            luma = (clean.double() @ torch.from_numpy(LUMA).to(clean.device)).round().to(torch.uint8)[..., None]
            target = torch.where(torch.from_numpy(grey[share])[:, None, None, None].to(clean.device), luma, clean)
        whole = target.double() + torch.from_numpy(added).to(clean.device)
        inputs = whole.round().clip(0, 255).to(torch.uint8) if self.colour else whole / 255
        if not self.between:
            return inputs, target
        maps = torch.from_numpy(np.broadcast_to(sigma, (batch, height, width, 1))[share].astype(np.float32))
        return inputs, target, maps.to(clean.device)


def is_grey(image: NDArray[np.uint8]) -> bool:
    """Whether all channels of an (H, W, C) picture are the same."""
    return bool((image == image[..., :1]).all())
