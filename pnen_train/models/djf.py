"""DJF, deep joint filtering (Li et al. 2016): a picture is filtered with the help of a guide, here of itself."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class DJFConfig:
    """Settings of DJF; the defaults give the count of the PNEN paper."""

    image_channels: int = 3
    channels: int = 96  # of the first layer of the two branches
    fused_channels: int = 64  # of the first layer behind them

    def __post_init__(self) -> None:
        for name in ("image_channels", "channels", "fused_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")


class Branch(nn.Sequential):
    """Convolutions of 9, 1 and 5 pixels, the second with half the features of the first."""

    def __init__(self, entering: int, channels: int, leaving: int):
        super().__init__(
            nn.Conv2d(entering, channels, 9, padding=4),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, -(-channels // 2), 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(-(-channels // 2), leaving, 5, padding=2),
        )


class DJF(nn.Module):
    """(B, C, H, W) in [0, 1] → (Y,), the same size, not clipped; sides from 16.

    Y = fused(image branch(X), guide branch(G)); without a guide G = X, as the PNEN paper has it for smoothing.

    Departures from Li et al. 2016: both branches take and give three channels, not one, which the count of the PNEN
    paper asks for; zero padding keeps the size, where theirs loses 12 pixels.
    """

    def __init__(self, config: DJFConfig):
        super().__init__()
        self.config = config
        image = config.image_channels
        self.image_branch = Branch(image, config.channels, image)
        self.guide_branch = Branch(image, config.channels, image)
        self.fused = Branch(2 * image, config.fused_channels, image)

    def forward(self, x: Tensor, guide: Tensor | None = None) -> tuple[Tensor]:
        given = x.to(next(self.fused.parameters()).dtype)
        guide = given if guide is None else guide.to(given.dtype)
        features = torch.cat((self.image_branch(given), self.guide_branch(guide)), dim=1)  # (B, 2·C, H, W)
        return (self.fused(features).to(x.dtype),)
