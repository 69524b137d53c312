"""What an exported ONNX file says of itself, read without the onnx package: engines are built without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path

from pnen_runtime.card import KEY, Card
from pnen_runtime.errors import EngineError

# Field numbers and element types of onnx.proto; they never change.
GRAPH, METADATA, INITIALIZER, DIMENSIONS, ELEMENT_TYPE = 7, 14, 5, 1, 2
FLOAT, HALF, DOUBLE, BFLOAT16 = 1, 10, 11, 16
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # wire types


@dataclass(frozen=True)
class OnnxFile:
    """One exported file, whole in memory."""

    path: Path
    data: bytes
    card: Card
    half_share: float  # of its floating-point weights

    @property
    def sha256(self) -> str:
        """Of the whole file: weights, graph and card."""
        return sha256(self.data).hexdigest()


def read_onnx(path: Path) -> OnnxFile:
    """Read the card and the types of the weights.

    Raises EngineError where the file is truncated, no ONNX or without a card, OSError where it cannot be read.
    """
    data = path.read_bytes()
    card, elements = "", {FLOAT: 0, HALF: 0, DOUBLE: 0, BFLOAT16: 0}
    try:
        for number, value in _fields(memoryview(data)):
            if number == METADATA:
                entry = dict(_fields(_message(value)))
                if bytes(_message(entry[1])).decode() == KEY:
                    card = bytes(_message(entry[2])).decode()
            elif number == GRAPH:
                for inner, weight in _fields(_message(value)):
                    if inner == INITIALIZER:
                        kind, size = _weight(_message(weight))
                        elements[kind] = elements.get(kind, 0) + size
    except (ValueError, KeyError, IndexError):
        raise EngineError(f"{path} is truncated or no ONNX file; write it again with pnen-export") from None
    if not card:
        raise EngineError(f"{path} has no PNEN model card; only files that pnen-export wrote can become an engine")
    floating = sum(elements[kind] for kind in (FLOAT, HALF, DOUBLE, BFLOAT16))
    return OnnxFile(path, data, Card.from_json(card, str(path)), elements[HALF] / max(1, floating))


def _weight(tensor: memoryview) -> tuple[int, int]:
    """Element type and number of elements."""
    sizes, kind = [1], 0
    for number, value in _fields(tensor):
        if number == ELEMENT_TYPE and isinstance(value, int):
            kind = value
        elif number == DIMENSIONS:
            sizes += [value] if isinstance(value, int) else _varints(value)
    return kind, prod(sizes)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of a protobuf message."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == VARINT:
            value, position = _varint(message, position)
            yield tag >> 3, value
            continue
        if kind == LENGTH:
            size, position = _varint(message, position)
        else:
            size = {EIGHT_BYTES: 8, FOUR_BYTES: 4}[kind]
        if position + size > len(message):
            raise ValueError("truncated")
        yield tag >> 3, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """The number that starts at `position`, and where it ends."""
    value = shift = 0
    while True:
        byte = message[position]
        value, shift, position = value | (byte & 127) << shift, shift + 7, position + 1
        if byte < 128:
            return value, position
        if shift > 63:
            raise ValueError("number too long")


def _varints(packed: memoryview) -> list[int]:
    values, position = [], 0
    while position < len(packed):
        value, position = _varint(packed, position)
        values.append(value)
    return values


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("expected a message")
    return value
