"""The pyramid non-local block: every pixel looks at reference pixels of the whole picture at several coarser scales.

Axes: B batch, C channels, H×W pixels, N = H·W queries, R reference pixels, S scales, d key channels, e value channels.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attend

KERNELS = (3, 1, "stride", "2s-1")  # of the reference maps

# Settings of PyramidNonLocal besides the channels, by what they are the block of.
BLOCKS: dict[str, dict[str, Any]] = {
    "pnen": {},  # smoothing: the counts of the paper and the authors' code
    "restore": {"value_channels": 32, "query_per_scale": True, "bias": True},  # in RDN and MemNet
    "paper words": {"key_channels": 64, "value_channels": 32},  # as the text has it; does not give its counts
    "released": {"query_per_scale": True, "bias": True},  # the authors' code for denoising
    "wang": {"scales": (1,)},  # the authors' variant of the block of Wang et al.
    "wang 1x1": {"scales": (1,), "kernel": 1},  # Wang et al. 2018, without their sub-sampling and norm
}


def as_pixels(features: Tensor) -> Tensor:
    """(B, C, H, W) → (B, H·W, C); free of charge where the features are stored channels last."""
    return features.flatten(2).transpose(1, 2)


def as_maps(pixels: Tensor, height: int, width: int) -> Tensor:
    """(B, H·W, C) → (B, C, H, W)."""
    return pixels.transpose(1, 2).unflatten(2, (height, width))


class PyramidNonLocal(nn.Module):
    """x + ψ(concat over s of softmax(θ(x) φₛ(x)ᵀ) gₛ(x)), (B, C, H, W) → (B, C, H, W), any H and W.

    It goes into any network that has feature maps, here behind a layer of 256 channels:

        from pnen_train.models.pnb import PyramidNonLocal

        block = PyramidNonLocal(channels=256)
        network.layer = torch.nn.Sequential(network.layer, block)

    `query` is the paper's θ (one for all scales, or with `query_per_scale` one for each), `keys` φₛ, `values` gₛ and
    `merge` ψ. Reference maps are made by convolutions of stride s and hold ceil(H/s)·ceil(W/s) pixels. Their `kernel`
    is 3 or 1 pixels, "2s-1", or "stride" (s pixels, which tile the picture; its last row and column are filled up by
    reflection). The softmax is not scaled and runs over the reference pixels of one scale. No activation and no norm.

    Zhu et al. 2020, Sec. 3. Departure: the paper's text gives 64 channels to queries and keys and 32 to values; its
    authors' code and its parameter counts have 32 and 64, as here. `BLOCKS` has the settings of other variants.
    """

    def __init__(
        self,
        channels: int,
        key_channels: int = 32,
        value_channels: int = 64,
        scales: Sequence[int] = (2, 4, 8),
        kernel: int | str = 3,
        query_per_scale: bool = False,
        bias: bool = False,
    ):
        super().__init__()

        def query() -> nn.Conv2d:
            return nn.Conv2d(channels, key_channels, 1, bias=bias)

        self.scales = tuple(scales)
        self.query = nn.ModuleList(query() for _ in scales) if query_per_scale else query()
        self.keys = nn.ModuleList(reference(channels, key_channels, s, kernel, bias) for s in scales)
        self.values = nn.ModuleList(reference(channels, value_channels, s, kernel, bias) for s in scales)
        self.merge = nn.Conv2d(len(scales) * value_channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) → (B, C, H, W)
        parts = zip(queries(self.query, x, len(self.scales)), self.keys, self.values, strict=True)
        seen = [attend(query, as_pixels(key(x)), as_pixels(value(x))) for query, key, value in parts]  # S × (B, N, e)
        return x + self.merge(as_maps(torch.cat(seen, dim=2), *x.shape[2:]))


def queries(query: nn.Module, x: Tensor, scales: int) -> list[Tensor]:
    """The queries of every scale, S × (B, N, d), from one layer for all or from a list of layers."""
    if isinstance(query, nn.ModuleList):
        return [as_pixels(own(x)) for own in query]
    return [as_pixels(query(x))] * scales


def reference(channels: int, width: int, scale: int, kernel: int | str, bias: bool) -> nn.Conv2d:
    """The convolution that makes a reference map of ceil(H/s)×ceil(W/s) pixels."""
    if kernel == "stride":
        return Tiling(channels, width, scale, stride=scale, bias=bias)
    side = 2 * scale - 1 if kernel == "2s-1" else int(kernel)
    return nn.Conv2d(channels, width, side, stride=scale, padding=side // 2, bias=bias)


class Tiling(nn.Conv2d):
    """A convolution whose kernel is as large as its stride; on the right and below the picture is reflected."""

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) → (B, width, ceil(H/s), ceil(W/s))
        below, right = (-side % stride for side, stride in zip(x.shape[2:], self.stride, strict=True))
        return super().forward(F.pad(x, (0, right, 0, below), mode="reflect"))
