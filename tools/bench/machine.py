"""What this machine is, and what is free of it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from pnen_runtime.backends.ort import usable_cores
from pnen_runtime.commands import version

PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "numpy")


def describe() -> dict[str, str]:
    """Processor, memory, GPU, system, versions and how busy it is."""
    found = {"processor": f"{processor()}, {usable_cores()} cores"}
    if free_mb() is not None:
        found["free memory"] = f"{free_mb() / 1e3:.1f} GB"
    gpu = gpu_query("name,driver_version,memory.total")
    found["GPU"] = "none" if gpu is None else "{}, driver {}, {} MiB".format(*gpu.split(", "))
    found["system"] = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    found["versions"] = ", ".join([f"pnen {version()}", *_versions()])
    if hasattr(os, "getloadavg"):
        found["load before"] = f"{os.getloadavg()[0]:.1f} (processes that ran or waited in the last minute)"
    return found


def processor() -> str:
    """Its model's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions() -> list[str]:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def free_mb() -> float | None:
    """Memory that programs may still take; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None


@cache
def _nvidia_smi() -> str | None:
    return shutil.which("nvidia-smi")


def gpu_query(field: str) -> str | None:
    """What the driver says of the first GPU; None where there is none."""
    program = _nvidia_smi()
    if program is None:
        return None
    words = [program, f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    done = subprocess.run(words, capture_output=True, text=True)
    return None if done.returncode else done.stdout.splitlines()[0].strip()


def gpu_free_mb() -> float | None:
    """Free memory of the first GPU, whoever uses the rest."""
    free = gpu_query("memory.free")
    return None if free is None else float(free) * 1.048576
