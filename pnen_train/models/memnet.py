"""MemNet, the persistent memory network (Tai et al. 2017), for super-resolution, with or without non-local blocks.

Axes: B batch, C image channels, H×W pixels, M memory blocks, R recursions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .pnb import PyramidNonLocal


@dataclass(frozen=True)
class MemNetConfig:
    """Settings of MemNet; the defaults are M6R6, and `scales=(2, 4, 8)` adds the PNEN paper's blocks."""

    image_channels: int = 1
    channels: int = 64
    blocks: int = 6
    recursions: int = 6
    norms_shared: bool = False  # by the recursions, as their convolutions are; else each has its own
    deeper: bool = False  # a residual unit in every gap between memory blocks: the paper's deeper network, we infer
    scales: tuple[int, ...] = ()  # of the non-local blocks; none: MemNet itself
    key_channels: int = 32
    value_channels: int = 32
    before: tuple[int, ...] = (1, 3, 5)  # memory blocks (from 1) that have a non-local block in front

    def __post_init__(self) -> None:
        for name in ("image_channels", "channels", "blocks", "recursions", "key_channels", "value_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if self.blocks > 64 or self.recursions > 64:
            raise ValueError(f"expected at most 64 blocks and recursions, got {self.blocks} and {self.recursions}")
        if any(scale < 1 for scale in self.scales):
            raise ValueError(f"expected scales of at least 1, got {self.scales}")
        if self.scales and not all(1 <= block <= self.blocks for block in self.before):
            raise ValueError(f"expected before between 1 and {self.blocks}, got {self.before}")


class Unit(nn.Sequential):
    """conv(relu(bn(x))) without bias."""

    def __init__(self, entering: int, leaving: int, kernel: int = 3):
        super().__init__(
            nn.BatchNorm2d(entering),
            nn.ReLU(inplace=True),
            nn.Conv2d(entering, leaving, kernel, padding=kernel // 2, bias=False),
        )


class Recursive(nn.Module):
    """R times h ← h + conv₂(relu(bn₂(conv₁(relu(bn₁(h)))))), each time with the same convolutions."""

    def __init__(self, channels: int, recursions: int, norms_shared: bool = False):
        super().__init__()
        self.recursions = recursions
        own = 1 if norms_shared else recursions
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2 * own))

    def forward(self, x: Tensor) -> Tensor:  # (B, channels, H, W) → (B, R·channels, H, W), every h
        states = []
        for recursion in range(self.recursions):
            first, second = self.norms[2 * recursion % len(self.norms) :][:2]
            inner = self.convolutions[0](torch.relu(first(x)))
            x = x + self.convolutions[1](torch.relu(second(inner)))
            states.append(x)
        return torch.cat(states, dim=1)


class MemNet(nn.Module):
    """(B, C, H, W) in [0, 1], enlarged already → the supervised images (Y₁, …, Y_M, Y), not clipped; sides from 16.

    B₀ = entry(X); Bₘ = gateₘ(all h of memory block m, B₀, …, Bₘ₋₁); Yₘ = X + leave(Bₘ); Y = Σ wₘ Yₘ with learned wₘ.
    A non-local block stands in front of a memory block on the short path only: the gates see B as it was (Zhu et al.
    2020, Sec. 4).

    Departure: Tai's published weights have a convolution for each recursion; the 677k of both papers need them shared.
    """

    def __init__(self, config: MemNetConfig):
        super().__init__()
        self.config = config
        c, recursions, blocks = config.channels, config.recursions, range(1, config.blocks + 1)

        def front(block: int) -> nn.Module:
            layers: list[nn.Module] = []
            if config.deeper and block > 1:
                layers.append(Recursive(c, 1))
            if config.scales and block in config.before:
                sizes = (c, config.key_channels, config.value_channels, config.scales)
                layers.append(PyramidNonLocal(*sizes, query_per_scale=True, bias=True))
            return nn.Sequential(*layers)

        self.entry = Unit(config.image_channels, c)
        self.fronts = nn.ModuleList(front(block) for block in blocks)
        self.memories = nn.ModuleList(Recursive(c, recursions, config.norms_shared) for _ in blocks)
        self.gates = nn.ModuleList(Unit(c * (recursions + block), c, 1) for block in blocks)
        self.leave = Unit(c, config.image_channels)
        self.output_weights = nn.Parameter(torch.full((config.blocks,), 1 / config.blocks))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        kept = [self.entry(x.to(next(self.entry.parameters()).dtype))]  # B₀, …, Bₘ₋₁
        for front, memory, gate in zip(self.fronts, self.memories, self.gates, strict=True):
            kept.append(gate(torch.cat((memory(front(kept[-1])), *kept), dim=1)))
        images = [x + self.leave(memory).to(x.dtype) for memory in kept[1:]]
        final: Tensor = sum(weight * image for weight, image in zip(self.output_weights, images, strict=True))
        return *images, final
