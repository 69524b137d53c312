"""What the CUDA driver is asked without a package: which GPU is here, and CUDA graphs; and what both packages share."""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable
from ctypes import byref, c_char_p, c_int, c_uint, c_ulonglong, c_void_p
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from ..errors import PnenError

CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CUdevice_attribute
DEVICE_ORDINAL = 9  # CUpointer_attribute
THREAD_LOCAL = 1  # CUstreamCaptureMode: other threads may allocate meanwhile
DISABLE_TIMING = 2  # CUevent_flags
ARGUMENTS: dict[str, list[Any]] = {
    "cuStreamBeginCapture_v2": [c_void_p, c_int],
    "cuStreamEndCapture": [c_void_p, c_void_p],
    "cuGraphInstantiateWithFlags": [c_void_p, c_void_p, c_ulonglong],
    "cuGraphLaunch": [c_void_p, c_void_p],
    "cuGraphDestroy": [c_void_p],
    "cuGraphExecDestroy": [c_void_p],
    "cuEventCreate": [c_void_p, c_uint],
    "cuEventRecord": [c_void_p, c_void_p],
    "cuEventDestroy_v2": [c_void_p],
    "cuStreamWaitEvent": [c_void_p, c_void_p, c_uint],
    "cuCtxGetCurrent": [c_void_p],
    "cuCtxSetCurrent": [c_void_p],
    "cuCtxPopCurrent_v2": [c_void_p],
    "cuGetErrorName": [c_int, c_void_p],
    "cuPointerGetAttribute": [c_void_p, c_int, c_ulonglong],
}
log = logging.getLogger("pnen")


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU."""

    name: str
    compute_capability: str  # "8.9"


def first_gpu() -> Gpu | None:
    """The first visible GPU, which is the one TensorRT takes; None without a driver or a device."""
    try:
        cuda = _library()
    except OSError:
        return None
    device, name = c_int(), ctypes.create_string_buffer(256)
    if cuda.cuInit(0) or cuda.cuDeviceGet(byref(device), 0) or cuda.cuDeviceGetName(name, 256, device):
        return None
    version = (c_int(), c_int())
    for part, attribute in zip(version, (CAPABILITY_MAJOR, CAPABILITY_MINOR), strict=True):
        if cuda.cuDeviceGetAttribute(byref(part), attribute, device):
            return None
    return Gpu(name.value.decode(errors="replace"), f"{version[0].value}.{version[1].value}")


def gpu_of(pointer: int) -> int | None:
    """Number of the visible GPU whose memory lies at this address, from 0; None without a driver or a GPU.

    Raises PnenError where the driver knows no memory there.
    """
    number = c_int()
    try:
        if _library().cuInit(0):
            return None
    except OSError:
        return None
    call("cuPointerGetAttribute", byref(number), DEVICE_ORDINAL, pointer)
    return number.value


def version() -> str | None:
    """The newest CUDA that the installed driver runs, "13.0"; None without a driver."""
    number = c_int()
    try:
        failed = _library().cuDriverGetVersion(byref(number))
    except OSError:
        return None
    return None if failed else f"{number.value // 1000}.{number.value % 1000 // 10}"


class Graph:
    """Work that was captured from a stream, ready to be launched as one."""

    def __init__(self, handle: int):
        self._handle: int | None = handle

    def launch(self, stream: int) -> None:
        """Put the work on the stream of this handle; the addresses it reads and writes are those of the capture."""
        if self._handle is None:
            raise PnenError("this CUDA graph is freed; capture it again")
        call("cuGraphLaunch", self._handle, stream)

    def free(self) -> None:
        """Free the graph, which must have run to its end. Freeing twice does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            call("cuGraphExecDestroy", handle)


