"""The pyramid non-local block as it is deployed: no concatenation, and head sizes that TensorRT fuses."""

from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn

from pnen_train.models.attention import attend
from pnen_train.models.pnb import PyramidNonLocal, as_maps, as_pixels

HEAD_MULTIPLE, HEAD_MINIMUM = 8, 16  # of fused attention in TensorRT


class Attention(nn.Module):
    """`attend` as a layer, so that hooks see what it gives."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return attend(query, key, value)


class DeployedBlock(nn.Module):
    """A pyramid non-local block with ψ inside the values, which drops the concatenation: Σₛ wₛ gₛ is linear in gₛ.

    With `equal_heads` queries, keys and values are filled with zero channels up to one width, since TensorRT fuses no
    other heads.
    """

    def __init__(self, block: PyramidNonLocal, equal_heads: bool):
        super().__init__()
        keys, values = (cast("list[nn.Conv2d]", list(part)) for part in (block.keys, block.values))
        merges = block.merge.weight[:, :, 0, 0].double().chunk(len(values), dim=1)  # S × (C, e)
        merged = [
            with_weight(value, torch.einsum("ce,eikl->cikl", merge, value.weight.double()))
            for value, merge in zip(values, merges, strict=True)
        ]
        self.channels = block.merge.out_channels
        width = max(self.channels, block.query.out_channels, HEAD_MINIMUM) if equal_heads else 0
        width = -(-width // HEAD_MULTIPLE) * HEAD_MULTIPLE
        self.query = widened(block.query, width)
        self.keys = nn.ModuleList(widened(key, width) for key in keys)
        self.values = nn.ModuleList(widened(value, width) for value in merged)
        self.attention = Attention()

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) → (B, C, H, W)
        query, result = as_pixels(self.query(x)), x
        for key, value in zip(self.keys, self.values, strict=True):
            seen = self.attention(query, as_pixels(key(x)), as_pixels(value(x)))  # (B, N, width)
            result = result + as_maps(seen, *x.shape[2:])[:, : self.channels]
        return result


def with_weight(convolution: nn.Conv2d, weight: Tensor) -> nn.Conv2d:
    """A copy of a convolution without bias, with another (out, in, k, k) weight in place of its own."""
    changed = deepcopy(convolution)
    changed.out_channels, changed.in_channels = weight.shape[:2]
    changed.weight = nn.Parameter(weight.detach().to(convolution.weight.dtype))
    return changed


def widened(convolution: nn.Conv2d, width: int) -> nn.Conv2d:
    """A copy with zero channels added up to `width`, or with none where it has as many."""
    missing = max(0, width - convolution.out_channels)
    return with_weight(convolution, nn.functional.pad(convolution.weight, (0, 0, 0, 0, 0, 0, 0, missing)))
