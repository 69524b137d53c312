"""Checks that results are right: PyTorch's, the host's, and those of one thread."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np

from pnen_export.inputs import photograph
from pnen_export.parity import FP16_MAX_ABS, FP32_MAX_ABS, Reference, report
from pnen_runtime.backends import Backend
from pnen_runtime.cuda.arrays import CudaArray, as_cuda_array
from pnen_runtime.image import full_scale
from pnen_runtime.plan import most_at_once
from pnen_runtime.smoother import Smoother

from .lab import Lab, map_of_strengths
from .subject import Figures, Subject, Wrong

TYPES = ("uint8", "uint16", "float16", "float32")
STEP = {"uint8": 1 / 255, "uint16": 1 / 65535, "float16": 2**-11, "float32": 0.0}  # what rounding may change
ENOUGH = 0.999  # share of the values that may differ by rounding alone
ANY_BATCH = 8  # of a backend without profiles


def parity(lab: Lab, subject: Subject) -> Figures:
    """The contract's numbers against PyTorch in FP32, one image at a time and in the largest batches."""
    with lab.open(subject) as backend:
        return compare_with_pytorch(backend, lab.reference(subject.network), subject.precision)


def compare_with_pytorch(backend: Backend, reference: Reference, precision: str) -> Figures:
    """The worst figures; Wrong with every row that is out of tolerance."""

    def most(height: int, width: int) -> int:
        return most_at_once(backend.profiles, height, width) if backend.profiles else ANY_BATCH

    rows, sizes = [], set()
    for at_once in (lambda height, width: min(1, most(height, width)), most):
        given = reference.in_batches(at_once)
        rows += given.compare(backend.run, precision)
        sizes |= {part.size for part in given.inputs}
    left_out = sorted({part.size for part in reference.inputs} - sizes)
    if not rows:
        raise Wrong("no size was compared", {"left_out": left_out})
    figures = report(rows) | {"compared": len(rows), "sizes": len(sizes), "left_out": left_out}
    failed = [row for row in rows if not row.passed]
    if failed:
        worst = max(failed, key=lambda row: row.max_abs)
        message = f"{len(failed)} of {len(rows)} are out of tolerance; worst: {worst.input} {worst.size}"
        raise Wrong(message, figures | {"rows": [asdict(row) for row in failed]})
    return figures


def tiles_like_host(lab: Lab, subject: Subject) -> Figures:
    """Pictures of every type cut, blended and rounded on the GPU: as on the host, and as ONNX Runtime on the CPU."""
    with lab.open(subject) as backend, lab.on_cpu(subject) as host:
        figures = compare_pipelines(backend, subject.precision)
        return figures | {"to the CPU": compare_with_host(backend, host, subject.precision)}


def compare_pipelines(backend: Any, precision: str) -> Figures:
    """Whole pictures on the device against the host's tiles around the same network, in every setting."""
    if not hasattr(backend, "smooth_tiled"):
        raise Wrong(f"{backend.info} has no tiles on the device")
    tolerance, rows, equal = _tolerance(precision), [], []
    settings: list[Any] = list(product(TYPES, (3, 1), (64, 96, "whole"), ("feather", "uniform"), (1.0, 0.5)))
    strengths = map_of_strengths(backend.card, 203, 250)
    for kind, channels, tile, blend, mix in settings:
        picture = make_picture(kind, channels, 203, 250)
        on_device, on_host = (
            Smoother("proof", backend=part, tile=tile, blend=blend).run(picture, mix=mix, strength=strengths)
            for part in (backend, HostOnly(backend))
        )
        error = distance(on_device, on_host)
        equal.append(float(np.mean(error == 0)))
        allowed = float(np.mean(error <= tolerance + 1e-7))
        row = {"type": kind, "channels": channels, "tile": tile, "blend": blend, "mix": mix,
               "levels": float(error.max() * 255), "equal": equal[-1], "allowed": allowed}  # fmt: skip
        if not (error.max() <= tolerance + STEP[kind] + 1e-7 and (kind == "float32" or allowed >= _enough(precision))):
            rows.append(row)
    figures = {"settings": len(settings), "equal_at_least": min(equal), "equal_on_average": float(np.mean(equal))}
    if rows:
        raise Wrong(f"{len(rows)} of {len(settings)} settings differ from the host", figures | {"rows": rows})
    return figures


