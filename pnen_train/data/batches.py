"""Training batches of random patches, cut on the device that trains; seed and step alone say which."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .noise import Noise
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
    images: Images,
    crop: int,
    batch: int,
    seed: int,
    step: int,
    *,
    noise: Noise | None = None,
    strengths: Sequence[float] = (),
    rank: int = 0,
    processes: int = 1,
) -> tuple[Tensor, ...]:
    """The batch of this step: inputs and targets, each (batch / processes, C, crop, crop) in [0, 1].

    Images are drawn uniformly, then a place in them; input and target are flipped with probability 1/2 and turned by
    k·90 degrees alike. Targets were made from whole images, so the filter's view never ends at the edge of a patch.
    `noise` is drawn anew for every batch and added to the inputs. Of several processes each takes its share; together
    they hold the batch of one.

    Where the images have targets of several `strengths`, one of them is drawn for each patch, or two that meet at a
    line, so that a network learns to change its strength within a picture; their maps, (batch / processes, 1, crop,
    crop), come third, and so do those of σ where noise varies.
    """
    random = np.random.default_rng((seed, step))
    places = [_place(images, crop, random) for _ in range(batch)]
    drawn = [_strengths(len(strengths), crop, random) for _ in range(0 if noise or not strengths else batch)]
    patches = [_patch(images, crop, *place) for place in places[rank::processes]]
    inputs, targets = (torch.stack(part) for part in zip(*patches, strict=True))
    if noise:
        inputs, targets, *maps = noise.on_batch(inputs, random, slice(rank, None, processes), batch)
        return to_tensor(inputs), to_tensor(targets), *(part.permute(0, 3, 1, 2) for part in maps)
    if strengths:
        return _at_strengths(inputs, targets, drawn[rank::processes], strengths)
    return to_tensor(inputs), to_tensor(targets)


def _place(images: Images, crop: int, random: np.random.Generator) -> tuple[int, int, int, int, bool]:
    """Which image, the top and left of a patch, its quarter turns, and whether it is flipped."""
    index = int(random.integers(len(images)))
    top, left = (int(random.integers(side - crop + 1)) for side in images[index][0].shape[:2])
    return index, top, left, int(random.integers(4)), bool(random.integers(2))


def _strengths(count: int, crop: int, random: np.random.Generator) -> tuple[int, int, int]:
    """Which strengths are on the left and on the right of a patch, and the column where they meet; half have one."""
    left, right = (int(random.integers(count)) for _ in range(2))
    return left, right, int(random.integers(crop)) if random.integers(2) else 0


def _at_strengths(
    inputs: Tensor, targets: Tensor, drawn: Sequence[tuple[int, int, int]], strengths: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Of targets of all strengths, (B, S, crop, crop, C), those drawn, and the maps of strengths."""
    values = torch.tensor(strengths, device=inputs.device)
    on_left = torch.arange(inputs.shape[2], device=inputs.device) < torch.tensor([[at] for _, _, at in drawn],
                                                                                 device=inputs.device)  # fmt: skip
    left, right = (torch.tensor([each[side] for each in drawn], device=inputs.device) for side in (0, 1))
    which = torch.where(on_left, left[:, None], right[:, None])  # (B, crop), by column
    maps = values[which][:, None, None, :].expand(-1, 1, inputs.shape[1], -1)
    index = which[:, None, None, :, None].expand(-1, 1, *inputs.shape[1:])
    return to_tensor(inputs), to_tensor(targets.gather(1, index)[:, 0]), maps


def _patch(images: Images, crop: int, index: int, top: int, left: int, turns: int, flip: bool) -> tuple[Tensor, Tensor]:
    image, target = (
        part[..., top : top + crop, left : left + crop, :].rot90(turns, (-3, -2)) for part in images[index]
    )
    return (image.flip(-2), target.flip(-2)) if flip else (image, target)
