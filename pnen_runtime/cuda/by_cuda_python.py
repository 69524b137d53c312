"""Device memory, streams and kernels by cuda-python, which NVIDIA ships as wheels."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from ..errors import PnenError
from .driver import DISABLE_TIMING, Gpu, bits, contiguous, failed, out_of_memory, read_ptx, wait_for

NON_BLOCKING = 1  # CUstream_flags


@dataclass(frozen=True)
class Stream:
    handle: int


@dataclass(frozen=True)
class Event:
    handle: int


class CudaPython:
    """`Cuda` by the driver bindings of cuda-python 12 and 13."""

    def __init__(self, gpu: Gpu):
        self._driver, version = _find_driver()
        self.name = f"cuda-python {version}"
        self.gpu = gpu
        self._call("cuInit", 0)
        self._device = self._call("cuDeviceGet", 0)
        self._context: Any = self._call("cuDevicePrimaryCtxRetain", self._device)
        self._allocated: set[int] = set()
        self._pinned: dict[int, weakref.finalize] = {}
        self._streams: list[Stream] = []
        self._events: list[Event] = []
        self._module: Any = None
        self._kernels: dict[str, Any] = {}
        self._loading = threading.Lock()

    @contextmanager
    def active(self) -> Iterator[None]:
        if self._context is None:
            raise PnenError(f"{self.gpu.name} is closed; open it again")
        self._call("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            self._call("cuCtxPopCurrent")

    def share(self) -> CudaPython:
        return CudaPython(self.gpu)

    def stream(self) -> Stream:
        stream = Stream(int(self._call("cuStreamCreate", NON_BLOCKING)))
        self._streams.append(stream)
        return stream

    def allocate(self, size: int) -> int:
        try:
            pointer = int(self._call("cuMemAlloc", size))
        except MemoryError as error:
            raise out_of_memory(size, self.memory()[0]) from error
        self._allocated.add(pointer)
        return pointer

    def free(self, pointer: int) -> None:
        self._allocated.remove(pointer)
        self._call("cuMemFree", pointer)

    def memory(self) -> tuple[int, int]:
        free, total = self._call("cuMemGetInfo")
        return free, total

    def pinned(self, size: int) -> np.ndarray:
        address = int(self._call("cuMemHostAlloc", size, 0))
        array = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        self._pinned[address] = end = weakref.finalize(array, self._unpin, address)
        end.atexit = False  # the driver may be gone by then
        return array

    def _unpin(self, address: int) -> None:
        del self._pinned[address]
        with self.active():
            self._give_back("cuMemFreeHost", [address])

    def release(self, array: np.ndarray) -> None:
        self._pinned[array.ctypes.data]()

    def upload(self, pointer: int, host: np.ndarray, stream: Any) -> None:
        self._call("cuMemcpyHtoDAsync", pointer, contiguous(host).ctypes.data, host.nbytes, stream.handle)

    def download(self, host: np.ndarray, pointer: int, stream: Any) -> None:
        self._call("cuMemcpyDtoHAsync", contiguous(host).ctypes.data, pointer, host.nbytes, stream.handle)

    def fill(self, pointer: int, size: int, stream: Any) -> None:
        self._call("cuMemsetD8Async", pointer, 0, size, stream.handle)

    def fill_floats(self, pointer: int, value: float, count: int, stream: Any) -> None:
        self._call("cuMemsetD32Async", pointer, bits(value), count, stream.handle)

    def event(self, timing: bool = False) -> Event:
        event = Event(int(self._call("cuEventCreate", 0 if timing else DISABLE_TIMING)))
        self._events.append(event)
        return event

    def record(self, event: Any, stream: Any) -> None:
        self._call("cuEventRecord", event.handle, stream.handle)

    def wait(self, stream: Any, event: Any) -> None:
        self._call("cuStreamWaitEvent", stream.handle, event.handle, 0)

    def wait_for(self, stream: Any, foreign: int) -> None:
        wait_for(stream.handle, foreign)

    def synchronize(self, what: Any) -> None:
        kind = "Stream" if isinstance(what, Stream) else "Event"
        self._call(f"cu{kind}Synchronize", what.handle)

    def milliseconds(self, start: Any, end: Any) -> float:
        return float(self._call("cuEventElapsedTime", start.handle, end.handle))

    def launch(
        self, kernel: str, grid: Sequence[int], block: Sequence[int], arguments: Sequence[Any], stream: Any
    ) -> None:
        values = [np.array(value) for value in arguments]
        addresses = np.array([value.ctypes.data for value in values], np.uint64)
        shared = 0
        self._call(
            "cuLaunchKernel", self._kernel(kernel), *grid, *block, shared, stream.handle, addresses.ctypes.data, 0
        )

    def _kernel(self, name: str) -> Any:
        with self._loading:
            if name not in self._kernels:
                if self._module is None:
                    self._module = self._call("cuModuleLoadData", read_ptx())
                self._kernels[name] = self._call("cuModuleGetFunction", self._module, name.encode())
            return self._kernels[name]

    def close(self) -> None:
        if self._context is None:
            return
        with self.active():
            self._give_back("cuStreamSynchronize", (stream.handle for stream in self._streams))
            for end in list(self._pinned.values()):
                end()
            self._give_back("cuMemFree", self._allocated)
            self._give_back("cuStreamDestroy", (stream.handle for stream in self._streams))
            self._give_back("cuEventDestroy", (event.handle for event in self._events))
            self._give_back("cuModuleUnload", [self._module] if self._module is not None else [])
        self._context = None
        self._give_back("cuDevicePrimaryCtxRelease", [self._device])

    def _give_back(self, function: str, handles: Iterable[Any]) -> None:
        for handle in handles:
            with suppress(PnenError):  # after a failed kernel every call fails, and the context goes with all it holds
                self._call(function, handle)

    def _call(self, name: str, *arguments: Any) -> Any:
        """The result of a function of the driver, which gives a tuple that begins with its status."""
        status, *result = getattr(self._driver, name)(*arguments)
        if status:
            raise failed(name, getattr(status, "name", str(status)))
        return result[0] if len(result) == 1 else result


def _find_driver() -> tuple[Any, str]:
    """The module of the driver's functions, and its version; ImportError where cuda-python is not installed."""
    try:
        from cuda.bindings import driver
    except ImportError:
        from cuda import cuda as driver  # before 12.6
    for package in ("cuda-bindings", "cuda-python"):
        with suppress(metadata.PackageNotFoundError):
            return driver, metadata.version(package)
    return driver, "of unknown version"
