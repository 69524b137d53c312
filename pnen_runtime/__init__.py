"""Smooth, denoise and enlarge images with exported PNEN networks; needs no torch."""

from .card import Card
from .errors import BackendMissing, CheckpointError, EngineError, ImageError, ParityError, PnenError, UsageError
from .image import read_image, write_image
from .models import bundled_models
from .smoother import Info, Smoother
from .upscaler import Upscaler


def __getattr__(name: str) -> str:
    if name == "__version__":  # asked of the installation, and seldom
        from .commands import version

        return version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BackendMissing",
    "Card",
    "CheckpointError",
    "EngineError",
    "ImageError",
    "Info",
    "ParityError",
    "PnenError",
    "Smoother",
    "Upscaler",
    "UsageError",
    "bundled_models",
    "read_image",
    "write_image",
]
