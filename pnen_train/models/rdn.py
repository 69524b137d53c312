"""RDN, the residual dense network (Zhang et al. 2018), for denoising, with or without pyramid non-local blocks.

Axes: B batch, C image channels, H×W pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .pnb import PyramidNonLocal


@dataclass(frozen=True)
class RDNConfig:
    """Settings of RDN; the defaults are Zhang's network, and `scales=(2, 4, 8)` adds the PNEN paper's blocks."""

    image_channels: int = 1
    channels: int = 64  # of the features, and what a dense layer adds
    dense_layers: int = 8  # in a residual dense block
    blocks: int = 16
    scales: tuple[int, ...] = ()  # of the non-local blocks; none: RDN itself
    key_channels: int = 32
    value_channels: int = 32
    before: tuple[int, ...] = (1, 6, 11)  # dense blocks (from 1) that have a non-local block in front

    def __post_init__(self) -> None:
        for name in ("image_channels", "channels", "dense_layers", "blocks", "key_channels", "value_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if self.blocks > 256 or self.dense_layers > 64:
            raise ValueError(
                f"expected at most 256 blocks of at most 64 dense_layers, got {self.blocks} and {self.dense_layers}"
            )
        if any(scale < 1 for scale in self.scales):
            raise ValueError(f"expected scales of at least 1, got {self.scales}")
        if self.scales and not all(1 <= block <= self.blocks for block in self.before):
            raise ValueError(f"expected before between 1 and {self.blocks}, got {self.before}")


class Dense(nn.Module):
    """x and relu(conv(x)) side by side."""

    def __init__(self, entering: int, channels: int):
        super().__init__()
        self.convolution = nn.Conv2d(entering, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # (B, entering, H, W) → (B, entering + channels, H, W)
        return torch.cat((x, torch.relu(self.convolution(x))), dim=1)


class ResidualDense(nn.Module):
    """x + conv 1×1(dense layers(x))."""

    def __init__(self, channels: int, layers: int):
        super().__init__()
        dense = (Dense(channels * (1 + layer), channels) for layer in range(layers))
        self.body = nn.Sequential(*dense, nn.Conv2d(channels * (1 + layers), channels, 1))

    def forward(self, x: Tensor) -> Tensor:  # (B, channels, H, W) → the same
        return x + self.body(x)


class RDN(nn.Module):
    """(B, C, H, W) noisy, in [0, 1] → (Y,), the same size, not clipped; sides from 16.

    Y = X + leave(fuse(features of all dense blocks) + first features). A non-local block in front of dense block d
    replaces the feature of block d-1 both in the chain and among those that are fused (Zhu et al. 2020, Fig. 10).

    Departures: the image is added to the output, as in the authors' denoising code; that code fuses the feature of one
    block twice and leaves out another's, which is a slip and not repeated.
    """

    def __init__(self, config: RDNConfig):
        super().__init__()
        self.config = config
        image, c, blocks = config.image_channels, config.channels, range(1, config.blocks + 1)
        sizes = (c, config.key_channels, config.value_channels, config.scales)

        def non_local(block: int) -> nn.Module:
            if not config.scales or block not in config.before:
                return nn.Identity()
            return PyramidNonLocal(*sizes, query_per_scale=True, bias=True)

        self.first = nn.Conv2d(image, c, 3, padding=1)
        self.second = nn.Conv2d(c, c, 3, padding=1)
        self.non_local = nn.ModuleList(non_local(block) for block in blocks)
        self.dense = nn.ModuleList(ResidualDense(c, config.dense_layers) for _ in blocks)
        self.fuse = nn.Sequential(nn.Conv2d(config.blocks * c, c, 1), nn.Conv2d(c, c, 3, padding=1))
        self.leave = nn.Sequential(nn.Conv2d(c, c, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(c, image, 1))

    def forward(self, x: Tensor) -> tuple[Tensor]:
        first = self.first(x.to(self.first.weight.dtype))
        features = [self.second(first)]
        for non_local, dense in zip(self.non_local, self.dense, strict=True):
            features[-1] = non_local(features[-1])
            features.append(dense(features[-1]))
        fused = self.fuse(torch.cat(features[1:], dim=1))
        return (x + self.leave(fused + first).to(x.dtype),)
