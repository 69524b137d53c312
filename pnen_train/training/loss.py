"""The losses of the tasks."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from ..config import Optimiser
from ..models.ceilnet import edge_map


def mean_square(image: Tensor, target: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Of weighted pixels; the weight is (B, 1, H, W), or one number."""
    return (weight * (image - target).square()).mean()


def mean_absolute(image: Tensor, target: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Likewise."""
    return (weight * (image - target).abs()).mean()


FLAT = 5  # pixels a side, within which the input has one colour
KEPT = 1.5 / 255  # by less the target changes what stays as it is


def flat_places(inputs: Tensor, targets: Tensor) -> Tensor:
    """Where colour is flat in the input and the target leaves it alone, true in a (B, 1, H, W) mask."""
    high, low = (sign * F.max_pool2d(sign * inputs, FLAT, 1, FLAT // 2) for sign in (1, -1))
    flat = (high == low) & ((targets - inputs).abs() < KEPT)
    return flat.all(dim=1, keepdim=True)


DISTANCES = {"mse": mean_square, "l1": mean_absolute}


def training_loss(
    images: Sequence[Tensor],
    target: Tensor,
    settings: Optimiser,
    edges: Tensor | None = None,
    weight: Tensor | float = 1.0,
) -> Tensor:
    """Σ MSE over the supervised images, weight 1 each (Eq. 5), or what `settings` say instead.

    Images and target are (B, C, H, W) in [0, 1]; the mean runs over batch, channels and pixels. `edges` are those that
    CEILNet predicts, for its own loss; `weight`, (B, 1, H, W), is of errors at each pixel. Returns a scalar.
    """
    if settings.loss == "ceilnet":
        return ceilnet_loss(images[-1].float(), target, edges)
    distance = DISTANCES[settings.loss]
    losses = [
        distance(image.float(), target, weight) for image in (images if settings.deep_supervision else images[-1:])
    ]
    total = sum(losses[1:], losses[0])
    return total / len(losses) if settings.mean_of_exits else total


def ceilnet_loss(image: Tensor, target: Tensor, edges: Tensor | None) -> Tensor:
    """Fan et al. 2017: 0.2 MSE(image) + 0.4 mean |∂ error| along columns and along rows, and 0.4 MSE(edges).

    The weights are for images in [0, 255], which 65025 and 255 stand for; edges are in the unit of `edge_map`.
    """
    error = image - target
    across, down = error.diff(dim=3).abs().mean(), error.diff(dim=2).abs().mean()
    loss = 0.2 * 255**2 * error.square().mean() + 0.4 * 255 * (across + down)
    return loss if edges is None else loss + 0.4 * F.mse_loss(edges.float(), edge_map(target))
