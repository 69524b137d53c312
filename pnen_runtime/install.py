"""What to install for each extra, by the names of the packages: this project itself is in no registry."""

from __future__ import annotations

PACKAGES = {
    "ort": ("onnxruntime",),
    "ort-gpu": ("onnxruntime-gpu[cuda,cudnn]", "cuda-python"),
    "tensorrt": ("tensorrt", "cuda-python"),
    "rtx": ("tensorrt-rtx", "cuda-python"),
    "deep": ("pyvips[binary]",),
    "pycuda": ("pycuda",),
    "video": ("av",),
    "serve": ("starlette", "uvicorn", "python-multipart", "prometheus-client"),
    "triton": ("tritonclient[grpc,http]",),
    "filters": ("numba", "scikit-image"),
    "train": ("torch", "numba", "scikit-image", "tensorboard"),
    "export": ("torch", "numba", "scikit-image", "tensorboard", "onnx", "onnxscript", "onnxruntime"),
}


def pip_install(extra: str) -> str:
    """The command that installs what this extra of pyproject.toml needs."""
    return " ".join(["pip install", *(f'"{name}"' if "[" in name else name for name in PACKAGES[extra])])
