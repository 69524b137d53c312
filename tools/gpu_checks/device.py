"""Checks of the device, of both ways to its memory, of CUDA graphs, and the CUDA layer's own tests."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from unittest import mock

import numpy as np

from pnen_runtime.cuda import open_cuda
from pnen_runtime.cuda.driver import first_gpu, version
from pnen_runtime.errors import EngineError
from pnen_runtime.smoother import Smoother

from .lab import Lab, open_adapter
from .same import compare_threads, make_picture
from .subject import Figures, Skipped, Subject, Wrong

MEGABYTES = 64  # of a copy that is timed
GROWTH = 4 << 20  # bytes that other programs may take or give back meanwhile
HOST_GROWTH = 64 << 20
ROOT = Path(__file__).parents[2]
TESTS, NEEDED = ROOT / "tests" / "runtime" / "cuda", ("pytest", "hypothesis", "torch", "onnx", "onnxruntime")


def device(_lab: Lab, subject: Subject) -> Figures:
    """What the GPU is, and what this adapter says of its memory."""
    gpu, cuda = first_gpu(), open_adapter(subject.adapter)
    try:
        with cuda.active():
            free, total = cuda.memory()
    finally:
        cuda.close()
    assert gpu is not None
    return {"gpu": gpu.name, "compute_capability": gpu.compute_capability, "cuda_of_driver": version(),
            "adapter": cuda.name, "free_gb": free / 1e9, "total_gb": total / 1e9}  # fmt: skip


def copies(_lab: Lab, subject: Subject) -> Figures:
    """Bytes go up and come back as they were, from plain and from page-locked memory; gigabytes a second."""
    cuda = open_adapter(subject.adapter)
    size, figures = MEGABYTES << 20, {}
    try:
        with cuda.active():
            stream, pointer = cuda.stream(), cuda.allocate(size)
            start, end = cuda.event(timing=True), cuda.event(timing=True)
            pinned = cuda.pinned(size)
            pinned[:] = np.random.default_rng(0).integers(0, 256, size, np.uint8)
            for name, host in (("plain", pinned.copy()), ("page-locked", pinned)):
                expected = host.copy()
                for way, copy in (("up", lambda a: cuda.upload(pointer, a, stream)),
                                  ("down", lambda a: cuda.download(a, pointer, stream))):  # fmt: skip
                    if way == "down":
                        host[:] = 0
                    cuda.record(start, stream)
                    copy(host)
                    cuda.record(end, stream)
                    cuda.synchronize(end)
                    figures[f"{name} {way} GB/s"] = size / cuda.milliseconds(start, end) / 1e6
                if not np.array_equal(host, expected):
                    raise Wrong(f"{name} memory came back changed", figures)
            cuda.fill(pointer, size, stream)
            cuda.download(pinned, pointer, stream)
            cuda.synchronize(stream)
            if pinned.any():
                raise Wrong("memory that was filled with zeros is not zero", figures)
            del host
            cuda.free(pointer)
    finally:
        cuda.close()
    return figures


def own_tests(_lab: Lab, _subject: Subject) -> Figures:
    """The tests of the CUDA layer on this card, with a stand-in for TensorRT alone: CUDA graphs are really captured."""
    lacks = [package for package in NEEDED if find_spec(package) is None]
    if lacks or not TESTS.is_dir():
        raise Skipped(f"not installed: {', '.join(lacks)}" if lacks else f"{TESTS} is not here")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--real-cuda", str(TESTS)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    lines = (done.stdout.strip() or done.stderr.strip() or "it said nothing").splitlines()
    counts = {name: int(count) for count, name in re.findall(r"(\d+) (passed|failed|skipped|errors?)", lines[-1])}
    if done.returncode or not counts.get("passed"):
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        raise Wrong(f"{lines[-1]}: {'; '.join(failed[:3])}", counts | {"rows": [{"test": line} for line in failed]})
    return counts


def graphs(lab: Lab, subject: Subject) -> Figures:
    """A CUDA graph is there from the second use of a shape on, gives the same, and saves time."""
    shape = (1, 96, 96)
    figures: Figures = {}
    with lab.open(subject) as backend:
        batch = np.random.default_rng(0).random((1, backend.card.channels, *shape[1:]), np.float32)
        with backend.lanes.lend() as lane:
            network: Any = lane.network
            if network._engine.contexts.owns_graphs:
                raise Skipped("this library keeps CUDA graphs itself")
            strength = backend.card.strength.get("default")
            results = [lane.run(batch, strength) for _ in range(2)]
            captured = [ready.graph is not None for ready in network._ready.values()]
            if strength is not None:
                lane.run(batch, backend.card.strength["least"])  # which the graph must not keep
            results += [lane.run(batch, strength) for _ in range(2)]
        figures |= {"graphs": sum(captured), "with": _times(backend, batch, shape)}
    if not any(captured):
        raise Wrong("no CUDA graph was made", figures)
    if not all(np.array_equal(results[0], result) for result in results):
        worst = max(float(np.abs(results[0] - result).max()) for result in results)
        raise Wrong(f"with a graph the result differs by {worst:.2g}", figures)
    with mock.patch("pnen_runtime.backends.trt.capture", return_value=None), lab.open(subject) as backend:
        plain = backend.run(batch)
        figures["without"] = _times(backend, batch, shape)
    if not np.array_equal(plain, results[-1]):
        raise Wrong(f"without graphs the result differs by {np.abs(plain - results[-1]).max():.2g}", figures)
    return figures


def _times(backend: Any, batch: np.ndarray, shape: tuple[int, int, int]) -> dict[str, float]:
    """Medians of the network's own time and of a call from array to array, in milliseconds."""
    own = backend.device_milliseconds(shape, 50)
    calls = []
    for _ in range(50):
        begin = perf_counter()
        backend.run(batch)
        calls.append(1e3 * (perf_counter() - begin))
    return {"device_ms": median(own), "call_ms": median(calls)}


