"""The trained network as it is deployed: one image out, batch norm folded, blocks simplified, precision in the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pnen_train.models.attention import attend
from pnen_train.models.pnb import PyramidNonLocal, as_maps, as_pixels

Precision = Literal["fp32", "fp16"]
HEAD_MULTIPLE, HEAD_MINIMUM = 8, 16  # of fused attention in TensorRT


class DeployedBlock(nn.Module):
    """A pyramid non-local block with ψ inside the values, which drops the concatenation: Σₛ wₛ gₛ is linear in gₛ.

    With `equal_heads` queries and keys are filled with zero channels up to the values' width, since TensorRT fuses heads of one size only.
    """

    def __init__(self, block: PyramidNonLocal, equal_heads: bool):
        super().__init__()
        self.query, self.keys = deepcopy(block.query), deepcopy(block.keys)
        merges = block.merge.weight[:, :, 0, 0].double().chunk(len(block.values), dim=1)  # S × (C, e)
        self.values = nn.ModuleList(
            with_weight(value, torch.einsum("ce,eikl->cikl", merge, value.weight.double()).float())
            for value, merge in zip(block.values, merges, strict=True)
        )
        channels = block.merge.out_channels
        width = max(channels, block.query.out_channels, HEAD_MINIMUM) if equal_heads else 0
        width = -(-width // HEAD_MULTIPLE) * HEAD_MULTIPLE
        self.channels = channels
        if equal_heads:
            self.query = widened(self.query, width)
            self.keys = nn.ModuleList(widened(key, width) for key in self.keys)
            self.values = nn.ModuleList(widened(value, width) for value in self.values)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) → (B, C, H, W)
        query, result = as_pixels(self.query(x)), x
        for key, value in zip(self.keys, self.values, strict=True):
            seen = attend(query, as_pixels(key(x)), as_pixels(value(x)))  # (B, N, width)
            result = result + as_maps(seen, *x.shape[2:])[:, : self.channels]
        return result


def with_weight(convolution: nn.Conv2d, weight: Tensor) -> nn.Conv2d:
    """A bias-free convolution of the same stride and padding with another (out, in, k, k) weight."""
    out, channels, kernel, _ = weight.shape
    changed = nn.Conv2d(channels, out, kernel, stride=convolution.stride, padding=convolution.padding, bias=False)
    changed.weight = nn.Parameter(weight.detach().clone())
    return changed


def widened(convolution: nn.Conv2d, width: int) -> nn.Conv2d:
    """The same convolution with zero channels added up to `width`."""
    missing = width - convolution.out_channels
    return with_weight(convolution, nn.functional.pad(convolution.weight, (0, 0, 0, 0, 0, 0, 0, missing))) if missing else convolution


class Deployed(nn.Module):
    """(B, C, H, W) float32 in [0, 1] → the final image alone, float32, not clipped; the training network stays untouched.

    In FP16 features and weights are half, and the image and the sum of the exits stay float32.
    """

    def __init__(self, model: nn.Module, precision: Precision = "fp32", *, equal_heads: bool = False):
        super().__init__()
        network = deepcopy(model).eval().float()
        fold_norms(network)
        for parent in list(network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, PyramidNonLocal):
                    setattr(parent, name, DeployedBlock(child, equal_heads))
        if precision == "fp16":
            network.half()
            network.output_weights.data = model.output_weights.detach().float()
        self.network = network.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image)[-1]


def fold_norms(network: nn.Module) -> None:
    """Put every batch norm that follows a convolution into that convolution's weights."""
    for parent in network.modules():
        if isinstance(parent, nn.Sequential):
            for index, (first, second) in enumerate(zip(parent, list(parent)[1:], strict=False)):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    parent[index], parent[index + 1] = fuse_conv_bn_eval(first, second), nn.Identity()


@contextmanager
def stored_in_half(network: nn.Module) -> Iterator[None]:
    """Round what every layer of a float32 network gives to half: FP16 storage with FP32 arithmetic, as tensor cores do it.

    PyTorch's own half kernels are hundreds of times slower on a CPU. Weights should hold half values already.
    """
    modules = [module for name, module in network.named_modules() if name and not isinstance(module, (nn.ModuleList, nn.Identity))]
    hooks = [module.register_forward_hook(lambda _module, _inputs, output: rounded(output)) for module in modules]
    hooks += [module.register_forward_pre_hook(lambda _module, inputs: rounded(inputs[0])) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def rounded(features: Tensor) -> Tensor:
    """The nearest half values, as float32."""
    return features.half().float()
