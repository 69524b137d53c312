"""What the checks share: the files that were prepared, the engines made of them, and opened networks."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_size_t, c_void_p
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pnen_export.builder_api import element_limit, find_tensorrt
from pnen_export.engine import build_engine
from pnen_export.onnx_file import read_onnx
from pnen_export.parity import Reference
from pnen_export.profiles import Profile, most_elements, read_profile, tile_profile
from pnen_runtime.backends.gpu import GpuBackend
from pnen_runtime.backends.ort import OrtBackend
from pnen_runtime.backends.ort_cuda import open_ort_cuda
from pnen_runtime.backends.trt import open_trt
from pnen_runtime.cache import cache_folder
from pnen_runtime.card import Card
from pnen_runtime.cuda import Cuda, open_cuda
from pnen_runtime.cuda.driver import call, first_gpu
from pnen_runtime.engine_file import read_engine
from pnen_runtime.errors import PnenError

from .packed import unpacked
from .stored import read_reference
from .subject import Skipped, Subject

PREPARED = "prepared.json"  # the last file of a folder that `prepare` wrote
ADAPTERS = {"pycuda": ("pycuda", "by_pycuda", "PyCuda"), "cuda-python": ("cuda", "by_cuda_python", "CudaPython")}
PACKAGES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx", "onnxruntime-cuda": "onnxruntime", "torch": "torch"}
FLAVOURS = {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}
WHOLE = {  # sizes of whole images; the full network has 65,504 keys at most, and most versions take some of them
    ("full", "fp16"): ("1x16x16,1x256x256,1x304x304", "1x16x16,1x321x481,1x496x512"),
    ("l0", "fp16"): ("1x16x16,1x321x481,1x512x512", "1x16x16,1x1080x1920,1x1088x1920"),
}
IDENTITY = Card(network="identity", task={"filter": "none"}, tile=64, tile_step=40)


class Lab:
    """The folder of `prepare`; engines, their cache and notes of failed builds go into it too."""

    def __init__(self, folder: Path):
        self.folder = folder

    def onnx(self, subject: Subject) -> Path:
        """The exported file of this network, precision and target."""
        kind = (".ort" if subject.target == "ort" else "") + (".fp16" if subject.precision == "fp16" else "")
        return unpacked(self.folder / f"{subject.network}{kind}.onnx")

    def reference(self, network: str) -> Reference:
        """PyTorch's own results in FP32."""
        return read_reference(self.folder / f"{network}.npz")

    def engine(self, subject: Subject, build: bool = False) -> Path:
        """The engine of this subject, built where it is not there; Skipped where an earlier build failed."""
        onnx = self.onnx(subject)
        name = ".".join(filter(None, (onnx.stem, subject.sizes, "engine")))
        path = self.folder / "engines" / subject.stack / name
        failed = path.with_suffix(".failed")
        if failed.exists() and not build:
            raise Skipped(f"its engine was not built: {failed.read_text(encoding='utf-8')}")
        if build or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            failed.write_text("the build did not end", encoding="utf-8")
            try:
                trt = find_tensorrt(FLAVOURS[subject.stack])
                build_engine(
                    trt, onnx, path, profiles=self.profiles(subject, element_limit(trt)), cache=cache_folder("engines")
                )
            except Exception as error:
                failed.write_text(" ".join(str(error).split()), encoding="utf-8")
                raise
            failed.unlink()
        return path

    def profiles(self, subject: Subject, limit: int | None) -> list[Profile]:
        """1 to 8 tiles, in half precision also up to 32 of 96 pixels; or whole images of up to `limit` elements."""
        card = read_onnx(self.onnx(subject)).card
        if subject.sizes != "whole":
            many = ["1x16x16,32x96x96,32x96x96"] if subject.precision == "fp16" else []
            return [tile_profile(card, element_limit=limit), *map(read_profile, many)]
        sizes = map(read_profile, WHOLE[subject.network, subject.precision])
        return [size for size in sizes if limit is None or most_elements(card, size.largest) <= limit]

    @contextmanager
    def open(self, subject: Subject) -> Iterator[GpuBackend]:
        """The network of this subject on the GPU."""
        backend = self._open(subject)
        try:
            yield backend
        finally:
            backend.close()

    def require_accepted(self, subject: Subject) -> None:
        """Skipped where the library does not take this card at all."""
        with self.open(subject):
            pass

    def _open(self, subject: Subject) -> GpuBackend:
        cuda = open_adapter(subject.adapter) if subject.adapter else None
        if subject.stack == "cuda":
            cuda = cuda or open_cuda()
            return GpuBackend("identity", IDENTITY, "identity", cuda, lambda _lane: Identity(), lanes=4)
        if subject.stack == "onnxruntime-cuda":
            return open_ort_cuda(self.onnx(subject), cuda=cuda)
        path = self.engine(subject)
        try:
            return open_trt(read_engine(path), cuda=cuda)
        except PnenError as error:
            if subject.stack == "tensorrt-rtx" and "TensorRT-RTX builds for" in str(error):
                raise Skipped(str(error)) from error  # it does not know this card, and that is the answer
            raise

    @contextmanager
    def on_cpu(self, subject: Subject) -> Iterator[Any]:
        """The same network in FP32 by ONNX Runtime on the CPU; the identity by nothing at all."""
        if subject.network == "identity":
            yield IdentityOnHost()
            return
        backend = OrtBackend(self.onnx(replace(subject, precision="fp32", target="ort")))
        try:
            yield backend
        finally:
            backend.close()

    def scratch(self, name: str) -> Path:
        """An empty folder."""
        path = self.folder / "scratch" / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path


