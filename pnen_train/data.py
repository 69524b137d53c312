"""Training batches of random patches, cut on the device that trains; seed and step alone say which."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .targets import Pair

Images = Sequence[tuple[Tensor, Tensor]]  # inputs and targets, each (H, W, C), on the device that trains


def on_device(pairs: Sequence[Pair], device: torch.device) -> Images:
    """The pairs as they are, bytes as bytes; on a GPU all of them are there, on the CPU none is copied."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of arrays that may not be written to: nothing here writes
        return [(torch.from_numpy(image).to(device), torch.from_numpy(target).to(device)) for image, target in pairs]


def to_tensor(images: Tensor) -> Tensor:
    """(B, H, W, C) uint8, or floats in [0, 1] → (B, C, H, W) float32 in [0, 1], stored channels last."""
    images = images.permute(0, 3, 1, 2)
    return images.float().div(255) if images.dtype == torch.uint8 else images.float()


def batch_of(
    images: Images, crop: int, batch: int, seed: int, step: int, *, noise: float = 0, rank: int = 0, processes: int = 1
) -> tuple[Tensor, Tensor]:
    """The batch of this step: inputs and targets, each (batch / processes, C, crop, crop) in [0, 1].

    Images are drawn uniformly, then a place in them; input and target are flipped with probability 1/2 and turned by
    k·90 degrees alike. Targets were made from whole images, so the filter's view never ends at the edge of a patch.
    Gaussian noise of this σ, in 8-bit levels, is drawn anew for every batch and added to the inputs, not clipped.
    Of several processes each takes its share; together they hold the batch of one.
    """
    random = np.random.default_rng((seed, step))
    places = [_place(images, crop, random) for _ in range(batch)]
    patches = [_patch(images, crop, *place) for place in places[rank::processes]]
    inputs, targets = (torch.stack(part) for part in zip(*patches, strict=True))
    if noise:
        drawn = random.normal(0, noise / 255, (batch, *inputs.shape[1:]))[rank::processes]
        inputs = inputs.double() / 255 + torch.from_numpy(drawn).to(inputs.device)
    return to_tensor(inputs), to_tensor(targets)


def _place(images: Images, crop: int, random: np.random.Generator) -> tuple[int, int, int, int, bool]:
    """Which image, the top and left of a patch, its quarter turns, and whether it is flipped."""
    index = int(random.integers(len(images)))
    top, left = (int(random.integers(side - crop + 1)) for side in images[index][0].shape[:2])
    return index, top, left, int(random.integers(4)), bool(random.integers(2))


def _patch(images: Images, crop: int, index: int, top: int, left: int, turns: int, flip: bool) -> tuple[Tensor, Tensor]:
    image, target = (part[top : top + crop, left : left + crop].rot90(turns) for part in images[index])
    return (image.flip(1), target.flip(1)) if flip else (image, target)
