"""Providers of ONNX Runtime besides its CPU and CUDA: what they are called here, and the packages they come in."""

from __future__ import annotations

import pkgutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ..errors import BackendMissing

OWN = {"CPUExecutionProvider": "onnxruntime-cpu", "CUDAExecutionProvider": "onnxruntime-cuda"}  # have a backend each
ENDING = "ExecutionProvider"
PLUGINS = ("onnxruntime_ep_", "onnxruntime_qnn")  # how the modules of plug-in packages are called
# Each of these holds the module `onnxruntime`, so that two of them overwrite each other.
BUILDS = tuple(f"onnxruntime{ending}" for ending in (
    "", "-gpu", "-openvino", "-directml", "-webgpu", "-migraphx", "-rocm", "-coreml", "-silicon", "-cann", "-azure",
    "-training", "-training-cpu", "-trt-rtx"
))  # fmt: skip


@dataclass(frozen=True)
class Provider:
    """One that has a name of its own here; every other goes by ONNX Runtime's name for it."""

    name: str  # ONNX Runtime's
    install: str  # what gives it
    options: dict[str, str] = field(default_factory=dict)  # unless the caller says otherwise
    devices: tuple[str, ...] = ()  # how a `device_type` may begin: OpenVINO takes any word, and runs on something


def replacing(package: str) -> str:
    return f"pip uninstall -y onnxruntime; pip install {package}"


# OpenVINO computes in bfloat16 or half precision where the device can, unless it is told not to.
EXACT = '{"CPU": {"EXECUTION_MODE_HINT": "ACCURACY"}, "GPU": {"EXECUTION_MODE_HINT": "ACCURACY"}}'
PROVIDERS = {
    "onnxruntime-openvino": Provider(
        "OpenVINOExecutionProvider", "pip install onnxruntime-ep-openvino",
        {"device_type": "CPU", "load_config": EXACT}, ("CPU", "GPU", "NPU", "AUTO", "HETERO", "MULTI"),
    ),
    "onnxruntime-coreml": Provider("CoreMLExecutionProvider", "pip install onnxruntime, on macOS"),
    "onnxruntime-directml": Provider("DmlExecutionProvider", f"{replacing('onnxruntime-directml')}, on Windows"),
    "onnxruntime-webgpu": Provider("WebGpuExecutionProvider", "pip install onnxruntime-ep-webgpu"),
    "onnxruntime-migraphx": Provider("MIGraphXExecutionProvider", replacing("onnxruntime-migraphx")),
    "onnxruntime-qnn": Provider("QNNExecutionProvider", "pip install onnxruntime-qnn"),
    "onnxruntime-tensorrt-rtx": Provider(
        "NvTensorRTRTXExecutionProvider", "pip install onnxruntime-ep-nv-tensorrt-rtx"
    ),
}  # fmt: skip


def is_provider(backend: str) -> bool:
    """Whether a backend is one of these, or any other by ONNX Runtime's name."""
    return backend in PROVIDERS or (backend.endswith(ENDING) and backend not in OWN and backend != ENDING)


def find_provider(backend: str) -> Provider:
    """By the name it has here, or ONNX Runtime's."""
    for key, provider in PROVIDERS.items():
        if backend in (key, provider.name):
            return provider
    return Provider(backend, f"a package of ONNX Runtime, or a plug-in for it, that has {backend}")


def plugin_devices(onnxruntime: Any, name: str) -> list[Any]:
    """The devices of a provider that tells them, as plug-ins do; a plug-in package that is installed is loaded for it.

    It stays in the process from then on. Empty where the provider is not here, or goes by its name alone.
    """
    if not hasattr(onnxruntime, "get_ep_devices"):
        return []  # before 1.23
    if not any(device.ep_name == name for device in onnxruntime.get_ep_devices()):
        for plugin in plugins(name):
            try:
                onnxruntime.register_execution_provider_library(name, plugin.get_library_path())
            except Exception as error:  # ONNX Runtime's exceptions have no common type
                said = " ".join(str(error).split())[:200]
                raise BackendMissing(f"{plugin.__name__} does not load into ONNX Runtime: {said}") from error
    return [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]


def plugins(name: str) -> Iterator[Any]:
    """The modules of installed plug-in packages that bring this provider."""
    for module in pkgutil.iter_modules():
        if module.name.startswith(PLUGINS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                plugin = import_module(module.name)
            if name in plugin.get_ep_names():
                yield plugin


def present(onnxruntime: Any) -> list[str]:
    """The backends of `PROVIDERS` whose package is installed; whether its device is here is not asked."""
    built = onnxruntime.get_available_providers()
    return [key for key, provider in PROVIDERS.items() if provider.name in built or any(plugins(provider.name))]
