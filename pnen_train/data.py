"""Training batches: random patches, flipped and turned; which ones depends on seed and step alone, so a resumed run sees the same."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .targets import Pair


def to_tensor(images: np.ndarray) -> Tensor:
    """(B, H, W, C) uint8 → (B, C, H, W) float32 in [0, 1], stored channels last."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255)


def batch_of(pairs: Sequence[Pair], crop: int, batch: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """The batch of this step: inputs and targets, each (batch, C, crop, crop) in [0, 1].

    Images are drawn uniformly, then a place in them; input and target are flipped with probability 1/2 and turned by k·90 degrees alike.
    Targets were made from whole images, so the filter's view never ends at the edge of a patch.
    """
    random = np.random.default_rng((seed, step))
    patches = [_patch(*pairs[random.integers(len(pairs))], crop, random) for _ in range(batch)]
    inputs, targets = (np.stack(part) for part in zip(*patches, strict=True))
    return to_tensor(inputs), to_tensor(targets)


def _patch(image: np.ndarray, target: np.ndarray, crop: int, random: np.random.Generator) -> list[np.ndarray]:
    top, left = (random.integers(side - crop + 1) for side in image.shape[:2])
    turns, flip = random.integers(4), random.integers(2)
    parts = [np.rot90(part[top : top + crop, left : left + crop], turns) for part in (image, target)]
    return [part[:, ::-1] if flip else part for part in parts]
