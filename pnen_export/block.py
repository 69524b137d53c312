"""The pyramid non-local block as it is deployed: no concatenation, and head sizes that TensorRT fuses."""

from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn

from pnen_train.models.attention import attend
from pnen_train.models.pnb import PyramidNonLocal, as_maps, as_pixels, queries

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
        asks = list(block.query) if isinstance(block.query, nn.ModuleList) else [block.query]
        query, keys, values = (cast("list[nn.Conv2d]", list(part)) for part in (asks, block.keys, block.values))
        merges = block.merge.weight[:, :, 0, 0].double().chunk(len(values), dim=1)  # S × (C, e)
        merged = [merged_value(value, merge) for value, merge in zip(values, merges, strict=True)]
        if block.merge.bias is not None:  # the weights of a softmax sum to one, so what every value has, the sum has
            bias = merged[0].bias if merged[0].bias is not None else torch.zeros_like(block.merge.bias)
            merged[0] = changed(merged[0], merged[0].weight, bias + block.merge.bias)
        self.channels = block.merge.out_channels
        width = max(self.channels, keys[0].out_channels, HEAD_MINIMUM) if equal_heads else 0
        width = -(-width // HEAD_MULTIPLE) * HEAD_MULTIPLE
        wide = [widened(ask, width) for ask in query]
        self.query = nn.ModuleList(wide) if isinstance(block.query, nn.ModuleList) else wide[0]
        self.keys = nn.ModuleList(widened(key, width) for key in keys)
        self.values = nn.ModuleList(widened(value, width) for value in merged)
        self.attention = Attention()

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) → (B, C, H, W)
        asked, result = queries(self.query, x, len(self.keys)), x
        for query, key, value in zip(asked, self.keys, self.values, strict=True):
            seen = self.attention(query, as_pixels(key(x)), as_pixels(value(x)))  # (B, N, width)
            result = result + as_maps(seen, *x.shape[2:])[:, : self.channels]
        return result


def merged_value(value: nn.Conv2d, merge: Tensor) -> nn.Conv2d:
    """A copy of gₛ with its part of ψ, (C, e), behind it."""
    bias = None if value.bias is None else merge @ value.bias.double()
    return changed(value, torch.einsum("ce,eikl->cikl", merge, value.weight.double()), bias)


def changed(convolution: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A copy of a convolution with another (out, in, k, k) weight and bias in place of its own."""
    copy, dtype = deepcopy(convolution), convolution.weight.dtype
    copy.out_channels, copy.in_channels = weight.shape[:2]
    copy.weight = nn.Parameter(weight.detach().to(dtype))
    copy.bias = None if bias is None else nn.Parameter(bias.detach().to(dtype))
    return copy


def widened(convolution: nn.Conv2d, width: int) -> nn.Conv2d:
    """A copy with zero channels added up to `width`, or with none where it has as many."""
    missing = max(0, width - convolution.out_channels)
    bias = None if convolution.bias is None else nn.functional.pad(convolution.bias, (0, missing))
    return changed(convolution, nn.functional.pad(convolution.weight, (0, 0, 0, 0, 0, 0, 0, missing)), bias)
