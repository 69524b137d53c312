"""Weights to ship: rounded to 16 bits, so that checkpoint and ONNX file hold the same ones in half the bytes."""

from dataclasses import replace

import torch
from torch import nn

from pnen_train.checkpoint import Checkpoint

ULPS = 8  # numbers above and below the quotient among which one is sought


def lean(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with all weights of layers in half precision, and what BatchNorm scales them by taken into them.

    A network does not change when the weights before a BatchNorm are scaled and its statistics with them. Scaled so
    that it multiplies by exactly 1 afterwards, folding it into the layer, as export does, leaves weights that 16 bits
    hold. It may be trained on.
    """
    model = checkpoint.model()
    for layers in model.modules():
        if isinstance(layers, nn.Sequential):
            for layer, norm in zip(list(layers)[:-1], list(layers)[1:], strict=True):
                if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and layer.bias is None:
                    _scale(layer, norm)
    weights = {name: weight.half() if weight.is_floating_point() and weight.dim() > 1 else weight
               for name, weight in model.state_dict().items()}  # fmt: skip
    return replace(checkpoint, weights=weights)


@torch.no_grad()
def _scale(layer: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    layer.weight *= scale[:, None, None, None]
    mean *= scale
    variance *= scale**2
    norm.weight.copy_(_inverse(torch.rsqrt(variance + norm.eps)))


def _inverse(values: torch.Tensor) -> torch.Tensor:
    """Numbers whose float32 product with `values` is 1, or as near as there are any."""
    best = 1 / values
    for direction in (torch.inf, -torch.inf):
        other = 1 / values
        for _ in range(ULPS):
            other = torch.nextafter(other, torch.full_like(other, direction))
            best = torch.where((best * values == 1) | (other * values != 1), best, other)
    return best
