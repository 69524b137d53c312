"""The pyramid non-local block: every pixel looks at reference pixels of the whole picture at several coarser scales.

Axes: B batch, C channels, H×W pixels, N = H·W queries, R reference pixels, S scales, d key channels, e value channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .attention import attend


def as_pixels(features: Tensor) -> Tensor:
    """(B, C, H, W) → (B, H·W, C); free of charge where the features are stored channels last."""
    return features.flatten(2).transpose(1, 2)


def as_maps(pixels: Tensor, height: int, width: int) -> Tensor:
    """(B, H·W, C) → (B, C, H, W)."""
    return pixels.transpose(1, 2).unflatten(2, (height, width))


class PyramidNonLocal(nn.Module):
    """x + ψ(concat over s of softmax(θ(x) φₛ(x)ᵀ) gₛ(x)), (B, C, H, W) → (B, C, H, W), any H and W.

    `query` is the paper's θ (one for all scales), `keys` φₛ, `values` gₛ and `merge` ψ. Reference maps are made by 3×3
    convolutions of stride s, so they hold ceil(H/s)·ceil(W/s) pixels and nothing is padded to a multiple or cropped.
    The softmax is not scaled and runs over the reference pixels of one scale. No activation, norm or bias.

    Zhu et al. 2020, Sec. III-B. Departure: the paper's text gives 64 channels to queries and keys and 32 to values; its
    authors' code and its parameter counts have 32 and 64, as here. `scales=(1,)` is their variant of the block of Wang
    et al.; with `kernel=1` it is Wang's own.
    """

    def __init__(self, channels: int, key_channels: int, value_channels: int, scales: Sequence[int], kernel: int = 3):
        super().__init__()

        def reference(width: int, stride: int) -> nn.Conv2d:
            return nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False)

        self.scales = tuple(scales)
        self.query = nn.Conv2d(channels, key_channels, 1, bias=False)
        self.keys = nn.ModuleList(reference(key_channels, s) for s in scales)
        self.values = nn.ModuleList(reference(value_channels, s) for s in scales)
        self.merge = nn.Conv2d(len(scales) * value_channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) → (B, C, H, W)
        query = as_pixels(self.query(x))
        pairs = zip(self.keys, self.values, strict=True)
        seen = [attend(query, as_pixels(key(x)), as_pixels(value(x))) for key, value in pairs]  # S × (B, N, e)
        return x + self.merge(as_maps(torch.cat(seen, dim=2), *x.shape[2:]))
