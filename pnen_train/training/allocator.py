"""Make glibc's malloc keep memory: by default it gives big tensors back to the system and asks for them each step."""

import ctypes
import sys


def keep_memory() -> bool:
    """Never map or trim, grow in large pieces, one arena; the peak stays until exit. True where glibc took it."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8  # malloc.h
    settings = {mmap_max: 0, trim_threshold: 2**31 - 1, top_pad: 2**28, arena_max: 1}
    return all(mallopt(key, value) for key, value in settings.items())
