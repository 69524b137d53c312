"""The seam to whatever runs the network; a backend's package is imported when that backend is opened."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..card import Card
from ..engine_file import SUFFIXES, read_engine, rebuild
from ..errors import EngineError, UsageError
from ..models import BUNDLED, find_model
from ..plan import Sizes
from .providers import ENDING, PROVIDERS, is_provider

log = logging.getLogger("pnen")
BACKENDS = ("onnxruntime-cpu", "onnxruntime-cuda", "tensorrt", "tensorrt-rtx")


class Backend(Protocol):
    """A network loaded on one device; its methods may be called from several threads.

    A backend on a GPU also has `smooth_tiled`, which takes whole pictures (see `gpu.GpuBackend`); one that takes
    several tiles in a `run` better than one says how many in `at_once`.
    """

    name: str
    card: Card
    info: str  # one line: what runs, its version, on what, and why it was chosen

    @property
    def profiles(self) -> Sequence[Sizes]:
        """The sizes it takes; empty: any."""

    def run(self, batch: np.ndarray, strength: np.ndarray | None = None) -> np.ndarray:
        """Smooth a (B, C, H, W) float32 batch in [0, 1]; same shape and type out, not yet clipped.

        `strength`, (B, 1, H, W) float32, is for adjustable networks and no others, and by default the card's.
        """

    def close(self) -> None:
        """Free what the device holds; `run` may not be called again."""


def open_model(
    engine: str | os.PathLike[str],
    backend: str = "auto",
    *,
    threads: int | None = None,
    rebuild_engine: bool = False,
    allow_host_code: bool = False,
    provider_options: Mapping[str, Any] | None = None,
) -> Backend:
    """As `open_backend`, of a path, a bundled model's name, or the address of a model on a Triton server."""
    if isinstance(engine, str) and engine.startswith("triton+"):
        from .triton import Address, TritonBackend

        if backend != "auto" or provider_options:
            raise UsageError(f"{engine} says itself what runs it, expected no backend beside it, got {backend}")
        return TritonBackend(Address.read(engine))
    return open_backend(find_model(engine), backend, threads=threads, rebuild_engine=rebuild_engine,
                        allow_host_code=allow_host_code, provider_options=provider_options)  # fmt: skip


def open_backend(
    engine: Path,
    backend: str = "auto",
    *,
    threads: int | None = None,
    rebuild_engine: bool = False,
    allow_host_code: bool = False,
    provider_options: Mapping[str, Any] | None = None,
) -> Backend:
    """Load a model file.

    Parameters
    ----------
    engine : an ONNX file or an engine, with a model card
    backend : one of `BACKENDS`, or "auto": what an engine was built for, and for ONNX files ONNX Runtime, on the GPU
        where this installation has CUDA and a GPU is there; or another provider of ONNX Runtime, one of
        `providers.PROVIDERS` or by its own name ("XnnpackExecutionProvider")
    threads : of the CPU; by default all that this process may use
    rebuild_engine : build an engine again that does not fit this machine, from the ONNX file beside it
    allow_host_code : run the native code that a version-compatible engine brings, since whoever made it is trusted
    provider_options : of that other provider, in its own words: {"device_type": "GPU"}

    Raises
    ------
    BackendMissing
        The package of the backend is not installed, or no device is there.
    UsageError
        The backend does not take this kind of file or these options, or it is a checkpoint.
    ParityError
        Another provider computes something else than the CPU.
    EngineError
        The file is truncated, damaged, foreign or for another machine.
    """
    check_backend(backend)
    if provider_options and not is_provider(backend):
        raise UsageError(f"expected provider options with one of {', '.join(PROVIDERS)}, got them with {backend}")
    if engine.suffix == ".pt":
        raise UsageError(f"{engine} is a checkpoint; export it first: pnen-export {engine}")
    if engine.suffix in SUFFIXES:
        return _open_engine(engine, backend, rebuild_engine, allow_host_code)
    if backend in ("tensorrt", "tensorrt-rtx"):
        flavour = "rtx" if backend == "tensorrt-rtx" else "tensorrt"
        command = f"{_build_command(engine)} --engine {flavour}"
        raise UsageError(f"{engine} is no engine, which {backend} needs; build one: {command}")
    from . import ort

    backend, why = ort.choose() if backend == "auto" else (backend, "asked for")
    if is_provider(backend):
        from .ort_provider import ProviderBackend

        return ProviderBackend(engine, backend, provider_options, threads=threads, why=why)
    if backend == "onnxruntime-cpu":
        return ort.OrtBackend(engine, threads=threads, why=why)
    from .ort_cuda import open_ort_cuda

    return open_ort_cuda(engine, why)


def check_backend(backend: str) -> None:
    """UsageError where there is no such backend."""
    if backend != "auto" and backend not in BACKENDS and not is_provider(backend):
        raise UsageError(f"expected the backend auto or one of {', '.join((*BACKENDS, *PROVIDERS))}, or the name of a "
                         f"provider (...{ENDING}), got {backend!r}")  # fmt: skip


def _build_command(onnx: Path) -> str:
    """What makes the file from which an engine is built; files for ONNX Runtime alone cannot become one."""
    if onnx.parent == BUNDLED:
        return f"pnen-export --fp16 {onnx.stem} --out FOLDER"
    if ".ort" in onnx.suffixes:
        return f"pnen-export {onnx.with_name(onnx.name.replace('.ort', ''))}"
    return f"pnen-export {onnx}"


def _open_engine(engine: Path, backend: str, rebuild_engine: bool, allow_host_code: bool) -> Backend:
    if backend.startswith("onnxruntime") or is_provider(backend):
        raise UsageError(f"{engine} is a TensorRT engine, which {backend} cannot run; give the ONNX file")
    from .trt import open_trt

    why = "the engine is for it" if backend == "auto" else "asked for"
    try:
        file = read_engine(engine)
        if file.doubt:
            log.warning("%s cannot be checked for damage: %s", engine, file.doubt)
        own = "tensorrt-rtx" if file.flavour == "rtx" else "tensorrt"
        if backend not in ("auto", own):
            raise UsageError(f"{engine} is an engine of {own}, not of {backend}; leave the backend to it")
        return open_trt(file, why, allow_host_code=allow_host_code)
    except EngineError:
        if not rebuild_engine:
            raise
    rebuild(engine)
    why += "; it was built again, since it did not fit"
    return open_trt(read_engine(engine), why, allow_host_code=allow_host_code)
