"""What is damaged, by name; each prepares good files in a folder and gives a trial, which damages one and reads it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from .damage import Draw

Trial = Callable[[Draw], None]
KINDS = {
    "pictures": "pictures:pictures",
    "checkpoints": "training:checkpoints",
    "onnx": "models:onnx_files",
    "graphs": "models:graphs",
    "cards": "models:cards",
    "engines": "models:engines",
    "recipes": "recipes:recipes",
    "runs": "training:runs",
    "caches": "caches:caches",
}


def trial_of(kind: str, folder: Path) -> Trial:
    """The trial of a kind, whose files are in `folder`; its packages are imported now."""
    module, _, name = KINDS[kind].partition(":")
    prepare: Callable[[Path], Trial] = getattr(import_module(f"reliability.{module}"), name)
    return prepare(folder)
