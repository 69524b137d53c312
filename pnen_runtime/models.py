"""Finding a model file, or one of those that come with the package."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import UsageError
from .files import is_file

BUNDLED = Path(__file__).parent / "bundled"


def bundled_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(file.name.removesuffix(".onnx") for file in BUNDLED.glob("*.onnx"))


def adjustable_models() -> list[str]:
    """Names of the bundled models that take a strength."""
    from .onnx_card import read_onnx_card

    return [name for name in bundled_models() if read_onnx_card(BUNDLED / f"{name}.onnx").strength]


def find_model(engine: str | os.PathLike[str]) -> Path:
    """The file of a path or of a bundled model's name; an existing file goes before a name."""
    path = Path(engine)
    if is_file(path):
        return path
    if isinstance(engine, str) and engine in bundled_models():
        return BUNDLED / f"{engine}.onnx"
    names = ", ".join(bundled_models()) or "none in this installation"
    raise UsageError(f"no model {os.fspath(engine)!r}: there is no such file, and the bundled models are: {names}")
