"""The ends of a network on a coarser grid, or of an adjustable one, as they are deployed.

Axes: B batch, C features, H×W pixels, g pixels a side of a place on the grid.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pnen_train.models.grid import Entry, to_pixels
from pnen_train.models.pnen import PNEN


class DeployedEntry(nn.Module):
    """An entry that applies plain weights: zero-sum kernels have nothing left to subtract.

    Its convolution alone may be half: strengths come and are encoded in float32, of which half has too few steps.
    """

    def __init__(self, entry: Entry):
        super().__init__()
        self.encoded = entry.encoded
        self.pads = None if entry.plain else (entry.grid, 2 * entry.grid - 1) * 2
        self.convolution = nn.Conv2d(
            entry.in_channels, entry.out_channels, 3 * entry.grid, stride=entry.grid, padding=int(entry.plain)
        )
        self.convolution.weight = nn.Parameter(entry.kernels().detach().clone())
        self.convolution.bias = None if entry.bias is None else nn.Parameter(entry.bias.detach().clone())

    @property
    def weight(self) -> Tensor:
        """What it is applied in tells the type of the features."""
        return self.convolution.weight

    def forward(self, picture: Tensor, strength: Tensor | None = None) -> Tensor:
        inputs = picture if strength is None else torch.cat([picture, self.encoded(strength).to(picture.dtype)], 1)
        if self.pads is not None:
            inputs = F.pad(inputs, self.pads, mode="replicate")
        return self.convolution(inputs)


class OneWayOut(nn.Module):
    """A PNEN whose exits are added up on the grid and put back to pixels once; their weights are in the exits.

    (B, C, H, W) float32, and (B, 1, H, W) strengths where it is adjustable → the final image alone.
    """

    def __init__(self, network: PNEN):
        super().__init__()
        weights = network.output_weights.detach()
        for weight, leave in zip(weights, network.exits, strict=True):
            for parameter in cast(nn.Sequential, leave)[-1].parameters():
                parameter.data = parameter.data * weight
        del network.output_weights
        self.network, self.grid = network, network.config.grid
        self.passed = None if network.config.equivariant else float(weights.sum())  # of the picture itself

    def forward(self, x: Tensor, strength: Tensor | None = None) -> tuple[Tensor]:
        first, *others = (part.to(x.dtype) for part in self.network.features_out(x, strength))
        added = to_pixels(sum(others, first), self.grid, *x.shape[2:])
        return ((x if self.passed is None else self.passed * x) + added,)


def deployed_entry(entry: Entry) -> nn.Module:
    """The same for an entry that is the paper's."""
    return entry if entry.plain and not entry.strengths else DeployedEntry(entry)


def deployed_exits(network: nn.Module) -> nn.Module:
    """The same for a network whose exits are on the picture's own grid."""
    if isinstance(network, PNEN) and (network.config.grid > 1 or network.config.equivariant):
        return OneWayOut(network)
    return network
