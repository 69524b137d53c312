"""Training batches of random patches; seed and step alone say which, so a resumed run sees the same ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .targets import Pair


def to_tensor(images: NDArray[Any]) -> Tensor:
    """(B, H, W, C) uint8, or floats in [0, 1] → (B, C, H, W) float32 in [0, 1], stored channels last."""
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    return tensor.float().div(255) if images.dtype == np.uint8 else tensor.float()


def batch_of(
    pairs: Sequence[Pair], crop: int, batch: int, seed: int, step: int, *, noise: float = 0
) -> tuple[Tensor, Tensor]:
    """The batch of this step: inputs and targets, each (batch, C, crop, crop) in [0, 1].

    Images are drawn uniformly, then a place in them; input and target are flipped with probability 1/2 and turned by
    k·90 degrees alike. Targets were made from whole images, so the filter's view never ends at the edge of a patch.
    Gaussian noise of this σ, in 8-bit levels, is drawn anew for every batch and added to the inputs, not clipped.
    """
    random = np.random.default_rng((seed, step))
    patches = [_patch(pairs[int(random.integers(len(pairs)))], crop, random) for _ in range(batch)]
    inputs, targets = (np.stack(part) for part in zip(*patches, strict=True))
    if noise:
        inputs = inputs / 255 + random.normal(0, noise / 255, inputs.shape)
    return to_tensor(inputs), to_tensor(targets)


def _patch(pair: Pair, crop: int, random: np.random.Generator) -> Pair:
    top, left = (int(random.integers(side - crop + 1)) for side in pair[0].shape[:2])
    turns, flip = int(random.integers(4)), bool(random.integers(2))
    image, target = (np.rot90(part[top : top + crop, left : left + crop], turns) for part in pair)
    return (image[:, ::-1], target[:, ::-1]) if flip else (image, target)
