"""PNEN, the Pyramid Non-local Enhanced Network (Zhu et al. 2020), and its ablations by configuration.

Axes: B batch, C features, H×W pixels, M stages.
"""

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from .grid import SCALES, Entry, to_pixels
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
    grid: int = 1  # pixels a side that one place of the feature maps stands for; from 2 all runs on fewer of them
    strengths: tuple[float, ...] = ()  # the least and the most of an adjustable network; empty: it has one strength
    strength_scale: str = "log"  # how the network sees a strength: by its logarithm, or "linear"
    contrast_power: float = 0.0  # from 0 to 1: differences count relative to strength to this power; 1/2 for L0
    leak: float = 0.0  # slope of the activations below 0, which keeps them from dying; 0: ReLU, as in the paper
    equivariant: bool = False  # the entry sees differences only: a constant added to the picture comes out added
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
        if not 1 <= self.grid <= 8 or any(scale % self.grid for scale in self.scales):
            raise ValueError(f"expected a grid from 1 to 8 that divides every scale, got {self.grid} and {self.scales}")
        if self.strengths and not (len(self.strengths) == 2 and self.strengths[0] < self.strengths[1]):
            raise ValueError(f"expected strengths of two numbers, the least and the most, got {self.strengths}")
        if self.strength_scale not in SCALES:
            raise ValueError(f"expected strength_scale to be one of {SCALES}, got {self.strength_scale!r}")
        if self.strengths and self.strengths[0] < 0 + (self.strength_scale == "log") * 1e-9:
            raise ValueError(f"expected strengths above 0 on a log scale, from 0 on a linear one, got {self.strengths}")
        relative = self.strengths and self.strength_scale == "log"
        if self.contrast_power and not (0 < self.contrast_power <= 1 and relative):
            raise ValueError("expected contrast_power from 0 to 1, and above 0 with strengths on a log scale only, "
                             f"got {self.contrast_power}")  # fmt: skip
        if not 0 <= self.leak < 1:
            raise ValueError(f"expected a leak from 0 to below 1, got {self.leak}")
        if self.init not in ("he", "author", "identity"):
            raise ValueError(f'expected init "he", "author" or "identity", got "{self.init}"')


def activation(leak: float) -> nn.Module:
    return nn.LeakyReLU(leak, inplace=True) if leak else nn.ReLU(inplace=True)


class DilatedResidual(nn.Module):
    """x + conv(relu(bn(conv(x)))), both 3×3 convolutions with the same dilation."""

    def __init__(self, channels: int, dilation: int, bias: bool = False, leak: float = 0.0):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=bias),
            nn.BatchNorm2d(channels),
            activation(leak),
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=bias),
        )

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) → (B, C, H, W)
        return x + self.body(x)


class Exit(nn.Sequential):
    """Three convolutions from features to the residual image of one stage."""

    def __init__(self, channels: int, image_channels: int, last_kernel: int = 3, leak: float = 0.0):
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1),
            activation(leak),
            nn.Conv2d(channels, channels, 3, padding=1),
            activation(leak),
            nn.Conv2d(channels, image_channels, last_kernel, padding=last_kernel // 2),
        )


