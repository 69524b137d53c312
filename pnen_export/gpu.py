"""Which GPU an engine is built for, asked of the driver without any package."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU."""

    name: str
    compute_capability: str  # "8.9"


def first_gpu() -> Gpu | None:
    """The first visible GPU, which is the one TensorRT takes; None without a driver or a device."""
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0) or cuda.cuDeviceGetName(name, 256, device):
        return None
    version = (ctypes.c_int(), ctypes.c_int())
    for part, attribute in zip(version, (CAPABILITY_MAJOR, CAPABILITY_MINOR), strict=True):
        if cuda.cuDeviceGetAttribute(ctypes.byref(part), attribute, device):
            return None
    return Gpu(name.value.decode(errors="replace"), f"{version[0].value}.{version[1].value}")
