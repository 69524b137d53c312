"""What a network computes inside: whom a pixel looks at, and feature maps before and after a non-local block."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pnen_runtime.errors import UsageError
from pnen_runtime.image import to_batch
from pnen_train.models.pnb import PyramidNonLocal, as_pixels, queries


@dataclass(frozen=True)
class Correlation:
    """How much each reference pixel of one scale counts for one pixel; the weights sum to one."""

    block: int  # from 1
    scale: int
    weights: NDArray[np.float64]  # (ceil(H/s), ceil(W/s))
    stride: int  # pixels of the picture from one reference pixel to the next
    first: float  # row and column of the picture where the first reference pixel's centre is


@dataclass(frozen=True)
class Features:
    """Feature maps around one block."""

    block: int
    before: NDArray[np.float32]  # (C, H, W)
    after: NDArray[np.float32]


@torch.inference_mode()
def correlations(model: nn.Module, image: NDArray[Any], pixel: tuple[int, int]) -> list[Correlation]:
    """The softmax weights of this pixel (row, column) in every block at every scale, the picture taken whole.

    Zhu et al. 2020, Sec. 3: softmax over the reference pixels of θ(x)ᵀ φₛ(x), not scaled; here in double precision
    from the features that the network has.
    """
    height, width = image.shape[:2]
    if not (0 <= pixel[0] < height and 0 <= pixel[1] < width):
        raise UsageError(f"expected a pixel in 0 to {height - 1},0 to {width - 1}, got {pixel[0]},{pixel[1]}")
    found = []
    for number, (block, entering, _) in enumerate(_blocks(model, image), 1):
        asking = queries(block.query, entering, len(block.scales))
        for scale, query, key in zip(block.scales, asking, block.keys, strict=True):
            keys = key(entering)  # (1, d, h, w)
            scores = as_pixels(keys)[0].double() @ query[0, pixel[0] * width + pixel[1]].double()
            weights = torch.softmax(scores, dim=0).reshape(keys.shape[2:]).numpy()
            first = (key.kernel_size[0] - 1) / 2 - key.padding[0]
            found.append(Correlation(number, scale, weights, scale, first))
    return found


def features(model: nn.Module, image: NDArray[Any]) -> list[Features]:
    """What enters and leaves every block, the picture taken whole."""
    return [Features(number, before[0].numpy(), after[0].numpy())
            for number, (_, before, after) in enumerate(_blocks(model, image), 1)]  # fmt: skip


@torch.inference_mode()
def _blocks(model: nn.Module, image: NDArray[Any]) -> Sequence[tuple[PyramidNonLocal, Tensor, Tensor]]:
    """Every non-local block in the order in which it runs, with its input and its output, (1, C, H, W) each."""
    seen: list[tuple[PyramidNonLocal, Tensor, Tensor]] = []
    with _watching(model, seen):
        channels = model.config.image_channels  # type: ignore[union-attr]
        model(torch.from_numpy(to_batch(image, channels, clip=False)))
    if not seen:
        raise UsageError("expected a network with non-local blocks, got one without; take another checkpoint")
    return seen


@contextmanager
def _watching(model: nn.Module, seen: list[tuple[PyramidNonLocal, Tensor, Tensor]]) -> Iterator[None]:
    def note(block: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(block, PyramidNonLocal)
        seen.append((block, given[0].clone(), output.clone()))  # a later layer may work in place

    hooks = [part.register_forward_hook(note) for part in model.modules() if isinstance(part, PyramidNonLocal)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
