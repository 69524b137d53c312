"""Device memory, streams and kernels by pycuda."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import PnenError
from .driver import Gpu, bits, contiguous, current_context, out_of_memory, read_ptx, replace_current_context, wait_for

NON_BLOCKING = 1  # CUstream_flags


@dataclass(frozen=True)
class Stream:
    handle: int


class Event:
    """An event of pycuda, which destroys it with the last reference; that must be this one."""

    def __init__(self, own: Any):
        self.own: Any = own


class PyCuda:
    """`Cuda` by pycuda, on the primary context; pycuda.autoinit would make another, which TensorRT does not share.

    What pycuda makes is freed with its last reference, but only in a thread in which the context is current. So all of
    it is kept here until it is given back.
    """

    def __init__(self, gpu: Gpu):
        import pycuda
        import pycuda.driver

        self._driver: Any = pycuda.driver
        self.name = f"pycuda {pycuda.VERSION_TEXT}"
        self.gpu = gpu
        self._call(self._driver.init)
        self._context: Any = self._call(self._call(self._driver.Device, 0).retain_primary_context)
        self._allocated: dict[int, Any] = {}
        self._pinned: dict[int, weakref.finalize] = {}
        self._streams: dict[int, Any] = {}  # by handle
        self._events: list[Event] = []
        self._module: Any = None
        self._kernels: dict[str, Any] = {}
        self._loading = threading.Lock()

    @contextmanager
    def active(self) -> Iterator[None]:
        if self._context is None:
            raise PnenError(f"{self.gpu.name} is closed; open it again")
        self._call(self._context.push)
        try:
            yield
        finally:
            self._call(self._driver.Context.pop)

    def share(self) -> PyCuda:
        return PyCuda(self.gpu)

    def stream(self) -> Stream:
        own = self._call(self._driver.Stream, NON_BLOCKING)
        self._streams[own.handle] = own
        return Stream(own.handle)

    def allocate(self, size: int) -> int:
        try:
            allocation = self._call(self._driver.mem_alloc, size)
        except MemoryError as error:
            raise out_of_memory(size, self.memory()[0]) from error
        self._allocated[int(allocation)] = allocation
        return int(allocation)

    def free(self, pointer: int) -> None:
        self._call(self._allocated.pop(pointer).free)

    def memory(self) -> tuple[int, int]:
        free, total = self._call(self._driver.mem_get_info)
        return free, total

    def pinned(self, size: int) -> np.ndarray:
        array: np.ndarray = self._call(self._driver.pagelocked_empty, size, np.uint8)
        self._pinned[array.ctypes.data] = end = weakref.finalize(array, self._unpin, array.ctypes.data, array.base)
        end.atexit = False  # the driver may be gone by then
        return array

    def _unpin(self, address: int, allocation: Any) -> None:
        del self._pinned[address]
        with self.active():
            self._call(allocation.free)

    def release(self, array: np.ndarray) -> None:
        self._pinned[array.ctypes.data]()

    def upload(self, pointer: int, host: np.ndarray, stream: Any) -> None:
        self._call(self._driver.memcpy_htod_async, pointer, contiguous(host), self._streams[stream.handle])

    def download(self, host: np.ndarray, pointer: int, stream: Any) -> None:
        self._call(self._driver.memcpy_dtoh_async, contiguous(host), pointer, self._streams[stream.handle])

    def fill(self, pointer: int, size: int, stream: Any) -> None:
        self._call(self._driver.memset_d8_async, pointer, 0, size, self._streams[stream.handle])

    def fill_floats(self, pointer: int, value: float, count: int, stream: Any) -> None:
        self._call(self._driver.memset_d32_async, pointer, bits(value), count, self._streams[stream.handle])

    def event(self, timing: bool = False) -> Event:
        flags = self._driver.event_flags
        event = Event(self._call(self._driver.Event, flags.DEFAULT if timing else flags.DISABLE_TIMING))
        self._events.append(event)
        return event

    def record(self, event: Any, stream: Any) -> None:
        self._call(event.own.record, self._streams[stream.handle])

    def wait(self, stream: Any, event: Any) -> None:
        self._call(self._streams[stream.handle].wait_for_event, event.own)

    def wait_for(self, stream: Any, foreign: int) -> None:
        wait_for(stream.handle, foreign)

    def synchronize(self, what: Any) -> None:
        own = what.own if isinstance(what, Event) else self._streams[what.handle]
        self._call(own.synchronize)

    def milliseconds(self, start: Any, end: Any) -> float:
        return float(self._call(end.own.time_since, start.own))

    def launch(
        self, kernel: str, grid: Sequence[int], block: Sequence[int], arguments: Sequence[Any], stream: Any
    ) -> None:
        self._call(
            self._kernel(kernel), *arguments, grid=tuple(grid), block=tuple(block), stream=self._streams[stream.handle]
        )

    def _kernel(self, name: str) -> Any:
        with self._loading:
            if name not in self._kernels:
                if self._module is None:
                    self._module = self._call(self._driver.module_from_buffer, read_ptx())
                self._kernels[name] = self._call(self._module.get_function, name)
            return self._kernels[name]

    def close(self) -> None:
        if self._context is None:
            return
        before = current_context()
        with self.active():
            for stream in self._streams:
                with suppress(PnenError):  # after a failed kernel every call fails
                    self.synchronize(Stream(stream))
            for end in list(self._pinned.values()):
                end()
            for event in self._events:
                event.own = None
            self._streams.clear()
            self._allocated.clear()
            self._kernels.clear()
            self._module = None
        # pycuda gives a context back only where it is current, and leaves it on the driver's stack.
        context, self._context = self._context, None
        self._call(context.push)
        self._call(context.detach)
        replace_current_context(before)

    def _call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """The result of a function of pycuda, whose errors name the driver's function and what it said."""
        try:
            return function(*arguments, **options)
        except self._driver.MemoryError as error:
            raise MemoryError(" ".join(str(error).split())) from error
        except (self._driver.Error, UnicodeDecodeError) as error:  # a compiler's log may be of any bytes
            raise PnenError(" ".join(str(error).split())) from error