def _enough(precision: str) -> float:
    """In half precision other batches may take other kernels, and every value may round the other way."""
    return ENOUGH if precision == "fp32" else 0.0


def compare_with_host(backend: Backend, host: Backend, precision: str) -> Figures:
    """8-bit pictures, colour and grey, against another backend with the same weights: levels apart."""
    figures: Figures = {}
    for channels in (3, 1):
        picture = make_picture("uint8", channels, 203, 250)
        found, expected = (Smoother("proof", backend=part, tile=96).run(picture) for part in (backend, host))
        error = distance(found, expected) * 255
        name = "RGB" if channels == 3 else "grey"
        figures |= {f"{name} levels": float(error.max()), f"{name} equal": float(np.mean(error == 0))}
        if not (error.max() <= 3 and np.mean(error <= 1.01) >= ENOUGH):
            raise Wrong(f"{name}: up to {error.max():.0f} levels from {host.info}", figures)
    return figures


class HostOnly:
    """A backend without its tiles on the device: `Smoother` cuts and blends on the host then."""

    def __init__(self, backend: Backend):
        self.name, self.card, self.info, self.profiles = backend.name, backend.card, backend.info, backend.profiles
        self.run, self.close = backend.run, lambda: None


def cuda_arrays(lab: Lab, subject: Subject) -> Figures:
    """CUDA arrays in and out: the host's result, with nothing copied on the way."""
    with lab.open(subject) as backend:
        figures = compare_arrays(backend)
        for library in ("torch", "cupy"):
            if find_spec(library):
                figures[library] = _foreign_arrays(backend, library)
        return figures


def compare_arrays(backend: Any) -> Figures:
    """Arrays made by the adapter, in order and as views, against the same pictures on the host."""
    cuda = backend.lanes.cuda
    smoother: Any = Smoother("proof", backend=backend)
    with cuda.active():
        stream = cuda.stream()

    def up(host: np.ndarray) -> CudaArray:
        array = backend.new_array(host.shape, host.dtype)
        with cuda.active():
            cuda.upload(array.pointer, np.ascontiguousarray(host), stream)
            cuda.synchronize(stream)
        return array

    def down(array: CudaArray) -> np.ndarray:
        host = np.empty(array.shape, array.dtype)
        with cuda.active():
            cuda.download(host, array.pointer, stream)
            cuda.synchronize(stream)
        return host

    pairs = []
    for kind in TYPES:
        for shape in ((150, 200), (150, 200, 3), (2, 60, 70, 3)):
            host = np.resize(make_picture(kind, 3, 160, 210), shape)
            array = up(host)
            pairs.append((f"{kind} {shape}", host, array, smoother.run(array)))
    large = make_picture("uint8", 3, 160, 210)
    view = up(large)
    view = replace(view, pointer=view.pointer + 5 * view.strides[0] + 3 * view.strides[1], shape=(150, 200, 3))
    pairs.append(("view", large[5:155, 3:203], view, smoother.run(view)))
    with backend.lanes.lend() as lane:
        copied = lane.picture.size + lane.result.size
    if copied:
        raise Wrong(f"pictures on the GPU were copied: {copied:,} bytes")
    different = []
    for name, host, array, result in pairs:
        if not np.array_equal(down(result), smoother.run(host)):
            different.append(f"{name}: other than on the host")
        if name != "view" and not np.array_equal(down(array), host):
            different.append(f"{name}: the picture that was given has changed")
    if different:
        raise Wrong("; ".join(different), {"compared": len(pairs)})
    return {"compared": len(pairs)}


