"""One frame through a backend that takes batches of the host."""

from __future__ import annotations

import numpy as np

from .backends import Backend
from .card import Card
from .errors import NotFinite
from .tiles import Blend, Progress, smooth_tiled


def smooth_on_host(
    backend: Backend,
    card: Card,
    frame: np.ndarray,
    out: np.ndarray,
    tile: int,
    step: int,
    blend: Blend,
    *,
    strength: float | np.ndarray | None,
    mix: float,
    progress: Progress | None,
) -> None:
    """Smooth an (H, W, 1|3) frame into `out`, of the same shape and type, tile by tile.

    `mix` is the share of (smooth - frame) that is added to the frame. Raises NotFinite.
    """

    def run_tile(batch: np.ndarray, *strengths: np.ndarray) -> np.ndarray:
        smooth = backend.run(batch, *strengths)
        if not np.isfinite(smooth).all():
            raise NotFinite("the network gave values that are not numbers")
        if mix == 1:
            return smooth
        return np.clip(batch + np.float32(mix) * (np.clip(smooth, 0, 1) - batch), 0, 1)

    smooth_tiled(
        run_tile, frame, tile, step, blend, grid=card.grid, channels=card.channels, strength=strength, out=out,
        progress=progress,
    )  # fmt: skip
