"""CEILNet (Fan et al. 2017): one network predicts the edges that will stay, a second one the picture with them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = 115 / 255  # taken off the picture
EDGE_UNIT = 2.55  # edge maps are made of pictures in [0, 255] divided by 100


@dataclass(frozen=True)
class CEILNetConfig:
    """Settings of CEILNet; the defaults are Fan's network, `cascade=False` is the one that the PNEN paper counts."""

    image_channels: int = 3
    channels: int = 64
    blocks: int = 13
    cascade: bool = True  # False: one network from picture to picture
    doubled_skip: bool = False  # x + branch(x) becomes 2·relu(x) + branch(x), which an in-place ReLU makes of Fan's

    def __post_init__(self) -> None:
        for name in ("image_channels", "channels", "blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if self.blocks > 256:
            raise ValueError(f"expected at most 256 blocks, got {self.blocks}")


class Residual(nn.Module):
    """x + bn(conv(relu(bn(conv(x)))))."""

    def __init__(self, channels: int, bias: bool, doubled_skip: bool):
        super().__init__()
        first, second = convolution(channels, channels, bias), convolution(channels, channels, bias)
        self.doubled_skip = doubled_skip
        self.body = nn.Sequential(*first, *second[:2])

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) → (B, C, H, W)
        return (2 * F.relu(x) if self.doubled_skip else x) + self.body(x)


class SubNetwork(nn.Module):
    """32 layers, most of them at half the resolution: (B, entering, H, W) → (B, leaving, H, W)."""

    def __init__(self, config: CEILNetConfig, entering: int, leaving: int):
        super().__init__()
        c, full = config.channels, config.cascade
        if full:
            up, last = nn.ConvTranspose2d(c, c, 4, stride=2, padding=1), nn.Conv2d(c, leaving, 1)
        else:
            up = nn.ConvTranspose2d(c, c, 3, stride=2, padding=1, output_padding=1, bias=False)
            last = nn.Conv2d(c, leaving, 3, padding=1)
        self.body = nn.Sequential(
            *convolution(entering, c, full),
            *convolution(c, c, full),
            *convolution(c, c, full, stride=2),
            *(Residual(c, full, config.doubled_skip) for _ in range(config.blocks)),
            up,
            nn.BatchNorm2d(c),
            nn.ReLU(inplace=True),
            *convolution(c, c, full),
            last,
        )

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        return self.body(x)[:, :, :height, :width]  # the way up gives an even number


class CEILNet(nn.Module):
    """(B, C, H, W) in [0, 1] → (Y,), the same size, not clipped; sides from 16.

    Y = image network(X, E) with E = edge network(X, edges of X) the predicted edges of Y. `edges_and_image` gives both,
    for a loss on both.

    Fan et al. 2017 (their code), in [0, 1] instead of [0, 255]. Departures: 115/255 is taken off the picture but not
    off the edges, where it would be a mere offset that half precision rounds the edges away beside; an odd side is not
    filled up by a reflection, since strided convolutions take it and the surplus row or column is cut off at the end.
    """

    def __init__(self, config: CEILNetConfig):
        super().__init__()
        self.config = config
        image = config.image_channels
        self.edge_network = SubNetwork(config, image + 1, 1) if config.cascade else None
        self.image_network = SubNetwork(config, image + config.cascade, image)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.edges_and_image(x)[1],)

    def edges_and_image(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """The predicted edge map, (B, 1, H, W) in the unit of `edge_map` (None without cascade), and the image."""
        dtype = next(self.image_network.parameters()).dtype
        edges, given = None, (x - MEAN).to(dtype)
        if self.edge_network is not None:
            edges = self.edge_network(torch.cat((given, edge_map(x).to(dtype)), dim=1))
            given = torch.cat((given, edges), dim=1)
        return edges, self.image_network(given).to(x.dtype)


def convolution(entering: int, leaving: int, bias: bool, stride: int = 1) -> list[nn.Module]:
    """A 3×3 convolution, its norm and ReLU."""
    layer = nn.Conv2d(entering, leaving, 3, stride=stride, padding=1, bias=bias)
    return [layer, nn.BatchNorm2d(leaving), nn.ReLU(inplace=True)]


def edge_map(image: Tensor) -> Tensor:
    """Half the sum of the absolute differences to the four neighbours, over all channels, times 2.55.

    (B, C, H, W) in [0, 1] → (B, 1, H, W) from 0 to 5.1 for each channel; neighbours outside the picture count nothing.
    """
    down = F.pad((image[:, :, 1:] - image[:, :, :-1]).abs(), (0, 0, 1, 1))  # (B, C, H + 1, W)
    right = F.pad((image[:, :, :, 1:] - image[:, :, :, :-1]).abs(), (1, 1))  # (B, C, H, W + 1)
    four = down[:, :, 1:] + down[:, :, :-1] + right[:, :, :, 1:] + right[:, :, :, :-1]
    return four.sum(dim=1, keepdim=True) * (EDGE_UNIT / 2)
