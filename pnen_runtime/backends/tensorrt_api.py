"""Where TensorRT 8.6, 10.x, 11.x, its lean runtime and TensorRT-RTX differ for a program that runs engines."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import BackendMissing, EngineError
from ..files import write_bytes
from ..install import pip_install

MODULES = {"tensorrt": ("tensorrt",), "rtx": ("tensorrt_rtx",)}
LEAN = ("tensorrt_lean", "tensorrt_dispatch")  # load version-compatible engines where the full package is not installed


def import_tensorrt(flavour: str, version_compatible: bool) -> Any:
    """The module that runs engines of this flavour; BackendMissing where none is installed."""
    names, missing = MODULES[flavour] + (LEAN if version_compatible and flavour == "tensorrt" else ()), []
    for name in names:
        try:
            return importlib.import_module(name)
        except (ImportError, OSError) as error:
            missing.append(str(error))
    raise BackendMissing(f"{names[0]} is not installed ({missing[0]}); install it: {pip_install(flavour)}")


def make_log(trt: Any) -> Any:
    """A logger that prints nothing and keeps its latest warnings and errors in `.lines`."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity.name in ("WARNING", "ERROR", "INTERNAL_ERROR"):
                self.lines = [*self.lines[-19:], f"{severity.name}: {message}"]

        def reason(self) -> str:
            errors = [line.partition(": ")[2] for line in self.lines if not line.startswith("WARNING")]
            return " ".join(errors[-1].split())[:300] if errors else "TensorRT gave no reason"

    return Log()


@contextmanager
def refusals(what: str, log: Any, then: str = "") -> Iterator[None]:
    """EngineError with TensorRT's reason where its module raises, as it does for a profile, instead of returning."""
    try:
        yield
    except (RuntimeError, TypeError) as error:
        raise EngineError(f"{what}: {log.reason()}{then}") from error


def load_engine(trt: Any, log: Any, plan: bytes, version_compatible: bool) -> tuple[Any, Any]:
    """A runtime, and the engine of this plan or None."""
    runtime = trt.Runtime(log)
    if version_compatible:
        runtime.engine_host_code_allowed = True  # such a plan brings its own runtime as code
    return runtime, runtime.deserialize_cuda_engine(plan)


class Contexts:
    """Makes execution contexts whose scratch memory is ours, so that it is as large as the shape and not the profile.

    With TensorRT-RTX they also share its cache of compiled kernels, which is kept in the file `kernels`, if any.
    """

    def __init__(self, trt: Any, engine: Any, kernels: Path | None):
        self._trt, self._engine, self._kernels = trt, engine, kernels
        self.owns_graphs = False  # whether the library itself keeps CUDA graphs
        self._config: Any = None
        self._cache: Any = None
        self._strategy: Any = getattr(trt, "ExecutionContextAllocationStrategy", None)
        if self._strategy is not None and hasattr(trt, "IRuntimeCache"):  # TensorRT-RTX
            self._config = engine.create_runtime_config()
            self._config.set_execution_context_allocation_strategy(self._strategy.USER_MANAGED)
            self._cache = self._config.create_runtime_cache()
            if kernels is not None and kernels.is_file():
                self._cache.deserialize(kernels.read_bytes())  # of another GPU or version: it stays empty
            self._config.set_runtime_cache(self._cache)
            if hasattr(trt, "CudaGraphStrategy"):
                self._config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
                self.owns_graphs = True

    def open(self) -> Any:
        """A new context; EngineError where the library gives none."""
        if self._config is not None:
            context = self._engine.create_execution_context(self._config)
        elif self._strategy is not None:
            context = self._engine.create_execution_context(self._strategy.USER_MANAGED)
        else:
            context = self._engine.create_execution_context_without_device_memory()
        if context is None:
            raise EngineError("TensorRT gives no execution context for this engine")
        return context

    def scratch_bytes(self, context: Any) -> int:
        """What the context needs for the shape it is set to."""
        if hasattr(context, "update_device_memory_size_for_shapes"):
            return int(context.update_device_memory_size_for_shapes())
        return int(getattr(self._engine, "device_memory_size_v2", None) or self._engine.device_memory_size)

    def give_scratch(self, context: Any, pointer: int, size: int) -> None:
        if hasattr(context, "set_device_memory"):
            context.set_device_memory(pointer, size)
        else:
            context.device_memory = pointer

    def keep_kernels(self) -> None:
        """Write what TensorRT-RTX compiled, so that the next start need not; a folder that refuses is no failure."""
        if self._cache is not None and self._kernels is not None:
            with suppress(OSError):
                data = bytes(memoryview(self._cache.serialize()))
                if not self._kernels.is_file() or self._kernels.read_bytes() != data:
                    write_bytes(self._kernels, data)
