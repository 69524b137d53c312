"""PNEN, the Pyramid Non-local Enhanced Network (Zhu et al. 2020), and its ablations by configuration.

Axes: B batch, C features, H×W pixels, M stages.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .pnb import KERNELS, PyramidNonLocal


@dataclass(frozen=True)
class PNENConfig:
    """Settings of PNEN; the defaults are the paper's network. Without scales there is no block ("w/o non-local")."""

    image_channels: int = 3
    channels: int = 64
    stages: int = 3  # each: dilated residual block, non-local block, exit
    dilations: tuple[int, ...] = (1, 2, 4, 2, 1)
    scales: tuple[int, ...] = (2, 4, 8)  # downscaling of the reference maps; (1,) is the block of Wang et al.
    key_channels: int = 32
    value_channels: int = 64
    block_kernel: int | str = 3  # of the reference maps; 1, "stride", "2s-1"
    block_bias: bool = False
    query_per_scale: bool = False
    block_stages: tuple[int, ...] = ()  # stages (from 1) that have the block; empty: all of them
    entry_bias: bool = True
    dilated_bias: bool = False
    exit_kernel: int = 3  # of the last convolution of an exit; 1 as in the authors' other networks
    init: str = (
        "identity"  # start as the identity: He, but zeros where a branch ends; "he", "author" (the authors' code)
    )

    def __post_init__(self) -> None:
        for name in ("image_channels", "channels", "stages", "key_channels", "value_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if any(value < 1 for value in (*self.dilations, *self.scales)) or not self.dilations:
            raise ValueError(f"expected dilations and scales of at least 1, got {self.dilations} and {self.scales}")
        if self.stages > 64 or len(self.dilations) > 64:
            raise ValueError(f"expected at most 64 stages and dilations, got {self.stages} and {len(self.dilations)}")
        if not all(1 <= stage <= self.stages for stage in self.block_stages):
            raise ValueError(f"expected block_stages between 1 and {self.stages}, got {self.block_stages}")
        if self.block_kernel not in KERNELS:
            raise ValueError(f"expected block_kernel to be one of {KERNELS}, got {self.block_kernel!r}")
        if self.exit_kernel not in (1, 3):
            raise ValueError(f"expected exit_kernel 1 or 3, got {self.exit_kernel}")
        if self.init not in ("he", "author", "identity"):
            raise ValueError(f'expected init "he", "author" or "identity", got "{self.init}"')


class DilatedResidual(nn.Module):
    """x + conv(relu(bn(conv(x)))), both 3×3 convolutions with the same dilation."""

    def __init__(self, channels: int, dilation: int, bias: bool = False):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=bias),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=bias),
        )

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) → (B, C, H, W)
        return x + self.body(x)


class Exit(nn.Sequential):
    """Three convolutions from features to the residual image of one stage."""

    def __init__(self, channels: int, image_channels: int, last_kernel: int = 3):
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, image_channels, last_kernel, padding=last_kernel // 2),
        )


class PNEN(nn.Module):
    """(B, 3, H, W) RGB in [0, 1] → the supervised images (Y₁, …, Y_M, Y), the same size, not clipped; sides from 16.

    F₀ = entry(X); Fₘ = blockₘ(dilatedₘ(Fₘ₋₁)); Yₘ = X + exitₘ(Fₘ); Y = Σ wₘ Yₘ with learned wₘ
    (Zhu et al. 2020, Sec. III-A, Eq. 1-4).
    """

    def __init__(self, config: PNENConfig):
        super().__init__()
        self.config = config
        c, stages = config.channels, range(1, config.stages + 1)

        def block(stage: int) -> nn.Module:
            if not config.scales or (config.block_stages and stage not in config.block_stages):
                return nn.Identity()
            return PyramidNonLocal(
                c,
                config.key_channels,
                config.value_channels,
                config.scales,
                config.block_kernel,
                config.query_per_scale,
                config.block_bias,
            )

        def dilated() -> nn.Module:
            return nn.Sequential(*(DilatedResidual(c, d, config.dilated_bias) for d in config.dilations))

        self.entry = nn.Conv2d(config.image_channels, c, 3, padding=1, bias=config.entry_bias)
        self.dilated = nn.ModuleList(dilated() for _ in stages)
        self.blocks = nn.ModuleList(block(stage) for stage in stages)
        self.exits = nn.ModuleList(Exit(c, config.image_channels, config.exit_kernel) for _ in stages)
        self.output_weights = nn.Parameter(torch.full((config.stages,), 1 / config.stages))
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        """Called for each module, the inner ones first."""
        author = self.config.init == "author"
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0, 0.02) if author else nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d) and author:
            nn.init.normal_(module.weight, 1, 0.02)
        elif isinstance(module, PyramidNonLocal) and author:
            for layer in module.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.xavier_uniform_(layer.weight)
        elif isinstance(module, (DilatedResidual, PyramidNonLocal, Exit)) and self.config.init == "identity":
            # With plain He the stages add up to pictures of 4 dB, and the first steps kill the exits' ReLUs.
            last = list(module.modules())[-1]  # each of the three ends with a convolution
            nn.init.zeros_(next(last.parameters()))

    def residuals(self, x: Tensor) -> list[Tensor]:
        """What each stage adds to the image: M × (B, 3, H, W)."""
        features, residuals = self.entry(x.to(self.entry.weight.dtype)), []
        for dilated, block, leave in zip(self.dilated, self.blocks, self.exits, strict=True):
            features = block(dilated(features))
            residuals.append(leave(features))
        return residuals

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        # x keeps its type, so that the image passes unrounded where the features are half
        images = [x + residual.to(x.dtype) for residual in self.residuals(x)]
        return *images, self.blend(images)

    def blend(self, images: list[Tensor]) -> Tensor:
        """Σ wₘ Yₘ."""
        return sum(weight * image for weight, image in zip(self.output_weights, images, strict=True))
