"""Where TensorRT 8.6, 10.x, 11.x and TensorRT-RTX differ for a builder: asked of the module, not of its version."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pnen_runtime.cuda.driver import first_gpu
from pnen_runtime.errors import BackendMissing, UsageError
from pnen_runtime.files import write_bytes
from pnen_runtime.install import pip_install

from .profiles import ELEMENT_LIMIT, USUAL_LIMIT

MODULES = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
TURING = "SM75"  # for which TensorRT-RTX has no matrix products in FP32
STEPS = 1000  # of a whole build, as progress is told
HARDWARE = {"this": "NONE", "same-capability": "SAME_COMPUTE_CAPABILITY", "ampere+": "AMPERE_PLUS"}


def find_tensorrt(wanted: str) -> Any:
    """The module of "tensorrt", "rtx", or "auto": TensorRT where it and a GPU are here, else TensorRT-RTX.

    Raises BackendMissing, which says what to install or where to build.
    """
    gpu, missing = first_gpu(), []
    for flavour in MODULES if wanted == "auto" else [wanted]:
        try:
            trt = importlib.import_module(MODULES[flavour])
        except (ImportError, OSError) as error:
            missing.append(f"{MODULES[flavour]} is not installed ({error}); install it: {pip_install(flavour)}")
            continue
        if flavour == "rtx" or gpu:
            return trt
        missing.append("TensorRT builds on the machine that will run the engine, and no NVIDIA GPU is here")
    raise BackendMissing("; ".join(missing))


def flavour(trt: Any) -> str:
    """Which of `MODULES` it is."""
    return "rtx" if trt.__name__ == MODULES["rtx"] else "tensorrt"


def element_limit(trt: Any) -> int | None:
    """The most elements that one tensor may have, or None: TensorRT 10.13 no longer says that there is a limit."""
    version = [int(part) for part in re.findall(r"\d+", trt.__version__)[:2]]
    return ELEMENT_LIMIT if flavour(trt) == "tensorrt" and version < [10, 13] else None


def usual_limit(trt: Any) -> int | None:
    """The most elements that one tensor may have at the usual size of a profile, or None where none is known."""
    return USUAL_LIMIT if flavour(trt) == "rtx" else None


def open_builder(trt: Any, log: Any) -> tuple[Any, Any]:
    """A builder and an empty network, strongly typed where this version knows it."""
    try:
        builder = trt.Builder(log)
    except TypeError as error:  # how 8.6 says that there is no driver
        raise BackendMissing(f"TensorRT {trt.__version__} finds no NVIDIA driver; build where the GPU is") from error
    kinds = trt.NetworkDefinitionCreationFlag.__members__
    flags = sum(1 << int(kinds[name]) for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED") if name in kinds)
    return builder, builder.create_network(flags)


def set_precision(trt: Any, config: Any, precision: str) -> None:
    """Let the graph's types decide; before strong typing half precision must be allowed as well."""
    config.clear_flag(trt.BuilderFlag.TF32)  # FP32 means FP32
    if precision == "fp16" and not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        config.set_flag(trt.BuilderFlag.FP16)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # or the inspector has no types


PREVIEWS = (
    "PROFILE_SHARING_0806",  # several contexts in one profile, as the runtime has; later versions always allow it
    "RUNTIME_ACTIVATION_RESIZE_10_10",  # scratch memory for the shape, not for the profile
)


def set_previews(trt: Any, config: Any) -> None:
    """Turn on what the runtime counts on, where this version has it as an option."""
    members = trt.PreviewFeature.__members__ if hasattr(trt, "PreviewFeature") else {}
    for name in PREVIEWS:
        if name in members:
            config.set_preview_feature(members[name], True)


def set_targets(trt: Any, config: Any, precision: str, hardware: str, version_compatible: bool) -> list[str]:
    """Where the engine may run; the compute capabilities that TensorRT-RTX builds for, "SM89", else nothing.

    Raises UsageError where this version has no such option.
    """
    check_targets(trt, hardware, version_compatible)
    if flavour(trt) == "rtx":
        unable = ("NONE", "CURRENT", *[TURING] * (precision == "fp32"))
        capabilities = {n: c for n, c in trt.ComputeCapability.__members__.items() if n not in unable}
        config.num_compute_capabilities = len(capabilities)
        for index, capability in enumerate(capabilities.values()):
            config.set_compute_capability(capability, index)
        return list(capabilities)
    if version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if hardware != "this":
        levels = trt.HardwareCompatibilityLevel.__members__
        config.hardware_compatibility_level = levels[HARDWARE[hardware]]
    unwanted = {"CUBLAS", "CUBLAS_LT", "CUDNN"} & set(trt.TacticSource.__members__)  # an engine needs no other library
    mask = sum(1 << int(trt.TacticSource.__members__[name]) for name in unwanted)
    config.set_tactic_sources(config.get_tactic_sources() & ~mask)
    return []


