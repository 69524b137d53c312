"""ONNX files on any other provider of ONNX Runtime: never on the CPU without a word, never unlike the CPU unseen."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ..errors import BackendMissing, EngineError, ParityError, UsageError
from .ort import OrtBackend, import_onnxruntime
from .providers import find_provider, plugin_devices, plugins

log = logging.getLogger("pnen")
SIDE = 48  # pixels of the picture on which provider and CPU are compared
EQUAL, CLOSE = 1e-4, 2 / 255  # of values in [0, 1]: what an export in FP32 and in FP16 is held to, too
WHERE = "session.record_ep_graph_assignment_info"


class ProviderBackend(OrtBackend):
    """A session on one provider; threads take turns.

    It is first opened on the CPU, whose result on a small picture the provider's is held against: what differs by more
    than 2/255 is refused, by more than 1e-4 told.
    """

    def __init__(
        self,
        engine: Path,
        backend: str,
        options: Mapping[str, Any] | None = None,
        *,
        threads: int | None = None,
        why: str = "asked for",
    ):
        provider = find_provider(backend)
        try:
            onnxruntime = import_onnxruntime()
        except ImportError as error:
            raise BackendMissing(f"{backend} needs ONNX Runtime ({error}): pip install onnxruntime") from error
        given = provider.options | {str(key): str(value) for key, value in (options or {}).items()}
        device = given.get("device_type", "")
        if device and provider.devices and not device.startswith(provider.devices):
            raise UsageError(f"expected device_type to be or begin with {', '.join(provider.devices)}, got {device!r}")
        super().__init__(engine, threads=threads, why=why)
        side = max(SIDE, self.card.minimum_side)
        batch = np.random.default_rng(0).random((1, self.card.channels, side, side), np.float32)
        expected = super().run(batch)
        self.name, self._turns = backend, Lock()
        self._session = None  # the CPU's, before there is another
        self._session, share = open_provider(onnxruntime, engine, backend, given, self.threads)
        found = super().run(batch)
        apart = float(np.abs(found - expected).max())
        self._hold(apart, provider.name, expected)
        told = " ".join(f"{key}={value}" for key, value in given.items() if key != "load_config" or options)
        said = ", ".join(filter(None, (share, told, f"within {apart:.1g} of the CPU")))
        self.info = f"{backend} {onnxruntime.__version__}, {said} ({why})"

    def _hold(self, apart: float, name: str, expected: np.ndarray) -> None:
        """ParityError where the provider's result is another than the CPU's; a warning where it is coarser."""
        if not apart <= CLOSE:  # or is no number
            raise ParityError(
                f"{self._engine}: {name} differs from the CPU by {apart:.2g} on a test picture, expected at most "
                f"{CLOSE:.2g}; ask it for more precision by its options, or take another backend"
            )
        if apart > EQUAL and self.card.precision == "fp32":
            log.warning("%s differs from the CPU by %.2g, as what computes in half precision does; its options may "
                        "ask for more", name, apart)  # fmt: skip

    def run(self, batch: np.ndarray, strength: np.ndarray | None = None) -> np.ndarray:
        with self._turns:
            return super().run(batch, strength)


def open_provider(onnxruntime: Any, engine: Path, backend: str, given: dict[str, str], threads: int) -> tuple[Any, str]:
    """A session on this provider of a file that the CPU took, and how much of it runs there, in words.

    Raises BackendMissing where provider or device are missing, EngineError where none of the file would run there.
    """
    provider = find_provider(backend)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_mem_pattern, options.log_severity_level = threads, False, 4
    counts = hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info")
    options.add_session_config_entry(WHERE if counts else "session.disable_cpu_ep_fallback", "1")
    devices, by_name = plugin_devices(onnxruntime, provider.name), {}
    if devices:
        options.add_provider_for_devices(*pick(devices, provider.name, given))
    elif provider.name in onnxruntime.get_available_providers():
        by_name = {"providers": [(provider.name, given)]}
    elif found := next(plugins(provider.name), None):
        raise BackendMissing(f"{found.__name__} is installed, but it finds no device for {provider.name} here")
    else:
        raise BackendMissing(f"the ONNX Runtime {onnxruntime.__version__} that is installed has no {provider.name}, "
                             f"and no plug-in for it is here; install it: {provider.install}")  # fmt: skip
    try:
        session = onnxruntime.InferenceSession(engine.read_bytes(), options, enable_fallback=False, **by_name)
    except Exception as error:  # ONNX Runtime's exceptions have no common type
        said = " ".join(f"{key}={value}" for key, value in given.items()) or "no options"
        tail = " ".join(str(error).split())[-200:]  # where what is meant stands, after names of functions
        raise BackendMissing(f"{engine}: {provider.name} cannot be opened with {said}: {tail}") from error
    if session.get_providers()[0] != provider.name:
        raise BackendMissing(f"{engine}: {provider.name} is installed, but its device is not here; ONNX Runtime would "
                             f"run on {', '.join(session.get_providers())}")  # fmt: skip
    return session, share_there(session, engine, provider.name) if counts else f"all nodes on {provider.name}"


def pick(devices: list[Any], name: str, given: dict[str, str]) -> tuple[list[Any], dict[str, str]]:
    """The device that `device_type` wants (CPU, GPU, NPU, or GPU.1 for the second), and the other options.

    Without that option it is the first one.
    """
    wanted, _, number = given.get("device_type", "").partition(".")
    kinds = [str(device.device.type).rpartition(".")[2] for device in devices]
    fitting = [device for device, kind in zip(devices, kinds, strict=True) if wanted in ("", kind)]
    index = int(number) if number.isdecimal() else 0
    if index >= len(fitting):
        raise BackendMissing(f"{name} finds no device {given['device_type']}, only {', '.join(kinds)}")
    return [fitting[index]], {key: value for key, value in given.items() if key != "device_type"}


def share_there(session: Any, engine: Path, name: str) -> str:
    """How many nodes of the graph run on the provider; EngineError where none does, a warning where some do not."""
    nodes: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        nodes[part.ep_name] += len(part.get_nodes())
    there, all_of_them = nodes[name], nodes.total()
    if not there:
        raise EngineError(f"{engine}: {name} takes none of its {all_of_them} nodes, so all of it would run on the CPU; "
                          "for that take onnxruntime-cpu")  # fmt: skip
    if there < all_of_them:
        log.warning("%s runs %d of %d nodes of %s, and the CPU the others; a file of --target onnx may suit it better",
                    name, there, all_of_them, engine)  # fmt: skip
    return f"{there} of {all_of_them} nodes on {name}"
