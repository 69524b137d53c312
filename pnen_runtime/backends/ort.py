"""ONNX files on ONNX Runtime's CPU provider."""

from __future__ import annotations

import importlib
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..card import KEY, Card
from ..cuda.driver import first_gpu
from ..errors import BackendMissing, EngineError, PnenError, UsageError
from ..install import pip_install
from ..onnx_check import check_onnx
from ..plan import Sizes
from ..strength import batch_strength

log = logging.getLogger("pnen")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OrtBackend:
    """A session of ONNX Runtime; its `run` may be called from several threads, which share the session's threads."""

    name = "onnxruntime-cpu"
    profiles: tuple[Sizes, ...] = ()

    def __init__(self, engine: Path, *, threads: int | None = None, why: str = "asked for"):
        try:
            onnxruntime = import_onnxruntime()
        except ImportError as error:
            raise BackendMissing(f"{engine} needs ONNX Runtime ({error}); install it: {pip_install('ort')}") from error
        if threads is not None and threads < 1:
            raise UsageError(f"expected at least 1 thread, got {threads}")
        cores = usable_cores()
        if threads is not None and threads > cores:
            log.warning("%d threads are asked for, and %d cores may be used: it runs on %d", threads, cores, cores)
        self.threads = min(threads or cores, cores)
        self._engine = engine
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.enable_mem_pattern = False  # it plans and keeps a block for each size of tile
        # The arena stays on: it keeps no more than the peak of the largest tile, where malloc needs up to twice that.
        self._session: Any = open_session(onnxruntime, engine, options, [CPU])
        self.card = read_card(self._session, engine)
        self.info = (
            f"{self.name} {onnxruntime.__version__}, {self.threads} CPU thread{'s' * (self.threads > 1)} ({why})"
        )

    def run(self, batch: np.ndarray, strength: np.ndarray | None = None) -> np.ndarray:
        session = self._session  # kept alive here while another thread closes
        if session is None:
            raise PnenError(f"{self._engine} is closed; open it again")
        given, wanted = {"image": batch}, batch_strength(self.card, batch.shape, strength)
        if wanted is not None:
            given["strength"] = np.broadcast_to(np.float32(wanted), (len(batch), 1, *batch.shape[2:]))
        try:
            (smooth,) = session.run(["smooth"], given)
        except Exception as error:  # ONNX Runtime's exceptions have no common type
            raise _explain(error, self._engine, batch.shape) from error
        if smooth.shape != batch.shape:
            raise EngineError(
                f"{self._engine} made {smooth.shape} of {batch.shape}, expected the same; export it again"
            )
        return np.asarray(smooth)

    def close(self) -> None:
        self._session = None


def import_onnxruntime() -> Any:
    """The module, imported here alone: with its telemetry off, unless the user's own environment says otherwise.

    From 1.32 on it keeps a device id in the user's cache, and reports to its maker after some seconds.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")


def choose() -> tuple[str, str]:
    """The backend for ONNX files on this machine, and why."""
    why = "the file is ONNX"
    try:
        onnxruntime = import_onnxruntime()
    except ImportError:
        return "onnxruntime-cpu", why  # which says what to install
    if CUDA not in onnxruntime.get_available_providers():
        return "onnxruntime-cpu", why
    if first_gpu() is None:
        return "onnxruntime-cpu", f"{why}; ONNX Runtime has CUDA, but there is no NVIDIA GPU"
    return "onnxruntime-cuda", f"{why}, and an NVIDIA GPU is here"


def usable_cores() -> int:
    """Cores that this process may use: fewer than the machine's in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_session(onnxruntime: Any, engine: Path, options: Any, providers: list[Any]) -> Any:
    """A session on the first of `providers` and no other; EngineError where the file is no model."""
    data = engine.read_bytes()  # a missing or forbidden file is an OSError, not a bad model
    check_onnx(data, engine)
    options.log_severity_level = 4  # what matters comes as an exception
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers, enable_fallback=False)
    except Exception as error:
        raise EngineError(
            f"{engine}: expected an ONNX model, but ONNX Runtime cannot load it: {reason(error)}"
        ) from error
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if session.get_providers()[0] != wanted:
        raise BackendMissing(f"{engine}: asked for {wanted}, ONNX Runtime opened {session.get_providers()}")
    return session


def read_card(session: Any, engine: Path) -> Card:
    """The card in the file; EngineError where it has none, or other inputs and outputs than ours."""
    try:
        text = session.get_modelmeta().custom_metadata_map.get(KEY)
        ends = [(end.name, end.type, len(end.shape)) for end in (*session.get_inputs(), *session.get_outputs())]
    except UnicodeDecodeError:
        raise EngineError(f"{engine}: its metadata or names are no text; export it again with pnen-export") from None
    if text is None:
        raise EngineError(
            f"{engine}: an ONNX model without a PNEN card (metadata_props[{KEY!r}]); make it with pnen-export"
        )
    card = Card.from_json(text, str(engine))
    names = ("image", *(["strength"] if card.strength else []), "smooth")
    if ends != [(name, "tensor(float)", 4) for name in names]:
        found = ", ".join(f"{name}: {kind}" for name, kind, _ in ends)
        raise EngineError(
            f"{engine}: expected float32 NCHW {' and '.join(map(repr, names[:-1]))} in and 'smooth' out, got {found}; "
            "export it again"
        )
    return card


def reason(error: Exception) -> str:
    """What ONNX Runtime says, without its code and on one line."""
    return " ".join(str(error).rpartition(" : ")[2].split())[:200]


def _explain(error: Exception, engine: Path, shape: tuple[int, ...]) -> PnenError | MemoryError:
    text = str(error)
    if isinstance(error, MemoryError) or "bad_alloc" in text or "Failed to allocate memory" in text:
        return MemoryError(f"a tile of {shape[3]}x{shape[2]} pixels was too much for {engine}; take a smaller tile")
    return EngineError(f"{engine} cannot run a batch of shape {shape}: {reason(error)}")
