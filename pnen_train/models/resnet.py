"""The residual network of the smoothing benchmark (Zhu et al. 2019)."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class ResNetConfig:
    """Settings of ResNet; the defaults are the benchmark's network."""

    image_channels: int = 3
    channels: int = 64
    blocks: int = 16
    tail_channels: int = 256

    def __post_init__(self) -> None:
        for name in ("image_channels", "channels", "blocks", "tail_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if self.blocks > 256:
            raise ValueError(f"expected at most 256 blocks, got {self.blocks}")


class Residual(nn.Module):
    """x + bn(conv(relu(bn(conv(x))))), 3×3 and without bias."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) → (B, C, H, W)
        return x + self.body(x)


class ResNet(nn.Module):
    """(B, C, H, W) in [0, 1] → (Y,), the same size, not clipped; sides from 16.

    Inside it works on [-1, 1] and adds tanh(tail(...)) to its input there, so that Y = X + tanh(...)/2. Zhu et al. 2019
    (the benchmark's code). Departure: they clip Y, which here is left to whoever shows the picture.
    """

    def __init__(self, config: ResNetConfig):
        super().__init__()
        self.config = config
        image, c, tail = config.image_channels, config.channels, config.tail_channels
        self.head = nn.Sequential(nn.Conv2d(image, c, 3, padding=1), nn.ReLU(inplace=True))
        self.middle = nn.Sequential(
            *(Residual(c) for _ in range(config.blocks)),
            nn.Conv2d(c, c, 3, padding=1, bias=False),
            nn.BatchNorm2d(c),
        )
        self.tail = nn.Sequential(
            nn.Conv2d(c, tail, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(tail, tail, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(tail, image, 1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> tuple[Tensor]:
        features = self.head((2 * x - 1).to(next(self.head.parameters()).dtype))
        residual = self.tail(features + self.middle(features))
        return (x + residual.to(x.dtype) / 2,)
