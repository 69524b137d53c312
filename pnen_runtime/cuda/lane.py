"""One way through the GPU: streams, buffers and the network's contexts, for one picture at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from math import prod
from typing import Any, Protocol

import numpy as np

from ..errors import PnenError
from . import Buffer, Cuda, Event

Shape = tuple[int, ...]  # B, C, H, W


class Network(Protocol):
    """A network on the GPU, for one lane."""

    def enqueue(self, shape: Shape, image: int, strength: int, smooth: int, stream: Any) -> None:
        """Smooth the float32 batch at the address `image` into `smooth`, in the order of `stream`.

        `strength` is the address of (B, 1, H, W) float32; 0 for a network of one strength.
        """

    def close(self) -> None:
        """Free what it holds."""


class Staging:
    """Page-locked host memory that only grows; copies from and to it run beside the host."""

    def __init__(self, cuda: Cuda):
        self._cuda, self._bytes = cuda, np.empty(0, np.uint8)

    def need(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array of this shape, whose values are of earlier use."""
        size = prod(shape) * dtype.itemsize
        if self._bytes.nbytes < size:
            self.free()
            self._bytes = self._cuda.pinned(size)
        return self._bytes[:size].view(dtype).reshape(shape)

    def free(self) -> None:
        if self._bytes.nbytes:
            self._cuda.release(self._bytes)
        self._bytes = np.empty(0, np.uint8)


class Lane:
    """Everything that one thread needs to smooth: nothing in it is shared, and its buffers only grow."""

    def __init__(self, cuda: Cuda, open_network: Callable[[Lane], Network]):
        self.cuda = cuda
        self.up, self.work, self.down = cuda.stream(), cuda.stream(), cuda.stream()
        self.image, self.strength, self.smooth = (Buffer(cuda) for _ in range(3))  # batches in and out of the network
        self.picture, self.map, self.result = (Buffer(cuda) for _ in range(3))  # whole, of the user's type
        self.band, self.weights, self.bad = Buffer(cuda), Buffer(cuda), Buffer(cuda)
        self.staging = [Staging(cuda) for _ in range(6)]  # two up, two down, two up for maps of strengths
        self.copied = [cuda.event() for _ in range(6)]  # when a copy from or to each of them is done
        self.done = cuda.event()
        self._timing: list[Event] = []
        self._constant: tuple[float, int] | None = None  # the value that so many floats of `strength` hold
        self.network = open_network(self)

    def need_batch(self, shape: Shape) -> None:
        """Make room for batches of this shape."""
        self.image.need(4 * prod(shape))
        self.smooth.need(4 * prod(shape))

    def need_strength(self, floats: int) -> int:
        """The pointer to room for the strengths of a batch, to be filled by the caller."""
        self._constant = None
        return self.strength.need(4 * floats)

    def fill_strength(self, value: float, floats: int) -> None:
        """Let the strengths of a batch be one value; nothing is done where they are."""
        if self._constant is None or self._constant[0] != value or self._constant[1] < floats:
            self.cuda.fill_floats(self.need_strength(floats), value, floats, self.work)
            self._constant = value, floats

    def enqueue(self, shape: Shape) -> None:
        """Smooth the batch in `image`, and `strength` of an adjustable network, into `smooth`; all are large enough."""
        self.network.enqueue(shape, self.image.pointer, self.strength.pointer, self.smooth.pointer, self.work)

    def run(self, batch: np.ndarray, strength: float | np.ndarray | None = None) -> np.ndarray:
        """A float32 batch from the host and back; of an adjustable network with a number or (B, 1, H, W) float32."""
        self.need_batch(batch.shape)
        if isinstance(strength, np.ndarray):
            pointer, staged = self.need_strength(strength.size), self.staging[4].need(strength.shape, strength.dtype)
            np.copyto(staged, strength)
            self.cuda.upload(pointer, staged, self.work)
        elif strength is not None:
            self.fill_strength(strength, batch[:, 0].size)
        staged = self.staging[0].need(batch.shape, batch.dtype)
        np.copyto(staged, batch)
        self.cuda.upload(self.image.pointer, staged, self.work)
        self.enqueue(batch.shape)
        self.cuda.download(staged, self.smooth.pointer, self.work)
        self.cuda.synchronize(self.work)
        return staged.copy()

    def milliseconds(self, shape: Shape, repeats: int, strength: float | None = None) -> list[float]:
        """The network's own time on a batch that is there already, for each repeat after two that do not count."""
        self.need_batch(shape)
        if strength is not None:
            self.fill_strength(strength, shape[0] * shape[2] * shape[3])
        self.cuda.fill(self.image.pointer, 4 * prod(shape), self.work)
        self.enqueue(shape)
        while len(self._timing) <= repeats:
            self._timing.append(self.cuda.event(timing=True))
        events = self._timing[: repeats + 1]
        for event in events:
            self.enqueue(shape)
            self.cuda.record(event, self.work)
        self.cuda.synchronize(self.work)
        return [self.cuda.milliseconds(*pair) for pair in pairwise(events)]

    def shrink(self) -> None:
        """Give the memory of batches back, which may have grown for one that did not fit; nothing may run."""
        self.settle()
        self._constant = None
        for part in (self.image, self.strength, self.smooth):
            part.free()

    def settle(self) -> None:
        """Wait until nothing of this lane runs."""
        for stream in (self.up, self.work, self.down):
            self.cuda.synchronize(stream)

    def close(self) -> None:
        self.network.close()
        for part in (self.image, self.strength, self.smooth, self.picture, self.map, self.result):
            part.free()
        for part in (self.band, self.weights, self.bad):
            part.free()
        for staging in self.staging:
            staging.free()


class Lanes:
    """Lends a lane to each thread that asks; at most `limit` exist, and who comes later waits."""

    def __init__(self, cuda: Cuda, open_network: Callable[[Lane], Network], limit: int):
        self.cuda, self._open_network = cuda, open_network
        self._free: list[Lane] = []
        self._limit, self._turns, self._lock = limit, threading.BoundedSemaphore(limit), threading.Lock()
        self._closed = False

    @contextmanager
    def lend(self) -> Iterator[Lane]:
        """A lane, with the GPU's context current in this thread."""
        with self._turns, self.cuda.active():
            with self._lock:
                if self._closed:
                    raise PnenError("the engine is closed; open it again")
                lane = self._free.pop() if self._free else None
            lane = lane or Lane(self.cuda, self._open_network)
            try:
                yield lane
            except BaseException:
                with suppress(PnenError):
                    lane.settle()  # what was begun must not write into the buffers of the next picture
                raise
            finally:
                with self._lock:
                    self._free.append(lane)

    def close(self) -> None:
        """Lend no more, wait for the lanes in use, and free all; not to be called with a lane in hand."""
        with self._lock:
            self._closed = True
        for _ in range(self._limit):
            self._turns.acquire()
        with self.cuda.active():
            for lane in self._free:
                lane.close()
        self._free.clear()
        self._turns.release(self._limit)  # who still asks is told that it is closed
