"""Makes pnen_runtime/cuda/pixels.ptx from pixels.cu with NVRTC, which needs no GPU: see the head of pixels.cu."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
from pathlib import Path

from pnen_runtime.files import write_text

FOLDER = Path(__file__).parents[3] / "pnen_runtime" / "cuda"
OPTIONS = ("--gpu-architecture=compute_75", "--fmad=false", "--std=c++14")


def head(source: str) -> str:
    """The first line of the PTX, by which a test knows that it was made from this source."""
    return f"// SHA-256 of pixels.cu: {hashlib.sha256(source.encode()).hexdigest()}\n"


def find_nvrtc() -> ctypes.CDLL | None:
    """The NVRTC of the package nvidia-cuda-nvrtc-cu11 or -cu12, or None."""
    try:
        found = importlib.util.find_spec("nvidia.cuda_nvrtc")
    except ModuleNotFoundError:
        return None
    folders = [Path(folder) for folder in (found.submodule_search_locations or [])] if found else []
    libraries = [file for folder in folders for file in sorted(folder.glob("lib/libnvrtc.so.*"))]
    return ctypes.CDLL(str(libraries[0])) if libraries else None


def compile_ptx(nvrtc: ctypes.CDLL, source: str) -> str:
    """The PTX of a CUDA source; RuntimeError with the compiler's log where it does not compile."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"pixels.cu", 0, None, None))
    options = (ctypes.c_char_p * len(OPTIONS))(*(option.encode() for option in OPTIONS))
    failed = nvrtc.nvrtcCompileProgram(program, len(OPTIONS), options)
    what = "ProgramLog" if failed else "PTX"
    check(getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    check(getattr(nvrtc, f"nvrtcGet{what}")(program, text))
    if failed:
        raise RuntimeError(text.value.decode())
    return text.value.decode()


def check(code: int) -> None:
    if code:
        raise RuntimeError(f"NVRTC failed with code {code}")


if __name__ == "__main__":
    source = (FOLDER / "pixels.cu").read_text("utf-8")
    nvrtc = find_nvrtc()
    if nvrtc is None:
        raise SystemExit("no NVRTC; pip install nvidia-cuda-nvrtc-cu11==11.7.99")
    write_text(FOLDER / "pixels.ptx", head(source) + compile_ptx(nvrtc, source))
