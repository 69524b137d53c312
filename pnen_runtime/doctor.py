"""pnen-smooth doctor: what is installed, what would run and why, what clashes, and the command that mends it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import numpy as np

from .backends import BACKENDS, open_backend, ort, providers
from .backends.tensorrt_api import import_tensorrt
from .clashes import clashes, installed
from .commands import Command, say, version
from .cuda import driver, open_cuda
from .deep import libvips
from .errors import BackendMissing, PnenError
from .install import pip_install
from .models import BUNDLED
from .smoother import Smoother

MODEL = BUNDLED / "l0-fast.onnx"
SIDE = 64  # pixels of the picture that is smoothed
TENSORRT = {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}  # backend, and its flavour
OPTIONAL = ("pillow-heif", "pyvips", "av", "numba", "scikit-image", "opencv-contrib-python-headless", "torch")


@click.command(cls=Command)
@click.argument("models", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def doctor(models: tuple[Path, ...]) -> None:
    """Say what runs on this machine, and what is in the way.

    Each backend that can is tried on a small picture, and so is every model FILE (an ONNX file or an engine) that is
    named. Exit codes: 0 all is well, 1 something clashes or a FILE does not run, 4 no backend runs.
    """
    packages = installed()
    for line in machine():
        say(line)
    ready = [name for name in (*BACKENDS, *other_providers()) if _told(name, partial(try_backend, name))]
    backend, why = ort.choose()
    say(f"by default an ONNX file runs on {backend} ({why}), an engine on what it was built for")
    say(f"other packages: {', '.join(f'{name} {packages[name]}' for name in OPTIONAL if name in packages) or 'none'}")
    if libvips() is None:
        say(f"colour of 16 bits in files: no, libvips is missing; {pip_install('deep')}")
    failed = [path for path in models if not _told(str(path), partial(smooth_with, path))]
    found = list(clashes(packages, driver.version(), _pycuda()))
    for line in found:
        say(f"clash: {line}")
    if not ready:
        raise BackendMissing(f"no backend runs here; {pip_install('ort')}")
    if failed or found:
        raise PnenError(f"{len(found)} clashes, and {len(failed)} of {len(models)} models do not run")
    say("all is well")


def machine() -> Iterator[str]:
    """Lines about the computer."""
    yield f"pnen {version()}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield f"CPU: {ort.usable_cores()} threads of {os.cpu_count()} may be used"
    gpu, newest = driver.first_gpu(), driver.version()
    if gpu is None:
        yield "GPU: no NVIDIA GPU" + ("" if newest is None else f", though there is a driver (CUDA {newest})")
    else:
        yield f"GPU: {gpu.name}, compute capability {gpu.compute_capability}, driver for CUDA up to {newest}"


def other_providers() -> list[str]:
    """The backends of other providers of ONNX Runtime whose package is installed."""
    try:
        return providers.present(ort.import_onnxruntime())
    except ImportError:
        return []


def try_backend(name: str) -> str:
    """What a backend did; PnenError where it cannot run."""
    if name not in TENSORRT:
        return smooth_with(MODEL, name)
    module = import_tensorrt(TENSORRT[name], version_compatible=False)
    cuda = open_cuda()
    try:
        return f"{module.__name__} {module.__version__} on {cuda.gpu.name}; name an engine to try it"
    finally:
        cuda.close()


def smooth_with(model: Path, backend: str = "auto") -> str:
    """Smooth a picture, and say on what and in which time; PnenError where it does not work."""
    began = time.perf_counter()
    with Smoother(model, backend=open_backend(model, backend)) as smoother:
        picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, smoother.card.channels), np.uint8)
        smoother.run_network(picture, strength=smoother.card.strength.get("default"))
        runs = smoother.info.backend.partition(" (")[0]
    return f"{runs}: opened and ran in {time.perf_counter() - began:.1f} s"


def _told(what: str, work: Callable[[], str]) -> bool:
    """Whether it worked; either way in a line."""
    try:
        say(f"{what}: yes, {work()}")
    except Exception as error:  # whatever it is, the rest is to be told too
        kind = "" if isinstance(error, (PnenError, MemoryError, OSError)) else f"unexpected {type(error).__name__}: "
        say(f"{what}: no, {kind}{' '.join(str(error).split())}")
        return False
    return True


def _pycuda() -> str | None:
    """The CUDA that PyCUDA was compiled for; None where it is not installed or does not load."""
    try:
        import pycuda.driver
    except (ImportError, OSError):
        return None
    return ".".join(map(str, pycuda.driver.get_version()[:2]))
