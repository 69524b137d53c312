"""The trained network as it is deployed: one image out, batch norm folded, blocks simplified, precision set."""

from copy import deepcopy
from typing import Literal

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pnen_train.models.pnb import PyramidNonLocal

from .block import DeployedBlock

Precision = Literal["fp32", "fp16"]


class Deployed(nn.Module):
    """(B, C, H, W) float32 in [0, 1] → the final image alone, float32, not clipped; `model` stays untouched.

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
            for child in network.children():  # the network's own parameters weigh images, so they stay float32
                child.half()
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
