"""Packages that are in each other's way, and what mends it; judged by their versions alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata

from .backends.providers import BUILDS, PLUGINS
from .install import pip_install

# Packages that bring code for one major version of CUDA, by how their name ends or their own version begins.
BY_NAME = {"-cu11": 11, "-cu12": 12, "-cu13": 13}
BY_VERSION = ("cuda-python", "cuda-bindings", "nvidia-cuda-runtime")


def installed() -> dict[str, str]:
    """The version of every distribution in this environment, by its name in lower case with hyphens."""
    found = ((one.metadata["Name"], one.version) for one in metadata.distributions())
    return {name.lower().replace("_", "-"): version for name, version in found if name}


def clashes(packages: Mapping[str, str], driver: str | None, pycuda: str | None = None) -> Iterator[str]:
    """A line for each: what is wrong, and the command that mends it.

    `driver` is the newest CUDA that the installed driver runs, `pycuda` the CUDA that PyCUDA was compiled for.
    """
    runtimes = sorted(name for name in packages if name in BUILDS)
    if len(runtimes) > 1:
        keep = pip_install("ort-gpu") if "onnxruntime-gpu" in runtimes else f"pip install {runtimes[-1]}"
        yield (f"{' and '.join(runtimes)} overwrite each other's files; pip uninstall -y {' '.join(runtimes)}; {keep}")
    for plugin in sorted(name for name in packages if name.replace("-", "_").startswith(PLUGINS)):
        if not runtimes:
            yield f"{plugin} is a plug-in of ONNX Runtime, which is not here; {pip_install('ort')}"
        elif (twin := plugin.replace("-ep-", "-")) in runtimes:
            yield f"{plugin} and {twin} bring the same provider twice; pip uninstall -y {plugin}"
    builds = [name for name in packages if name in ("tensorrt-cu11", "tensorrt-cu12", "tensorrt-cu13")]
    if len(builds) > 1:
        yield (f"{' and '.join(sorted(builds))} are both here; "
               f"pip uninstall -y tensorrt {' '.join(sorted(builds))}; {pip_install('tensorrt')}")  # fmt: skip
    if driver is None:
        return
    newest = int(driver.split(".")[0])
    for name, version in sorted(packages.items()):
        needed = _cuda_of(name, version)
        if needed and needed > newest:
            yield (f"the driver runs CUDA up to {driver}, and {name} {version} needs {needed}; update the driver, or "
                   f"install {name} for CUDA {newest}")  # fmt: skip
    if pycuda and int(pycuda.split(".")[0]) > newest:
        again = f"with the nvcc of CUDA {newest}: {pip_install('pycuda')} --force-reinstall --no-binary pycuda"
        yield f"the driver runs CUDA up to {driver}, and pycuda was compiled for {pycuda}; update it, or {again}"


def _cuda_of(name: str, version: str) -> int | None:
    """The major version of CUDA that a package is made for; None where it does not say."""
    for ending, major in BY_NAME.items():
        if name.endswith(ending):
            return major
    first = version.split(".")[0]
    return int(first) if name in BY_VERSION and first.isdecimal() else None
