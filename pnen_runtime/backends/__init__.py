"""The seam to whatever runs the network; a backend's package is imported when that backend is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from ..card import Card
from ..errors import BackendMissing, EngineError, UsageError

BACKENDS = ("onnxruntime-cpu", "onnxruntime-cuda", "tensorrt", "tensorrt-rtx")


class Backend(Protocol):
    """A network loaded on one device; `run` may be called from several threads."""

    name: str
    card: Card
    info: str  # one line: what runs, its version, on what, and why it was chosen

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Smooth a (B, C, H, W) float32 batch in [0, 1]; same shape and type out, not yet clipped."""

    def close(self) -> None:
        """Free what the device holds; `run` may not be called again."""


def open_backend(engine: Path, backend: str = "auto", *, threads: int | None = None) -> Backend:
    """Load a model file.

    Parameters
    ----------
    engine : an ONNX file with a model card
    backend : one of `BACKENDS`, or "auto" for the one that the file is made for
    threads : of the CPU; by default all that this process may use

    Raises
    ------
    BackendMissing
        The package of the backend is not installed, or this version does not have the backend.
    EngineError
        The file is truncated, foreign, or for another backend.
    """
    if backend != "auto" and backend not in BACKENDS:
        raise UsageError(f"expected the backend auto or one of {', '.join(BACKENDS)}, got {backend!r}")
    is_plan = engine.suffix == ".engine"
    wanted = backend if backend != "auto" else "tensorrt" if is_plan else "onnxruntime-cpu"
    if wanted != "onnxruntime-cpu":
        raise BackendMissing(f"{engine} on {wanted}: this version of pnen runs ONNX files on onnxruntime-cpu only")
    if is_plan:
        raise EngineError(f"{engine} is a TensorRT engine, which onnxruntime-cpu cannot run; give the ONNX file")
    from .ort import OrtBackend

    why = "asked for" if backend != "auto" else "the file is ONNX"
    return OrtBackend(engine, threads=threads, why=why)