def check_targets(trt: Any, hardware: str, version_compatible: bool) -> None:
    """UsageError where this version cannot build an engine for them."""
    if flavour(trt) == "rtx":
        if version_compatible or hardware != "this":
            raise UsageError("TensorRT-RTX engines run on every GPU it knows, and on its own version only: expected "
                             "neither --hardware nor --version-compatible; leave them out")  # fmt: skip
    elif hardware != "this" and HARDWARE[hardware] not in trt.HardwareCompatibilityLevel.__members__:
        raise UsageError(f"TensorRT {trt.__version__} builds no engines for {hardware!r} hardware")


def load_timings(trt: Any, config: Any, path: Path) -> None:
    """Use earlier measurements of kernels; TensorRT-RTX measures nothing."""
    if flavour(trt) == "tensorrt":
        data = path.read_bytes() if path.is_file() else b""
        cache = config.create_timing_cache(data) or config.create_timing_cache(b"")
        if not config.set_timing_cache(cache, False):  # of another version or GPU
            config.set_timing_cache(config.create_timing_cache(b""), False)


def save_timings(trt: Any, config: Any, path: Path) -> None:
    """Keep the measurements for the next build; a folder that cannot be written is no failure."""
    if flavour(trt) == "tensorrt":
        with suppress(OSError):
            write_bytes(path, bytes(config.get_timing_cache().serialize()))


def make_log(trt: Any) -> Any:
    """A logger that prints nothing and keeps (severity, message) in `.lines`."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[tuple[str, str]] = []

        def log(self, severity: Any, message: str) -> None:
            self.lines.append((severity.name, message))

    return Log()


def last_error(lines: list[tuple[str, str]]) -> str:
    """The reason for a failure, out of the log."""
    errors = [message.strip() for severity, message in lines if severity in ("ERROR", "INTERNAL_ERROR")]
    errors = [error for error in errors if "cudaError 35" not in error]  # no driver: TensorRT-RTX can do without
    return errors[-1] if errors else "it gave no reason"


def load_plan(trt: Any, log: Any, plan: bytes) -> Any:
    """The engine of a new plan; None where this machine cannot load it."""
    runtime = trt.Runtime(log)
    if hasattr(runtime, "engine_host_code_allowed"):
        runtime.engine_host_code_allowed = True  # a version-compatible plan holds code, here our own
    return runtime.deserialize_cuda_engine(plan)


def activation_bytes(engine: Any, lines: list[tuple[str, str]], profiles: int) -> list[int]:
    """What each profile reserves, by the engine where it is loaded, else by the log; empty where neither tells it.

    The log of TensorRT 8.6 may name a profile's figure twice.
    """
    for name in ("get_device_memory_size_for_profile_v2", "get_device_memory_size_for_profile"):
        if hasattr(engine, name):
            return [int(getattr(engine, name)(index)) for index in range(profiles)]
    if engine is not None and profiles == 1:
        return [int(getattr(engine, "device_memory_size_v2", None) or engine.device_memory_size)]
    found = (re.match(r"Total Activation Memory: (\d+)", message) for _, message in lines)
    told = [int(match[1]) for match in found if match]
    return told if len(told) == profiles else []


def make_monitor(trt: Any, watch: Callable[[int, int], None]) -> Any:
    """Calls `watch(done, total)`; what that raises ends the build and is in `.failure`. None before TensorRT 10."""
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.failure: BaseException | None = None
            self.phases: dict[str, list[Any]] = {}  # active ones: parent, steps, steps done
            self.shown = 0

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.phases[phase] = [parent, max(1, steps), 0]

        def phase_finish(self, phase: str) -> None:
            self.phases.pop(phase, None)

        def step_complete(self, phase: str, step: int) -> bool:
            try:
                if phase in self.phases:
                    self.phases[phase][2] = step + 1
                done = int(STEPS * max((self._done(p) for p, s in self.phases.items() if not s[0]), default=0))
                if done > self.shown:
                    self.shown = done
                    watch(done, STEPS)
            except BaseException as failure:  # Ctrl-C above all; it must not pass through the builder
                self.failure = self.failure or failure
            return self.failure is None

        def _done(self, phase: str) -> float:
            """Share of a phase, with its running parts."""
            _, steps, done = self.phases[phase]
            parts = max((self._done(p) for p, s in self.phases.items() if s[0] == phase and p != phase), default=0.0)
            return min(1.0, (done + parts) / steps)

    return Monitor()
