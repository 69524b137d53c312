"""What an exported ONNX file says of itself, read without the onnx package: engines are built without it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path

from pnen_runtime.card import Card
from pnen_runtime.errors import EngineError
from pnen_runtime.onnx_check import GRAPH, INITIALIZER, card_text, check_onnx, fields, message, varints

# Field numbers and element types of onnx.proto; they never change.
DIMENSIONS, ELEMENT_TYPE = 1, 2
FLOAT, HALF, DOUBLE, BFLOAT16 = 1, 10, 11, 16


@dataclass(frozen=True)
class OnnxFile:
    """One exported file, whole in memory."""

    path: Path
    data: bytes
    card: Card
    half_share: float  # of its floating-point weights
    widest: int  # channels of the widest map that a convolution takes or gives

    @property
    def sha256(self) -> str:
        """Of the whole file: weights, graph and card."""
        return sha256(self.data).hexdigest()


def read_onnx(path: Path) -> OnnxFile:
    """Read the card and the types of the weights.

    Raises EngineError where the file is truncated, no ONNX, changed or without a card (see `check_onnx`), OSError where
    it cannot be read.
    """
    data = path.read_bytes()
    check_onnx(data, path)
    elements, widest = {FLOAT: 0, HALF: 0, DOUBLE: 0, BFLOAT16: 0}, 1
    try:
        card = card_text(data)
        for number, value in fields(memoryview(data)):
            if number == GRAPH:
                for inner, weight in fields(message(value)):
                    if inner == INITIALIZER:
                        kind, sizes = _weight(message(weight))
                        elements[kind] = elements.get(kind, 0) + prod(sizes)
                        if len(sizes) == 4:
                            widest = max(widest, *sizes[:2])
    except (ValueError, KeyError, IndexError):
        raise EngineError(f"{path} is truncated or no ONNX file; write it again with pnen-export") from None
    if not card:
        raise EngineError(f"{path} has no PNEN model card; only files that pnen-export wrote can become an engine")
    floating = sum(elements[kind] for kind in (FLOAT, HALF, DOUBLE, BFLOAT16))
    return OnnxFile(path, data, Card.from_json(card, str(path)), elements[HALF] / max(1, floating), widest)


def _weight(tensor: memoryview) -> tuple[int, list[int]]:
    """Element type and sizes."""
    sizes, kind = [], 0
    for number, value in fields(tensor):
        if number == ELEMENT_TYPE and isinstance(value, int):
            kind = value
        elif number == DIMENSIONS:
            sizes += [value] if isinstance(value, int) else varints(value)
    return kind, sizes
