"""Smooth, denoise and enlarge images with exported PNEN networks; needs no torch.

What it offers is imported when it is first asked for, so that commands begin at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .card import Card
    from .errors import BackendMissing, CheckpointError, EngineError, ImageError, ParityError, PnenError, UsageError
    from .forecast import Forecast
    from .image import read_image, write_image
    from .models import bundled_models
    from .smoother import Info, Smoother
    from .upscaler import Upscaler

_WHERE = {
    "card": ("Card",),
    "errors": ("BackendMissing", "CheckpointError", "EngineError", "ImageError", "ParityError", "PnenError",
               "UsageError"),
    "forecast": ("Forecast",),
    "image": ("read_image", "write_image"),
    "models": ("bundled_models",),
    "smoother": ("Info", "Smoother"),
    "upscaler": ("Upscaler",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "BackendMissing",
    "Card",
    "CheckpointError",
    "EngineError",
    "Forecast",
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


def __getattr__(name: str) -> Any:
    if name == "__version__":  # asked of the installation, and seldom
        from .commands import version

        return version()
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
