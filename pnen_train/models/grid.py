"""The entry of a network that works on a coarser grid and takes the wanted strength, and the way back to pixels.

Axes: B batch, C features, H×W pixels, g pixels a side of a place on the grid.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALES = ("log", "linear")  # how a network sees a strength


class Entry(nn.Conv2d):
    """(B, 3, H, W) picture, and (B, 1, H, W) strengths where it is adjustable → (B, C, ceil(H/g), ceil(W/g)) features.

    One convolution with a stride of g and a kernel of 3g pixels: what a 3×3 convolution of the picture's pixels, put
    into channels g² at a time (pixel-unshuffle), would be. Beyond the border the picture is replicated, also where g
    does not divide its sides. At g = 1 it is the paper's: 3×3 pixels and zeros beyond the border.

    An `equivariant` entry sees differences between pixels only: its kernels sum to zero over their pixels. So a
    constant added to the picture changes nothing inside the network, and flat colour of any kind looks the same to it.

    `strengths` are the least and the most of the filter's own parameter; the network sees its logarithm ("log"), or the
    value itself ("linear"), from -1 to 1, and takes what is outside as the end of the range.

    With a `contrast_power` p, what it sees of the picture is divided by `contrast`, (strength / middle of the range)^p;
    the network multiplies what it adds by the same. So one function serves all strengths of a filter for which
    f(a·I, a^(1/p)·strength) = a·f(I, strength): L0's λ, a squared contrast, has p = 1/2, and σ of noise p = 1.
    """

    def __init__(
        self,
        picture_channels: int,
        channels: int,
        grid: int = 1,
        strengths: tuple[float, ...] = (),
        scale: str = "log",
        equivariant: bool = False,
        bias: bool = True,
        contrast_power: float = 0.0,
    ):
        self.plain = grid == 1 and not equivariant
        self.grid, self.strengths, self.scale, self.equivariant = grid, strengths, scale, equivariant
        self.picture_channels, self.contrast_power = picture_channels, contrast_power
        inputs = picture_channels + bool(strengths)
        super().__init__(inputs, channels, 3 * grid, stride=grid, padding=int(self.plain), bias=bias)

    def forward(self, picture: Tensor, strength: Tensor | None = None) -> Tensor:
        device = "cpu" if picture.is_meta else picture.device.type  # without data operations are only counted
        with torch.autocast(device, enabled=False):  # differences of one level are lost in bfloat16
            if strength is None:
                return self.convolved(picture, self.kernels(), self.bias)
            seen, told = self.kernels().split([self.picture_channels, 1], 1)
            features = self.convolved(picture, seen)
            encoded, contrast = self.encoded(strength), self.contrast(strength) if self.contrast_power else None
            if features.dtype != encoded.dtype:  # weights of 16 bits: a strength is told apart in single precision
                encoded = encoded.to(features.dtype)
                contrast = None if contrast is None else contrast.to(features.dtype)
            if contrast is not None:
                features = features / contrast
            return features + self.convolved(encoded, told, self.bias)

    def convolved(self, inputs: Tensor, kernels: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, inputs, H, W) → (B, C, ceil(H/g), ceil(W/g)), with what is beyond the border."""
        if not self.plain:
            inputs = F.pad(inputs, (self.grid, 2 * self.grid - 1) * 2, mode="replicate")
        return F.conv2d(inputs, kernels, bias, self.stride, self.padding)

    def kernels(self) -> Tensor:
        """(C, inputs, 3g, 3g), as they are applied."""
        if not self.equivariant:
            return self.weight
        picture, strength = self.weight.split([self.picture_channels, self.in_channels - self.picture_channels], 1)
        return torch.cat([picture - picture.mean((2, 3), keepdim=True), strength], 1)

    @torch.no_grad()
    def balance(self) -> None:
        """Start with differences and strengths that count alike: He's weights suit neither of them.

        Differences between neighbours are about a fifth of what pixels are; and a map of strengths, added up over a
        whole kernel, would drown them.
        """
        if self.equivariant:
            self.weight[:, : self.picture_channels] *= 5
        if self.strengths:
            self.weight[:, self.picture_channels :] /= self.weight[0, 0].numel()

    def encoded(self, strength: Tensor) -> Tensor:
        """A map of strengths in the filter's unit as the network sees it, in [-1, 1]."""
        least, most = self.strengths
        strength = strength.float().clamp(least, most)
        if self.scale == "log":
            return strength.log() * (2 / math.log(most / least)) - (math.log(most * least) / math.log(most / least))
        return strength * (2 / (most - least)) - (most + least) / (most - least)

    def contrast(self, strength: Tensor) -> Tensor:
        """(B, 1, H, W) strengths → (B, 1, ceil(H/g), ceil(W/g)), of the upper left pixel of each place; around 1."""
        least, most = self.strengths
        at_places = self.encoded(strength[:, :, :: self.grid, :: self.grid])
        return (at_places * (self.contrast_power * math.log(most / least) / 2)).exp()

    @torch.no_grad()
    def at(self, strength: float) -> "Entry":
        """The entry of a network of this one strength: its bias holds what the map of strengths added."""
        entry = Entry(self.picture_channels, self.out_channels, self.grid, equivariant=self.equivariant)
        wanted = torch.full((1, 1, 1, 1), strength)
        added = self.weight[:, -1].sum((1, 2)) * self.encoded(wanted).flatten()
        assert entry.bias is not None
        entry.weight.copy_(self.weight[:, :-1] / (self.contrast(wanted) if self.contrast_power else 1))
        entry.bias.copy_(added if self.bias is None else self.bias + added)
        return entry


def to_pixels(features: Tensor, grid: int, height: int, width: int) -> Tensor:
    """(B, 3g², ceil(H/g), ceil(W/g)) → (B, 3, H, W): channels are put back side by side (pixel-shuffle)."""
    return features if grid == 1 else F.pixel_shuffle(features, grid)[:, :, :height, :width]