class Identity:
    """A network that copies, which shows the kernels around it."""

    def enqueue(self, shape: tuple[int, ...], image: int, strength: int, smooth: int, stream: Any) -> None:
        size = 4 * int(np.prod(shape))
        call("cuMemcpyDtoDAsync_v2", c_size_t(smooth), c_size_t(image), c_size_t(size), c_void_p(stream.handle))

    def close(self) -> None:
        pass


class IdentityOnHost:
    """The same without a GPU, as a `Backend`."""

    name, info, card, profiles = "identity", "identity on the host", IDENTITY, ()

    def run(self, batch: np.ndarray) -> np.ndarray:
        return batch.copy()

    def close(self) -> None:
        pass


def map_of_strengths(card: Card, height: int, width: int) -> np.ndarray | None:
    """From the least to the most over the pixels of a picture; None for a network of one strength."""
    own = card.strength
    values = np.linspace(own["least"], own["most"], height * width, dtype=np.float32) if own else None
    return None if values is None else values.reshape(height, width)


def open_adapter(name: str) -> Cuda:
    """Device memory by this package."""
    _, module, kind = ADAPTERS[name]
    gpu = first_gpu()
    if gpu is None:
        raise Skipped("no NVIDIA GPU and driver")
    adapter: Cuda = getattr(importlib.import_module(f"pnen_runtime.cuda.{module}"), kind)(gpu)
    return adapter


def missing(subject: Subject) -> str | None:
    """What this machine lacks for a subject, without loading it; None where nothing is known to."""
    lacks = [] if first_gpu() else ["no NVIDIA GPU and driver"]
    package = PACKAGES.get(subject.stack)
    if package and find_spec(package) is None:
        lacks.append(f"{package} is not installed")
    elif package == "onnxruntime" and not _has_cuda():
        lacks.append("the ONNX Runtime that is installed has no CUDA")
    wanted = [subject.adapter] if subject.adapter else list(ADAPTERS)
    if all(find_spec(ADAPTERS[adapter][0]) is None for adapter in wanted):
        lacks.append(f"{' and '.join(wanted)} {'is' if len(wanted) == 1 else 'are'} not installed")
    return "; ".join(lacks) or None


def _has_cuda() -> bool:
    spec = find_spec("onnxruntime")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return any(any(Path(folder).glob("capi/*onnxruntime_providers_cuda*")) for folder in folders)
