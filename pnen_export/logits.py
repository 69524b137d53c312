"""The largest attention logit of a network on a picture: what half precision has to hold."""

import numpy as np
import torch
from torch import Tensor, nn

from pnen_runtime.tiles import smooth_tiled
from pnen_train.models.pnb import PyramidNonLocal, as_pixels

from .parity import torch_run

WORRYING = 25.0  # from here on rounding queries and keys to half costs more than a thousandth of an attention weight


def largest_logit(model: nn.Module, image: np.ndarray, tile: int, channels: int = 3) -> float | None:
    """max |q·k| over all blocks and tiles of an (H, W, C) picture; None for a network without such a block."""
    found: list[float] = []

    def measure(block: PyramidNonLocal, inputs: tuple[Tensor, ...]) -> None:
        queries = as_pixels(block.query(inputs[0]))
        for key in block.keys:
            keys = as_pixels(key(inputs[0])).mT
            found.extend(float((part @ keys).abs().max()) for part in queries.split(4096, dim=1))

    blocks = [module for module in model.modules() if isinstance(module, PyramidNonLocal)]
    hooks = [block.register_forward_pre_hook(measure) for block in blocks]
    try:
        if blocks:
            with torch.inference_mode():
                smooth_tiled(torch_run(model), image[:, :, :channels], tile, tile, channels=channels)
    finally:
        for hook in hooks:
            hook.remove()
    return max(found, default=None)
