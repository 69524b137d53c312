"""The frames of what a user gives, and one of them through a backend that takes batches of the host."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .backends import Backend
from .card import Card
from .errors import NotFinite
from .image import may_lie_on_gpu, take_apart
from .tiles import Blend, Progress, smooth_tiled


class OnGpu(Protocol):
    """An array of another library that may lie on the GPU: of PyTorch, CuPy, JAX, ..."""

    def __dlpack_device__(self) -> Any: ...


def take_frames(backend: Backend, image: Any, minimum_side: int) -> Any:
    """The `Picture` of an image, or the `GpuPicture` of a CUDA array; ImageError as `take_apart` and its like."""
    if may_lie_on_gpu(image):
        from .cuda.picture import take_apart_on_gpu

        picture = take_apart_on_gpu(image, getattr(backend, "new_array", None), minimum_side)
        if picture is not None:
            return picture
    return take_apart(image, minimum_side)


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

    at_once = getattr(backend, "at_once", 1)
    smooth_tiled(
        run_tile, frame, tile, step, blend, grid=card.grid, channels=card.channels, batch=at_once, strength=strength,
        border=card.border, out=out, progress=progress,
    )  # fmt: skip
