"""CUDA arrays of other libraries in and out, without a copy and without importing those libraries."""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..errors import ImageError
from ..image import TYPES
from . import Cuda
from .driver import gpu_of

LEGACY_STREAM = 1  # handle of the default stream that all libraries share
CUDA, MANAGED = 2, 13  # DLDeviceType
KINDS = {0: "i", 1: "u", 2: "f"}  # DLDataTypeCode


@dataclass(frozen=True, eq=False)
class CudaArray:
    """An array on the first GPU, in any layout."""

    pointer: int
    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...]  # bytes
    owner: object = None  # keeps the memory
    stream: int | None = None  # handle of the stream after whose present work the values are there; None: they are

    @classmethod
    def new(cls, cuda: Cuda, shape: tuple[int, ...], dtype: np.dtype) -> CudaArray:
        """A new array in C order, freed with the last reference to it, whether `cuda` is closed by then or not."""
        own = cuda.share()
        owner = _Owner()
        weakref.finalize(owner, own.close).atexit = False  # the driver may be gone by then
        with own.active():
            pointer = own.allocate(max(1, prod(shape) * dtype.itemsize))
        return cls(pointer, tuple(shape), dtype, c_strides(shape, dtype.itemsize), owner)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        in_order = self.strides == c_strides(self.shape, self.dtype.itemsize)
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "strides": None if in_order else self.strides,
            "stream": self.stream,
        }


class _Owner:
    """What a new array's memory is freed with."""


def as_cuda_array(given: Any) -> CudaArray | None:
    """See an array of PyTorch, CuPy, Numba, JAX, ... on the GPU as it is; None for everything else.

    By `__cuda_array_interface__` where it names the stream (version 3), else by DLPack, which lets the legacy default
    stream wait for the array, else by an older `__cuda_array_interface__`, which says nothing of streams.

    Raises
    ------
    ImageError
        Another type than uint8, uint16 or floats, a mask, memory of a GPU other than the first or that the driver does
        not know, or what the array's library refuses to share, such as a tensor that requires gradients.
    """
    if isinstance(given, CudaArray):
        return given
    try:
        interface = getattr(given, "__cuda_array_interface__", None)
        if interface is not None and interface.get("version", 0) >= 3:
            return _from_interface(interface, given)
        device = given.__dlpack_device__() if hasattr(given, "__dlpack_device__") else (None, 0)
        if device[0] not in (CUDA, MANAGED):
            return None if interface is None else _from_interface(interface, given)
        _require_first_gpu(device[1])
        return from_capsule(_export(given.__dlpack__), LEGACY_STREAM)
    except ImageError:
        raise
    except Exception as error:  # each library has its own
        reason = " ".join(str(error).split())
        raise ImageError(
            f"expected a CUDA array, got a {type(given).__name__} that cannot be shared: {reason}"
        ) from error


def as_kind_of(result: CudaArray, given: object) -> Any:
    """The result as the kind of array that was given, without a copy: of PyTorch, of CuPy, or as it is."""
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None and isinstance(given, torch.Tensor):
        return torch.as_tensor(result, device=given.device)
    if cupy is not None and isinstance(given, cupy.ndarray):
        return cupy.asarray(result)
    return result


def _require_first_gpu(number: int | None) -> None:
    if number:
        raise ImageError(f"expected an array on the first GPU, got GPU {number}; move it there")


def _from_interface(interface: dict[str, Any], owner: object) -> CudaArray:
    """The array of a `__cuda_array_interface__`, which does not name its GPU: the driver does."""
    if interface.get("mask") is not None:
        raise ImageError("expected an array without a mask; fill it first")
    dtype, shape = np.dtype(interface["typestr"]), tuple(interface["shape"])
    strides = interface.get("strides") or c_strides(shape, dtype.itemsize)
    stream = interface.get("stream") if interface.get("version", 0) >= 3 else LEGACY_STREAM
    array = _checked(CudaArray(int(interface["data"][0]), shape, dtype, tuple(strides), owner, stream))
    if 0 not in shape:  # an empty one may lie nowhere
        _require_first_gpu(gpu_of(array.pointer))
    return array


class _Tensor(ctypes.Structure):
    """DLTensor of DLPack."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),  # elements
        ("byte_offset", ctypes.c_uint64),
    )


class _Versioned(ctypes.Structure):
    """DLManagedTensorVersioned of DLPack 1.x."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))


def _export(dlpack: Callable[..., Any]) -> Any:
    """The capsule of an array, once its values are there for the legacy default stream."""
    try:
        return dlpack(stream=LEGACY_STREAM, max_version=(1, 0))
    except TypeError:  # before DLPack 1.0
        return dlpack(stream=LEGACY_STREAM)


def from_capsule(capsule: Any, stream: int | None) -> CudaArray:
    """The array of a DLPack capsule, which is kept and never renamed: with its last reference it frees the array."""
    if _is_valid(capsule, b"dltensor_versioned"):
        versioned = _Versioned.from_address(_get_pointer(capsule, b"dltensor_versioned"))
        if versioned.major != 1:
            raise ImageError(f"expected an array of DLPack 1, got DLPack {versioned.major}; use an older version of it")
        tensor = versioned.tensor
    else:
        tensor = _Tensor.from_address(_get_pointer(capsule, b"dltensor"))
    if tensor.code not in KINDS or tensor.lanes != 1 or tensor.bits % 8:
        raise ImageError("expected uint8, uint16, or floats, got another type; convert the array first")
    dtype = np.dtype(f"{KINDS[tensor.code]}{tensor.bits // 8}")
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = c_strides(shape, dtype.itemsize)
    if tensor.strides:
        strides = tuple(steps * dtype.itemsize for steps in tensor.strides[: tensor.ndim])
    return _checked(CudaArray((tensor.data or 0) + tensor.byte_offset, shape, dtype, strides, capsule, stream))


def _checked(array: CudaArray) -> CudaArray:
    dtype = array.dtype
    if (dtype.kind, dtype.itemsize) not in TYPES or not dtype.isnative:
        raise ImageError(f"expected uint8, uint16, or floats, got {dtype}; convert the array first")
    if any(distance % dtype.itemsize for distance in (array.pointer, *array.strides)):
        raise ImageError(f"expected {dtype} values at multiples of {dtype.itemsize} bytes; copy the array first")
    return array


def c_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Bytes from one element to the next along each axis, in C order."""
    return tuple(itemsize * prod(shape[axis + 1 :]) for axis in range(len(shape)))