def _foreign_arrays(backend: Any, library: str) -> str:
    """A tensor of PyTorch or an array of CuPy, made on a stream of its own."""
    picture = make_picture("float32", 3, 150, 200)
    smoother: Any = Smoother("proof", backend=backend)
    if library == "torch":
        import torch

        if not torch.cuda.is_available():
            return "without CUDA"
        with torch.cuda.stream(torch.cuda.Stream()):
            given = torch.from_numpy(picture).cuda(non_blocking=True).mul(1.0)
            result = smoother.run(given)
            found, kind, pointer = result.cpu().numpy(), torch.Tensor, given.data_ptr()
    else:
        import cupy

        given = cupy.asarray(picture) * cupy.float32(1)
        result = smoother.run(given)
        found, kind, pointer = cupy.asnumpy(result), cupy.ndarray, given.data.ptr
    seen = as_cuda_array(given)
    if not isinstance(result, kind) or seen is None or seen.pointer != pointer:
        raise Wrong(f"{library}: a {type(result).__name__} came back, or the array was copied")
    if not np.array_equal(found, smoother.run(picture)):
        raise Wrong(f"{library}: other than on the host, by {np.abs(found - smoother.run(picture)).max():.2g}")
    return f"{sys.modules[library].__version__} equal"


def threads(lab: Lab, subject: Subject) -> Figures:
    """Eight threads at once give what one gives."""
    with lab.open(subject) as backend:
        return compare_threads(backend, subject.precision)


def compare_threads(backend: Backend, precision: str, jobs: int = 96, at_once: int = 8) -> Figures:
    """Pictures and batches of mixed sizes, first by one thread twice, then by many."""
    smoother, tile = Smoother("proof", backend=backend), 48
    sizes = [(60, 70), (100, 130), (150, 200), (203, 250), (97, 64), (48, 48)]
    pictures = [make_picture(TYPES[n % 4], 1 if n % 3 == 1 else 3, *size) for n, size in enumerate(sizes)]
    batches = [np.random.default_rng(n).random((n, backend.card.channels, tile, tile), np.float32) for n in (1, 2, 3)]
    work: list[Callable[[], np.ndarray]] = [partial(smoother.run, picture) for picture in pictures]
    work += [partial(backend.run, batch) for batch in batches]
    first, second = ([job() for job in work] for _ in range(2))
    exact = all(map(np.array_equal, first, second))
    order = np.random.default_rng(0).integers(0, len(work), jobs)
    with ThreadPoolExecutor(at_once) as pool:
        found = list(pool.map(lambda number: work[number](), order))
    errors = [float(distance(result, first[number]).max()) for result, number in zip(found, order, strict=True)]
    limit = 0.0 if exact else _tolerance(precision)
    figures = {"jobs": jobs, "threads": at_once, "one thread repeats itself exactly": exact, "max_abs": max(errors)}
    wrong = sum(not error <= limit for error in errors)
    if wrong:
        raise Wrong(f"{wrong} of {jobs} results of {at_once} threads differ from those of one", figures)
    return figures


def distance(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """|difference| of every value, white being 1; infinite where a value is no number or the types differ."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return np.array([np.inf])
    error = np.abs(found.astype(np.float64) - expected.astype(np.float64)) / full_scale(expected.dtype)
    return np.where(np.isfinite(error), error, np.inf)


def _tolerance(precision: str) -> float:
    return FP32_MAX_ABS if precision == "fp32" else FP16_MAX_ABS


def make_picture(kind: str, channels: int, height: int, width: int) -> np.ndarray:
    """A part of the photograph as (H, W, channels) of this type."""
    part = photograph()[40 : 40 + height, 120 : 120 + width, :channels]
    if kind.startswith("uint"):
        return part.astype(kind) * np.dtype(kind).type(full_scale(np.dtype(kind)) // 255)
    return (part / 255).astype(kind)
