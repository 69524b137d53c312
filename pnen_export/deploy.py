"""The trained network as it is deployed: one image out, batch norm folded, blocks simplified, precision set."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pnen_train.models.grid import Entry
from pnen_train.models.pnb import PyramidNonLocal

from .block import DeployedBlock
from .grid import deployed_entry, deployed_exits

Precision = Literal["fp32", "fp16"]


class Deployed(nn.Module):
    """(B, C, H, W) float32 in [0, 1] → the final image alone, float32, not clipped; `model` stays untouched.

    An adjustable network also takes the strengths wanted, (B, 1, H, W) float32 in their own unit. In FP16 features and
    weights are half; the image, what is added to it and the sum of several exits stay float32.
    """

    def __init__(self, model: nn.Module, precision: Precision = "fp32", *, equal_heads: bool = False):
        super().__init__()
        network = deepcopy(model).eval().float()
        fold_norms(network)
        replace(network, PyramidNonLocal, lambda block: DeployedBlock(block, equal_heads))
        replace(network, Entry, deployed_entry)
        network = deployed_exits(network)
        if precision == "fp16":
            for child in network.children():  # the network's own parameters weigh images, so they stay float32
                child.half()
        self.network = network.requires_grad_(False)
        self.strengths = strengths_of(model)
        self.blocks = any(isinstance(module, DeployedBlock) for module in network.modules())

    def forward(self, image: Tensor, strength: Tensor | None = None) -> Tensor:
        return self.network(image)[-1] if strength is None else self.network(image, strength)[-1]


def strengths_of(model: nn.Module) -> tuple[float, ...]:
    """The least and the most strength of an adjustable network; empty where it has one."""
    settings: Any = model.config
    return tuple(getattr(settings, "strengths", ()))


class Affine(nn.Module):
    """A norm that follows no convolution: scale·x + shift for each channel."""

    def __init__(self, norm: nn.BatchNorm2d):
        super().__init__()
        mean, variance = (cast(Tensor, part).double() for part in (norm.running_mean, norm.running_var))
        scale = norm.weight.double() / torch.sqrt(variance + norm.eps)
        shift = norm.bias.double() - mean * scale
        self.scale, self.shift = (nn.Parameter(part.detach().float()[:, None, None]) for part in (scale, shift))

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) → the same
        return x * self.scale + self.shift


def fold_norms(network: nn.Module) -> None:
    """Put every batch norm that follows a convolution into that convolution's weights, and simplify the others."""
    for parent in network.modules():
        if isinstance(parent, nn.Sequential):
            for index, (first, second) in enumerate(zip(parent, list(parent)[1:], strict=False)):
                if isinstance(first, (nn.Conv2d, nn.ConvTranspose2d)) and isinstance(second, nn.BatchNorm2d):
                    transposed = isinstance(first, nn.ConvTranspose2d)
                    parent[index], parent[index + 1] = fuse_conv_bn_eval(first, second, transposed), nn.Identity()
    replace(network, nn.BatchNorm2d, Affine)


def replace(network: nn.Module, kind: type, by: Callable[[Any], nn.Module]) -> None:
    """Put `by(module)` in the place of every module of this kind."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, kind):
                setattr(parent, name, by(child))
