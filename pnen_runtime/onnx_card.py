"""The model card of an ONNX file, read from its bytes: no package that knows ONNX is needed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from .card import KEY, Card
from .errors import EngineError

METADATA = 14  # number of `metadata_props` in ONNX's ModelProto, whose entries have a key (1) and a value (2)
LENGTH, SKIP = 2, {1: 8, 5: 4}  # wire types of protocol buffers: text and messages; bytes of those of fixed size
LONGEST = 2**24  # bytes of an entry


def read_onnx_card(path: Path) -> Card:
    """The card in the file; EngineError where there is none, or the file is no ONNX model."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            while file.tell() < size:
                tag = _number(file)
                if (tag >> 3, tag & 7) == (METADATA, LENGTH):
                    entry = _entry(file.read(min(_number(file), LONGEST)))
                    if entry.get(1) == KEY.encode():
                        return Card.from_json(entry.get(2, b"").decode(), str(path))
                else:
                    _skip(file, tag & 7)
    except (ValueError, EOFError):  # UnicodeDecodeError is one of the former
        raise EngineError(f"{path}: expected an ONNX model, got something else or a torn file") from None
    raise EngineError(f"{path}: an ONNX model without a PNEN card; make it with pnen-export")


def _number(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("expected a number of at most 10 bytes")


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == 0:
        _number(file)
    elif kind == LENGTH:
        file.seek(_number(file), 1)
    elif kind in SKIP:
        file.seek(SKIP[kind], 1)
    else:
        raise ValueError(f"unknown wire type {kind}")


def _entry(data: bytes) -> dict[int, bytes]:
    """Texts of one message by their number."""
    file, found = io.BytesIO(data), {}
    while file.tell() < len(data):
        tag = _number(file)
        if tag & 7 == LENGTH:
            found[tag >> 3] = file.read(_number(file))
        else:
            _skip(file, tag & 7)
    return found
