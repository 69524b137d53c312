"""A picture on its way to the GPU and back, row after row, or one that is there already."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from . import Buffer
from .arrays import CudaArray, c_strides
from .lane import Lane, Staging

KINDS = {"uint8": "u8", "uint16": "u16", "float16": "f16", "float32": "f32", "float64": "f64"}


@dataclass(frozen=True)
class Frame:
    """One (H, W, 1|3) picture, or (H, W) map of strengths, on the GPU in any layout."""

    pointer: int
    strides: tuple[int, ...]  # bytes
    kind: str  # of the kernels for its type

    def arguments(self) -> list[np.generic]:
        """What every kernel takes of a picture."""
        return [np.uint64(self.pointer), *(np.int64(stride) for stride in self.strides)]


class InPlace:
    """A picture that is on the GPU and stays there."""

    def __init__(self, lane: Lane, array: CudaArray):
        self._lane = lane
        self.frame = Frame(array.pointer, array.strides, KINDS[array.dtype.name])
        if array.stream is not None:
            lane.cuda.wait_for(lane.work, array.stream)

    def need(self, bottom: int) -> None:
        """All rows are there."""

    def take(self, top: int, below: int) -> None:
        """No row leaves."""

    def wait(self) -> None:
        self._lane.cuda.synchronize(self._lane.work)

    finish = wait


class _FromHost:
    """A picture of the host and its copy on the GPU; it goes through two pieces of page-locked memory in turn."""

    def __init__(self, lane: Lane, array: np.ndarray, buffer: Buffer):
        height, *row = array.shape
        self._lane, self._array, self._dtype = lane, array, array.dtype.newbyteorder("=")
        self._row = prod(row) * array.itemsize  # bytes
        strides = c_strides(array.shape, array.itemsize)
        self.frame = Frame(buffer.need(height * self._row), strides, KINDS[self._dtype.name])
        self._turn = 0

    def _stage(self, staging: Staging, rows: int) -> np.ndarray:
        return staging.need((rows, *self._array.shape[1:]), self._dtype)


class Upload(_FromHost):
    """Rows on their way to the GPU."""

    def __init__(self, lane: Lane, array: np.ndarray, buffer: Buffer, pieces: slice):
        super().__init__(lane, array, buffer)
        self._staging, self._copied = lane.staging[pieces], lane.copied[pieces]
        self._sent = 0  # rows

    def need(self, bottom: int) -> None:
        """Send the rows above `bottom`; the lane's work waits for them, the host does not."""
        cuda, lane, top, slot = self._lane.cuda, self._lane, self._sent, self._turn % 2
        if bottom <= top:
            return
        if self._turn >= 2:
            cuda.synchronize(self._copied[slot])  # what was in this piece has left
        staged = self._stage(self._staging[slot], bottom - top)
        np.copyto(staged, self._array[top:bottom])
        cuda.upload(self.frame.pointer + top * self._row, staged, lane.up)
        cuda.record(self._copied[slot], lane.up)
        cuda.wait(lane.work, self._copied[slot])
        self._sent, self._turn = bottom, self._turn + 1


class Download(_FromHost):
    """Rows on their way back."""

    def __init__(self, lane: Lane, array: np.ndarray):
        super().__init__(lane, array, lane.result)
        self._under_way: list[tuple[int, int, int, np.ndarray]] = []  # piece, first row, row after the last, values

    def take(self, top: int, below: int) -> None:
        """Fetch rows that are complete when the lane's work so far is."""
        cuda, lane, slot = self._lane.cuda, self._lane, self._turn % 2
        if len(self._under_way) == 2:
            self.wait()
        staged = self._stage(lane.staging[2 + slot], below - top)
        cuda.record(lane.done, lane.work)
        cuda.wait(lane.down, lane.done)
        cuda.download(staged, self.frame.pointer + top * self._row, lane.down)
        cuda.record(lane.copied[2 + slot], lane.down)
        self._under_way.append((slot, top, below, staged))
        self._turn += 1

    def wait(self) -> None:
        """Give the user the rows that were sent for first."""
        slot, top, below, staged = self._under_way.pop(0)
        self._lane.cuda.synchronize(self._lane.copied[2 + slot])
        np.copyto(self._array[top:below], staged)

    def finish(self) -> None:
        """Give the user all that is under way."""
        while self._under_way:
            self.wait()
