"""The loss of the smoothing task."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def smoothing_loss(images: Sequence[Tensor], target: Tensor, deep_supervision: bool = True) -> Tensor:
    """Σ MSE over the supervised images, weight 1 each (Eq. 5); without deep supervision the last image's alone.

    Images and target are (B, C, H, W) in [0, 1]; the mean runs over batch, channels and pixels. Returns a scalar.
    """
    first, *rest = (F.mse_loss(image.float(), target) for image in (images if deep_supervision else images[-1:]))
    return sum(rest, first)
