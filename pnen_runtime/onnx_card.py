"""The model card of an ONNX file, read from its bytes: no package that knows ONNX is needed."""

from __future__ import annotations

from pathlib import Path

from .card import Card
from .errors import EngineError
from .onnx_check import card_text


def read_onnx_card(path: Path) -> Card:
    """The card in the file; EngineError where there is none, or the file is no ONNX model."""
    try:
        text = card_text(path.read_bytes())
    except (ValueError, IndexError, KeyError):  # UnicodeDecodeError is one of the first
        raise EngineError(f"{path}: expected an ONNX model, got something else or a torn file") from None
    if not text:
        raise EngineError(f"{path}: an ONNX model without a PNEN card; make it with pnen-export")
    return Card.from_json(text, str(path))