class PNEN(nn.Module):
    """(B, 3, H, W) RGB in [0, 1] → the supervised images (Y₁, …, Y_M, Y), the same size, not clipped; sides from 16.

    F₀ = entry(X); Fₘ = blockₘ(dilatedₘ(Fₘ₋₁)); Yₘ = X + exitₘ(Fₘ); Y = Σ wₘ Yₘ with learned wₘ
    (Zhu et al. 2020, Sec. 3, Eq. 1-4). An adjustable network also takes the strength wanted at every pixel,
    (B, 1, H, W) in the filter's own unit.

    Departures: with a `grid`, features are on a coarser one (as in FFDNet, Zhang et al. 2018), and `scales` stay in
    pixels of the picture. An equivariant network has Y = X + Σ wₘ exitₘ(Fₘ), so that weights that do not sum to 1
    cannot fade the picture.
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
                tuple(scale // config.grid for scale in config.scales),
                config.block_kernel,
                config.query_per_scale,
                config.block_bias,
            )

        def dilated() -> nn.Module:
            return nn.Sequential(*(DilatedResidual(c, d, config.dilated_bias, config.leak) for d in config.dilations))

        leaving = config.image_channels * config.grid**2
        self.entry = Entry(config.image_channels, c, config.grid, config.strengths, config.strength_scale,
                           config.equivariant, config.entry_bias, config.contrast_power)  # fmt: skip
        self.dilated = nn.ModuleList(dilated() for _ in stages)
        self.blocks = nn.ModuleList(block(stage) for stage in stages)
        self.exits = nn.ModuleList(Exit(c, leaving, config.exit_kernel, config.leak) for _ in stages)
        self.output_weights = nn.Parameter(torch.full((config.stages,), 1 / config.stages))
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        """Called for each module, the inner ones first."""
        author = self.config.init == "author"
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0, 0.02) if author else nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if isinstance(module, Entry):
                module.balance()
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

    def features_out(self, x: Tensor, strength: Tensor | None = None) -> list[Tensor]:
        """What each stage adds, relative to its contrast, on the grid: M × (B, 3g², ceil(H/g), ceil(W/g))."""
        features, leaving = self.entry(x.to(self.entry.weight.dtype), strength), []
        for dilated, block, leave in zip(self.dilated, self.blocks, self.exits, strict=True):
            features = block(dilated(features))
            leaving.append(leave(features))
        return leaving

    def in_contrast(self, features: Tensor, strength: Tensor | None) -> Tensor:
        """What a stage adds, (B, 3g², ceil(H/g), ceil(W/g)), in the picture's contrast; strength is (B, 1, H, W)."""
        if strength is None or not self.config.contrast_power:
            return features
        return features * self.entry.contrast(strength)

    def residuals(self, x: Tensor, strength: Tensor | None = None) -> list[Tensor]:
        """What each stage adds to the image: M × (B, 3, H, W)."""
        parts = [self.in_contrast(part, strength) for part in self.features_out(x, strength)]
        return [to_pixels(part, self.config.grid, *x.shape[2:]) for part in parts]

    @torch.no_grad()
    def at(self, strength: float) -> "PNEN":
        """The network of this one strength, in the filter's unit, with the weights of this adjustable one.

        What is outside the range is taken as its end; the network must have `strengths`.
        """
        made = PNEN(replace(self.config, strengths=(), contrast_power=0.0, entry_bias=True))
        rest = {name: value for name, value in self.state_dict().items() if not name.startswith("entry.")}
        made.load_state_dict(rest, strict=False)
        made.entry = self.entry.at(strength)
        factor = self.in_contrast(torch.ones(1), torch.full((1, 1, 1, 1), strength)).item()
        for leave in made.exits:
            for parameter in cast(nn.Sequential, leave)[-1].parameters():
                parameter.mul_(factor)
        return made.train(self.training)

    @torch.no_grad()
    def deepened(self, stages: int) -> "PNEN":
        """The network with this many stages, more than it has, that gives the same images.

        The further stages begin as the identity behind the last one, each with a copy of its exit; they share its
        weight in the sum.
        """
        made, own = PNEN(replace(self.config, stages=stages)), self.config.stages
        rest = {name: value for name, value in self.state_dict().items() if name != "output_weights"}
        made.load_state_dict(rest, strict=False)
        for stage in range(own, stages):
            made.exits[stage].load_state_dict(self.exits[-1].state_dict())
            for branch in (*made.dilated[stage], made.blocks[stage]):  # type: ignore[misc]
                if not isinstance(branch, nn.Identity):
                    for parameter in list(branch.modules())[-1].parameters():  # of the convolution that ends it
                        parameter.zero_()
        made.output_weights[:own] = self.output_weights
        made.output_weights[own - 1 :] = self.output_weights[-1] / (stages - own + 1)
        return made.train(self.training)

    def forward(self, x: Tensor, strength: Tensor | None = None) -> tuple[Tensor, ...]:
        # x keeps its type, so that the image passes unrounded where the features are half
        residuals = [residual.to(x.dtype) for residual in self.residuals(x, strength)]
        images = [x + residual for residual in residuals]
        if self.config.equivariant:
            return *images, x + self.blend(residuals)
        return *images, self.blend(images)

    def blend(self, images: list[Tensor]) -> Tensor:
        """Σ wₘ Yₘ."""
        return sum(weight * image for weight, image in zip(self.output_weights, images, strict=True))
