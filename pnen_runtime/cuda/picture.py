"""CUDA arrays: what a user gives on the GPU, taken apart into frames for the network, without a copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ImageError
from .arrays import CudaArray, as_cuda_array, as_kind_of
from .transfer import KINDS


@dataclass(frozen=True)
class GpuPicture:
    """As `pnen_runtime.image.Picture`, with its frames on the GPU."""

    frames: list[CudaArray]  # each (H, W, 1|3), the user's memory
    smooth: list[CudaArray]  # the same, to be filled
    finish: Callable[[], Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 1|3)."""
        return (len(self.frames), *self.frames[0].shape)


def take_apart_on_gpu(
    image: Any, new_array: Callable[[tuple[int, ...], np.dtype], CudaArray] | None, minimum_side: int
) -> GpuPicture | None:
    """See a CUDA array (H, W), (H, W, 1|3) or (N, H, W, 1|3) as frames; None where `image` is none.

    Raises ImageError for another shape or type, for a side under `minimum_side` pixels, or where the network does not
    run on the GPU.
    """
    array = as_cuda_array(image)
    if array is None:
        return None
    if new_array is None:
        raise ImageError("expected a picture on the host, since this network runs on the CPU; copy it there first")
    shape = array.shape
    if array.dtype.name not in KINDS:
        raise ImageError(f"expected uint8, uint16, or floats in [0, 1], got {array.dtype}; convert the array first")
    if not (len(shape) == 2 or (len(shape) in (3, 4) and shape[-1] in (1, 3))) or 0 in shape:
        hint = "; channels come last, and alpha is not taken on the GPU" if len(shape) in (3, 4) else ""
        raise ImageError(f"expected a CUDA array (H, W), (H, W, 1|3) or (N, H, W, 1|3), got shape {shape}{hint}")
    height, width = shape[:2] if len(shape) < 4 else shape[1:3]
    if min(height, width) < minimum_side:
        raise ImageError(f"expected at least {minimum_side} pixels a side, got {width}x{height}; enlarge it first")
    result = new_array(shape, array.dtype)
    return GpuPicture(_frames(array), _frames(result), lambda: as_kind_of(result, image))


def _frames(array: CudaArray) -> list[CudaArray]:
    """Views of (H, W), (H, W, C) or (N, H, W, C) as (H, W, C)."""
    if len(array.shape) == 2:
        return [replace(array, shape=(*array.shape, 1), strides=(*array.strides, array.dtype.itemsize))]
    if len(array.shape) == 3:
        return [array]
    return [
        replace(
            array, pointer=array.pointer + number * array.strides[0], shape=array.shape[1:], strides=array.strides[1:]
        )
        for number in range(array.shape[0])
    ]
