"""The seam to device memory, streams and kernels: by pycuda where it is installed, else by cuda-python."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from ..errors import BackendMissing
from .driver import Gpu, first_gpu

BLOCK = (32, 8, 1)  # threads of a block of every kernel in pixels.cu


class Stream(Protocol):
    """A queue of work on the device; lives until its `Cuda` is closed."""

    @property
    def handle(self) -> int: ...


class Event(Protocol):
    """A mark in a stream; lives until its `Cuda` is closed."""


class Cuda(Protocol):
    """The first GPU through its primary context, which PyTorch, CuPy and TensorRT use too.

    Every method but `active`, `share` and `close` is called inside `with cuda.active():`, from any thread. What the
    driver refuses is a PnenError, or a MemoryError, of one line with the driver's name for it.
    """

    name: str  # "pycuda 2026.1", "cuda-python 13.1.0"
    gpu: Gpu

    def active(self) -> AbstractContextManager[None]:
        """Make the primary context current in this thread; what was current before comes back after. May be nested."""

    def share(self) -> Cuda:
        """Another on the same context, to be closed by itself; may be called outside `active`."""

    def stream(self) -> Stream:
        """A new stream, which does not wait for the default stream."""

    def allocate(self, size: int) -> int:
        """The pointer to `size` new bytes of the device; MemoryError says how many were asked for and are free."""

    def free(self, pointer: int) -> None:
        """Give back what `allocate` gave, once the device is done with it."""

    def memory(self) -> tuple[int, int]:
        """Free and total bytes of the device."""

    def pinned(self, size: int) -> np.ndarray:
        """Page-locked memory as (size,) uint8, for copies that run while the host goes on.

        It lives as long as the array or a view of it, at most until `release` or `close`.
        """

    def release(self, array: np.ndarray) -> None:
        """Give back now what `pinned` gave; neither the array nor a view of it may be used again."""

    def upload(self, pointer: int, host: np.ndarray, stream: Stream) -> None:
        """Copy a C-contiguous array to the device; a pinned one may not change before the stream got there."""

    def download(self, host: np.ndarray, pointer: int, stream: Stream) -> None:
        """Fill a C-contiguous array from the device; a pinned array is filled when the stream got there."""

    def fill(self, pointer: int, size: int, stream: Stream) -> None:
        """Set `size` bytes of the device to zero."""

    def fill_floats(self, pointer: int, value: float, count: int, stream: Stream) -> None:
        """Set `count` float32 of the device to `value`."""

    def event(self, timing: bool = False) -> Event:
        """A new event; `milliseconds` needs those with timing."""

    def record(self, event: Event, stream: Stream) -> None:
        """Mark the place that the stream has come to."""

    def wait(self, stream: Stream, event: Event) -> None:
        """Let the stream wait for the event as it was recorded last; the host does not wait."""

    def wait_for(self, stream: Stream, foreign: int) -> None:
        """Let the stream wait for another library's stream, by its handle: 1 is the legacy default, 2 the thread's."""

    def synchronize(self, what: Stream | Event) -> None:
        """Let the host wait until the stream is empty or the event is reached."""

    def milliseconds(self, start: Event, end: Event) -> float:
        """The time between two events that were recorded with timing and have been reached."""

    def launch(
        self,
        kernel: str,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Sequence[Any],
        stream: Stream,
    ) -> None:
        """Put a kernel of pixels.cu on the stream: pointers are uint64, other arguments as the kernel declares them."""

    def close(self) -> None:
        """Give back everything, and the primary context. Closing twice does nothing."""


def open_cuda() -> Cuda:
    """The first GPU by pycuda, or by cuda-python where pycuda is not installed.

    Raises
    ------
    BackendMissing
        There is no NVIDIA driver or GPU, or neither package is installed.
    """
    gpu = first_gpu()
    if gpu is None:
        raise BackendMissing("expected an NVIDIA GPU and its driver, found none; the ONNX file runs on the CPU")
    try:
        from .by_pycuda import PyCuda

        return PyCuda(gpu)
    except ImportError as error:
        without_pycuda = error
    try:
        from .by_cuda_python import CudaPython

        return CudaPython(gpu)
    except ImportError as error:
        reasons = f"pycuda: {without_pycuda}; cuda-python: {error}"
        raise BackendMissing(
            f"expected pycuda or cuda-python ({reasons}); install one: pip install cuda-python"
        ) from error


def blocks(wide: int, high: int, deep: int = 1) -> tuple[int, int, int]:
    """The grid of blocks of 32x8 threads that covers `wide` columns and `high` rows, `deep` times."""
    return -(-wide // BLOCK[0]), -(-high // BLOCK[1]), deep


class Buffer:
    """Device memory that only grows; what was in it is lost when it does, and all of it where the new does not fit.

    `grown` counts the allocations: a CUDA graph that was captured at another count uses addresses that are gone.
    """

    def __init__(self, cuda: Cuda):
        self._cuda = cuda
        self.pointer = 0
        self.size = 0  # bytes
        self.grown = 0

    def need(self, size: int) -> int:
        """The pointer to at least `size` bytes; after a MemoryError there are none."""
        if size > self.size:
            self.free()  # before, so that both are never held at once
            self.pointer = self._cuda.allocate(size)
            self.size = size
            self.grown += 1
        return self.pointer

    def free(self) -> None:
        """Give the memory back. Freeing twice does nothing."""
        pointer, self.pointer, self.size = self.pointer, 0, 0
        if pointer:
            self._cuda.free(pointer)