def capture(stream: int, work: Callable[[], None]) -> Graph | None:
    """What `work` puts on a stream, as a graph; None where that cannot be captured.

    Parameters
    ----------
    stream : handle of a stream of the current context, not the default stream
    work : called once, and nothing that it puts on the stream runs. It must not allocate, wait or use other streams,
        unless they wait for this one and this one for them.

    Returns
    -------
    None where the driver refuses, and where `work` raises, since what may not be captured fails in many ways: let it
    run without a graph then, and what is truly wrong will show. The stream is as before.
    """
    try:
        call("cuStreamBeginCapture_v2", stream, THREAD_LOCAL)
    except PnenError as error:
        log.debug("no CUDA graph: %s", error)
        return None
    failure: BaseException | None = None
    try:
        work()
    except BaseException as error:  # whatever it is, a stream that stays in capture is of no use
        failure = error
    captured, graph = c_void_p(), c_void_p()
    step, code = "cuStreamEndCapture", _library().cuStreamEndCapture(stream, byref(captured))
    if not failure and not code:
        step, code = (
            "cuGraphInstantiateWithFlags",
            _library().cuGraphInstantiateWithFlags(byref(graph), captured, 0),
        )
    if captured:
        _library().cuGraphDestroy(captured)
    if failure and not isinstance(failure, Exception):
        raise failure
    if failure or code or graph.value is None:
        log.debug("no CUDA graph: %s", failure or f"{step} failed: {error_name(code)}")
        return None
    return Graph(graph.value)


def wait_for(waiting: int, awaited: int) -> None:
    """Let the stream `waiting` wait for all that is on the stream `awaited` now; the host does not wait.

    Both are handles of the current device; 1 is the legacy default stream and 2 that of the thread.
    """
    event = c_void_p()
    call("cuEventCreate", byref(event), DISABLE_TIMING)
    try:
        call("cuEventRecord", event, awaited)
        call("cuStreamWaitEvent", waiting, event, 0)
    finally:
        call("cuEventDestroy_v2", event)  # the driver keeps it until it was reached


def current_context() -> int | None:
    """Handle of the context that is current in this thread."""
    context = c_void_p()
    call("cuCtxGetCurrent", byref(context))
    return context.value


def replace_current_context(context: int | None) -> None:
    """Take the current context off this thread's stack and make the one below it `context`."""
    call("cuCtxPopCurrent_v2", byref(c_void_p()))
    call("cuCtxSetCurrent", context)


def call(name: str, *arguments: Any) -> None:
    """Call a function of the driver; PnenError, or MemoryError, with its name for the error where it fails."""
    code = getattr(_library(), name)(*arguments)
    if code:
        raise failed(name, error_name(code))


def failed(what: str, error: str) -> PnenError | MemoryError:
    """The exception for what the driver refused with an error of this name."""
    return (MemoryError if error == "CUDA_ERROR_OUT_OF_MEMORY" else PnenError)(f"{what} failed: {error}")


def out_of_memory(wanted: int, free: int) -> MemoryError:
    """The exception for bytes that the device does not have."""
    return MemoryError(
        f"expected {wanted / 1e6:.0f} MB free on the GPU, there are {free / 1e6:.0f} MB; "
        "take a smaller tile, or end what else runs there"
    )


def contiguous(host: np.ndarray) -> np.ndarray:
    """The array, whose values lie one after the other in C order."""
    if not host.flags.c_contiguous:
        raise ValueError(f"expected a C-contiguous array, got {host.shape} with strides {host.strides}")
    return host


def bits(value: float) -> int:
    """The 32 bits of a float32, as the driver takes what it fills memory with."""
    return int(np.float32(value).view(np.uint32))


def read_ptx() -> bytes:
    """The kernels of pixels.cu, as the driver compiles them for its GPU."""
    return resources.files(__package__).joinpath("pixels.ptx").read_bytes() + b"\0"


def error_name(code: int) -> str:
    """The driver's name of an error, "CUDA_ERROR_OUT_OF_MEMORY"."""
    name = c_char_p()
    if _library().cuGetErrorName(code, byref(name)) or name.value is None:
        return f"CUDA error {code}"
    return name.value.decode()


@cache
def _library() -> Any:
    library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    for name, types in ARGUMENTS.items():
        function = getattr(
            library, name, None
        )  # drivers before CUDA 11.4 lack some, and need not have them to be asked
        if function is not None:
            function.argtypes = types
    return library