def memory(lab: Lab, subject: Subject) -> Figures:
    """Device memory of one lane and of four, that it does not grow, and that all of it comes back."""
    watcher = open_adapter(subject.adapter) if subject.adapter else open_cuda()  # keeps the context, whatever closes
    try:
        with watcher.active():
            with lab.open(subject) as backend:  # what libraries load, they keep as long as there is a context
                _mixed_sizes(backend, 24)
                compare_threads(backend, subject.precision, jobs=32, at_once=4)
            return _measure_memory(lab, subject, lambda: watcher.memory()[0])
    finally:
        watcher.close()


def _measure_memory(lab: Lab, subject: Subject, free: Callable[[], int]) -> Figures:
    figures: Figures = {}
    before = free()

    def taken(name: str) -> int:
        figures[name] = before - free()
        return int(figures[name])

    with lab.open(subject) as backend:
        taken("opened")
        _mixed_sizes(backend, 24)
        taken("one lane")
        compare_threads(backend, subject.precision, jobs=32, at_once=4)
        taken("four threads")
        with suppress(EngineError):  # no profile takes it
            backend.run(np.full((1, backend.card.channels, 321, 481), 0.5, np.float32))
            taken("and 321x481 whole")
        with backend.lanes.lend() as lane:
            figures["scratch of that lane"] = getattr(getattr(lane.network, "_scratch", None), "size", 0)
        _mixed_sizes(backend, 100)
        at_half, host_half = taken("after 100 pictures"), resident_bytes()
        _mixed_sizes(backend, 100)
        grown, host_grown = taken("after 200 pictures") - at_half, resident_bytes() - host_half
    left, figures["host bytes grown"] = taken("after close"), host_grown
    if grown > GROWTH or host_grown > HOST_GROWTH:
        raise Wrong(f"100 more pictures took {grown:,} bytes of the GPU and {host_grown:,} of the host", figures)
    if left > GROWTH:
        raise Wrong(f"{left:,} bytes did not come back", figures)
    return figures


def _mixed_sizes(backend: Any, count: int) -> None:
    """Pictures of changing sizes and types, more shapes than a lane keeps contexts for."""
    smoother, places = Smoother("proof", backend=backend), np.random.default_rng(0)
    for number in range(count):
        height, width = (int(side) for side in places.choice([40, 64, 90, 120, 160, 203, 250], 2))
        kind = ("uint8", "float32", "uint16")[number % 3]
        smoother.run(make_picture(kind, 1 if number % 5 == 0 else 3, height, width))


def resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        return 0
