"""The GPU of this machine, or a stand-in for the driver where there is none; with --real-cuda the GPU or nothing."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pnen_runtime import Card
from pnen_runtime.backends.trt import open_trt
from pnen_runtime.cuda.driver import first_gpu
from pnen_runtime.engine_file import EngineFile

from .stand_in_tensorrt import make_module

HERE = Path(__file__).parent
FLAGS = ["-std=c++17", "-O1", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"]
STUB = 'extern "C" __attribute__((visibility("default"))) int {}() {{ return 801; }}  // CUDA_ERROR_NOT_SUPPORTED\n'
MEMORY = 1 << 30  # bytes of the stand-in
TILES, WHOLE = [(1, 3, 16, 16), (4, 3, 32, 32), (4, 3, 32, 32)], [(1, 3, 16, 16), (1, 3, 64, 80), (1, 3, 64, 80)]
ADAPTERS = {"pycuda": ("by_pycuda", "PyCuda"), "cuda-python": ("by_cuda_python", "CudaPython")}


def installed(*modules: str) -> bool:
    for module in modules:
        with suppress(ModuleNotFoundError):  # of the package that it lies in
            if importlib.util.find_spec(module):
                return True
    return False


INSTALLED = ["pycuda"] * installed("pycuda") + ["cuda-python"] * installed("cuda.bindings.driver", "cuda.cuda")


class StandIn:
    """The stand-in of stand_in.cpp, loaded into this process; it is there only inside `present`."""

    def __init__(self, driver: Any):
        self.driver = driver
        driver.stand_in_set.argtypes = [ctypes.c_int, ctypes.c_size_t]
        self.absent()

    def present(self, memory: int = MEMORY) -> None:
        """Be a GPU with this many bytes."""
        self.driver.stand_in_set(1, memory)

    def absent(self) -> None:
        """Be a driver without a GPU."""
        self.driver.stand_in_set(0, 0)

    def number(self, gpu: int) -> None:
        """Say that all memory lies on this GPU, until it is present anew."""
        self.driver.stand_in_number(gpu)

    @contextmanager
    def refusing(self, function: str, code: int) -> Iterator[None]:
        """Let this function of the driver fail."""
        self.driver.stand_in_refuse(function.encode(), code)
        yield
        self.driver.stand_in_refuse(function.encode(), 0)

    @property
    def held(self) -> int:
        """How much was not given back: memory, streams, events, graphs, the context."""
        return int(self.driver.stand_in_held())

    @property
    def damage(self) -> int:
        """Bytes that were written outside of the allocations."""
        return int(self.driver.stand_in_damage())


@pytest.fixture(autouse=True)
def _real_where_it_must_be(request) -> None:
    if request.config.getoption("--real-cuda") and first_gpu() is None:
        pytest.skip("--real-cuda: expected an NVIDIA GPU and its driver, found none, so nothing was shown")


@pytest.fixture(scope="session")
def loaded_stand_in(tmp_path_factory) -> Iterator[StandIn]:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("the stand-in for the driver needs g++")
    folder = tmp_path_factory.mktemp("stand-in")
    library, stubs = folder / "libcuda.so.1", folder / "stubs.cpp"
    include = f"-I{HERE.parents[2] / 'pnen_runtime' / 'cuda'}"
    subprocess.run([compiler, *FLAGS, "-c", include, "-o", folder / "stand_in.o", HERE / "stand_in.cpp"], check=True)
    stubs.write_text("".join(STUB.format(name) for name in missing_for_pycuda(folder / "stand_in.o")))
    link = ["-shared", "-Wl,-soname,libcuda.so.1"]
    subprocess.run([compiler, *FLAGS, *link, "-o", library, folder / "stand_in.o", stubs], check=True)
    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    found = ctypes.CDLL("libcuda.so.1")  # what everybody in this process gets from now on
    if not hasattr(found, "stand_in_set"):
        pytest.skip("another libcuda.so.1 is loaded already")
    return StandIn(found)


def missing_for_pycuda(library: Path) -> list[str]:
    """The functions of the driver that pycuda's extension asks for and the stand-in does not have."""
    package = importlib.util.find_spec("pycuda")
    if package is None or not package.submodule_search_locations:
        return []
    extension = next(Path(package.submodule_search_locations[0]).glob("_driver.*"))
    return sorted(names(extension, "U", "-D") - names(library, "T"))


def names(file: Path, kind: str, *options: str) -> set[str]:
    """The functions of the driver that a library asks for (U) or has (T)."""
    lines = subprocess.run(["nm", *options, file], check=True, capture_output=True, text=True).stdout.splitlines()
    return {words[-1] for line in lines if (words := line.split())[-2] == kind and re.match("cu[A-Z]", words[-1])}


@pytest.fixture
def gpu(request) -> Iterator[StandIn | None]:
    """The stand-in for the driver, present; None where there is a GPU."""
    if first_gpu() is not None:
        yield None
        return
    found: StandIn = request.getfixturevalue("loaded_stand_in")
    found.present()
    yield found
    found.absent()


@pytest.fixture
def stand_in(gpu) -> StandIn:
    """The stand-in for the driver, present; skips where there is a GPU."""
    if gpu is None:
        pytest.skip("there is a GPU")
    return gpu


@pytest.fixture(params=INSTALLED or ["none"])
def open_one(request, gpu) -> Callable[[], Any]:
    """open_one() → a `Cuda` by each package that is installed, which the test must close."""
    if not INSTALLED:
        pytest.skip("neither cuda-python nor pycuda is installed")
    module, name = ADAPTERS[request.param]
    adapter = getattr(importlib.import_module(f"pnen_runtime.cuda.{module}"), name)
    return lambda: adapter(first_gpu())


@pytest.fixture
def cuda(gpu, open_one) -> Iterator[Any]:
    """An opened `Cuda` by each package that is installed: of the GPU, or of the stand-in where there is none.

    Like a GPU's, the stand-in's memory cannot be read by the host; use `upload` and `download`.
    """
    before = gpu and (gpu.held, gpu.damage)
    opened = open_one()
    yield opened
    if opened.name.startswith("pycuda"):
        gc.collect()  # what pycuda made lives on in the traceback of an error that a test caught
    opened.close()
    if gpu is not None:
        assert (gpu.held, gpu.damage) == before, "not all was given back, or it was damaged at its ends"


@pytest.fixture
def opened(cuda, monkeypatch, tmp_path):
    """opened(kind of TensorRT, plan=..., **fields of the card) → backend and the stand-in module."""
    backends = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def open_one(kind: str = "tensorrt 10", plan: bytes = b"ptrt", dtype: str = "float32", version: str = "10.9.0.34",
                 compatible: bool = False, allow: bool = False, **fields: Any):  # fmt: skip
        module = make_module(kind, cuda, [TILES, WHOLE], version, dtype)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(cuda, "close", lambda: None)  # the fixture closes it
        flavour = "rtx" if "rtx" in kind else "tensorrt"
        engine = {"flavour": flavour, "version": version, "options": {"version_compatible": compatible}}
        card = Card(network="flip", task={"filter": "none"}, tile=32, tile_step=20, engine=engine, **fields)
        backend = open_trt(EngineFile(tmp_path / "model.engine", plan, card), cuda=cuda, allow_host_code=allow)
        backends.append(backend)
        return backend, module

    yield open_one
    for backend in backends:
        backend.close()
