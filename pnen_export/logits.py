"""The largest attention logit of a network on a picture: what half precision has to hold."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from pnen_train.models.pnb import PyramidNonLocal, as_pixels, queries

from .inputs import constant_map
from .parity import torch_run

WORRYING = 25.0  # from here on rounding queries and keys to half costs more than a thousandth of an attention weight
ROWS = 1024  # of queries at once, which bounds the memory


def largest_logit(model: nn.Module, tiles: list[np.ndarray], strengths: Sequence[float] = ()) -> float | None:
    """max |q·k| over all blocks and (B, C, H, W) tiles; None for a network without such a block.

    Of an adjustable network over these strengths too.
    """
    found: list[float] = []

    def measure(block: PyramidNonLocal, inputs: tuple[Tensor, ...]) -> None:
        for query, key in zip(queries(block.query, inputs[0], len(block.keys)), block.keys, strict=True):
            keys = as_pixels(key(inputs[0])).mT
            found.extend(float((part @ keys).abs().max()) for part in query.split(ROWS, dim=1))

    blocks = [module for module in model.modules() if isinstance(module, PyramidNonLocal)]
    hooks = [block.register_forward_pre_hook(measure) for block in blocks]
    try:
        for tile in tiles if blocks else ():
            for maps in [[constant_map(tile, value)] for value in strengths] or [[]]:
                torch_run(model)(tile, *maps)
    finally:
        for hook in hooks:
            hook.remove()
    return max(found, default=None)
