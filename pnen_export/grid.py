"""The ends of a network on a coarser grid, or of an adjustable one, as they are deployed.

Axes: B batch, C features, H×W pixels, g pixels a side of a place on the grid.
"""

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from pnen_train.models.grid import Entry, to_pixels
from pnen_train.models.pnen import PNEN


class DeployedEntry(nn.Module):
    """An entry that applies plain weights: zero-sum kernels have nothing left to subtract.

    Its convolutions alone may be half: strengths come and are encoded in float32, of which half has too few steps.
    """

    def __init__(self, entry: Entry):
        super().__init__()
        self.encoded, self.contrast = entry.encoded, entry.contrast if entry.contrast_power else None
        self.pads = None if entry.plain else (entry.grid, 2 * entry.grid - 1) * 2
        seen, told = entry.kernels().detach().split([entry.picture_channels, len(entry.strengths) // 2], 1)
        bias = None if entry.bias is None else entry.bias.detach().clone()
        self.picture = convolution_of(entry, seen, None if entry.strengths else bias)
        self.strength = convolution_of(entry, told, bias) if entry.strengths else None

    @property
    def weight(self) -> Tensor:
        """What it is applied in tells the type of the features."""
        return self.picture.weight

    def forward(self, picture: Tensor, strength: Tensor | None = None) -> Tensor:
        features = self.picture(self.padded(picture))
        if strength is None or self.strength is None:
            return features
        if self.contrast is not None:
            features = features / self.contrast(strength).to(features.dtype)
        return features + self.strength(self.padded(self.encoded(strength).to(picture.dtype)))

    def padded(self, inputs: Tensor) -> Tensor:
        return inputs if self.pads is None else F.pad(inputs, self.pads, mode="replicate")


def convolution_of(entry: Entry, kernels: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A convolution with these of an entry's kernels, (C, inputs, 3g, 3g)."""
    made = nn.Conv2d(kernels.shape[1], entry.out_channels, 3 * entry.grid, entry.grid, padding=int(entry.plain))
    made.weight, made.bias = nn.Parameter(kernels.clone()), None if bias is None else nn.Parameter(bias)
    return made


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
        added = self.network.in_contrast(sum(others, first), strength)
        added = to_pixels(added, self.grid, *x.shape[2:])
        return ((x if self.passed is None else self.passed * x) + added,)


def deployed_entry(entry: Entry) -> nn.Module:
    """The same for an entry that is the paper's."""
    return entry if entry.plain and not entry.strengths else DeployedEntry(entry)


def deployed_exits(network: nn.Module) -> nn.Module:
    """The same for a network whose exits are on the picture's own grid."""
    if isinstance(network, PNEN) and (network.config.grid > 1 or network.config.equivariant):
        return OneWayOut(network)
    return network
