"""ONNX files on ONNX Runtime's CUDA provider."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from ..cuda import Cuda, open_cuda
from ..cuda.lane import Lane, Shape
from ..errors import BackendMissing, EngineError
from ..install import pip_install
from .gpu import GpuBackend
from .ort import CPU, CUDA, import_onnxruntime, open_session, read_card, reason

INSTALL = f"install it instead of onnxruntime: pip uninstall onnxruntime; {pip_install('ort-gpu')}"
LANES = 2  # threads at once; each has a session with its own copy of the weights


def open_ort_cuda(engine: Path, why: str = "asked for", cuda: Cuda | None = None) -> GpuBackend:
    """Load an ONNX file on the first GPU.

    Raises BackendMissing where ONNX Runtime, its CUDA provider, the libraries of that or the GPU are missing: it never
    runs on the CPU instead. EngineError where the file is no model of ours.
    """
    try:
        onnxruntime = import_onnxruntime()
    except ImportError as error:
        raise BackendMissing(f"{engine} needs ONNX Runtime with CUDA ({error}); {INSTALL}") from error
    if CUDA not in onnxruntime.get_available_providers():
        version = onnxruntime.__version__
        raise BackendMissing(f"{engine}: the ONNX Runtime {version} that is installed has no CUDA; {INSTALL}")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    card = read_card(open_session(onnxruntime, engine, options, [CPU]), engine)  # a session of a lane needs its stream
    cuda = cuda or open_cuda()
    said = StringIO()
    if hasattr(onnxruntime, "preload_dlls"):
        with redirect_stdout(said):
            onnxruntime.preload_dlls()  # CUDA and cuDNN as installed by pip
    name, version = "onnxruntime-cuda", onnxruntime.__version__

    def open_network(lane: Lane) -> Session:
        try:
            return Session(onnxruntime, engine, lane)
        except BackendMissing as error:
            hint = said.getvalue().strip().splitlines()[-1:] or ["its CUDA and cuDNN libraries do not load"]
            raise BackendMissing(f"{error}: {hint[0]}; {INSTALL}") from error

    backend = GpuBackend(
        name, card, f"{name} {version} on {cuda.gpu.name} ({why})", cuda, open_network, lanes=LANES
    )  # fmt: skip
    try:
        with backend.lanes.lend():
            pass  # so that what is missing is said now
    except BaseException:
        backend.close()
        raise
    return backend


class Session:
    """A session of ONNX Runtime on the stream of one lane."""

    def __init__(self, onnxruntime: Any, engine: Path, lane: Lane):
        self._engine, options = engine, onnxruntime.SessionOptions()
        options.enable_mem_pattern = False
        settings = {
            "device_id": "0",
            "user_compute_stream": str(lane.work.handle),
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "HEURISTIC",  # trying all of them would take seconds at every new size
            "use_tf32": "0",  # FP32 means FP32
        }
        self._session: Any = open_session(onnxruntime, engine, options, [(CUDA, settings), CPU])

    def enqueue(self, shape: Shape, image: int, strength: int, smooth: int, stream: Any) -> None:
        binding = self._session.io_binding()
        binding.bind_input("image", "cuda", 0, np.float32, shape, image)
        if strength:
            binding.bind_input("strength", "cuda", 0, np.float32, (shape[0], 1, *shape[2:]), strength)
        binding.bind_output("smooth", "cuda", 0, np.float32, shape, smooth)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime's exceptions have no common type
            if "Failed to allocate memory" in str(error):
                size = f"{shape[0]}x{shape[2]}x{shape[3]}"
                raise MemoryError(f"{size} was too much for {self._engine} on the GPU; take a smaller tile") from error
            raise EngineError(f"{self._engine} cannot run a batch of shape {shape}: {reason(error)}") from error

    def close(self) -> None:
        self._session = None
