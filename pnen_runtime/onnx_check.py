"""Looks at an ONNX file before any foreign parser does, which may crash, hang or read other files."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from .card import FORMAT, KEY
from .errors import EngineError
from .schema import Mismatch, read_json

# Field numbers of onnx.proto; they never change.
GRAPH, METADATA, FUNCTION = 7, 14, 25  # of a model
NODE, INITIALIZER, SPARSE = 1, 5, 15  # of a graph
FUNCTION_NODE = 7
OUTPUT, ATTRIBUTE = 2, 5  # of a node
TENSOR, SUBGRAPH, TENSORS, SUBGRAPHS = 5, 6, 10, 11  # of an attribute
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of a tensor
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # wire types


def graph_sha256(data: bytes) -> str:
    """Of all of an ONNX file but its metadata, in which the card is. ValueError or IndexError where it is torn."""
    digest = sha256()
    for number, _, raw in _parts(memoryview(data)):
        if number != METADATA:
            digest.update(raw)
    return digest.hexdigest()


def check_onnx(data: bytes, path: Path) -> None:
    """EngineError where the file is torn, was changed since its export, or holds what none of ours does.

    That is a node without outputs (which crashes TensorRT's parser), a graph inside the graph (which may run for
    ever), and weights in other files (which would be read from wherever the file says).
    """
    try:
        card = card_text(data)
        for number, value in fields(memoryview(data)):
            if number == GRAPH:
                _check_graph(message(value))
            elif number == FUNCTION:
                for inner, node in fields(message(value)):
                    if inner == FUNCTION_NODE:
                        _check_node(message(node))
        wanted = _digest_in(card)
        if wanted and wanted != graph_sha256(data):
            raise EngineError(f"{path} was damaged or changed since its export; write it again with pnen-export")
    except Refused as refused:
        raise EngineError(f"{path} {refused}, as no file of pnen-export does; it was not opened") from None
    except (ValueError, KeyError, IndexError):
        raise EngineError(f"{path} is truncated or no ONNX file; write it again with pnen-export") from None


class Refused(Exception):
    """What is wrong with a graph that can be read."""


def _check_graph(graph: memoryview) -> None:
    for number, value in fields(graph):
        if number == NODE:
            _check_node(message(value))
        elif number == INITIALIZER:
            _check_tensor(message(value))
        elif number == SPARSE:
            raise Refused("holds sparse weights")


def _check_node(node: memoryview) -> None:
    parts = list(fields(node))
    if not any(number == OUTPUT for number, _ in parts):
        raise Refused("holds a node without outputs")
    for number, attribute in parts:
        if number != ATTRIBUTE:
            continue
        for inner, value in fields(message(attribute)):
            if inner in (SUBGRAPH, SUBGRAPHS):
                raise Refused("holds a graph inside the graph")
            if inner in (TENSOR, TENSORS):
                _check_tensor(message(value))


def _check_tensor(tensor: memoryview) -> None:
    for number, value in fields(tensor):
        if number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0):
            raise Refused("keeps weights in other files")


def _digest_in(card: str) -> str:
    """The digest, "" where the card knows none; Refused where a card says nothing of it, since damage took it away."""
    try:
        found = read_json(card)
    except Mismatch:
        return ""
    if isinstance(found, dict) and found.get("format") == FORMAT and "graph_sha256" not in found:
        raise Refused("has a model card without graph_sha256")
    wanted = found.get("graph_sha256", "") if isinstance(found, dict) else ""
    return wanted if isinstance(wanted, str) else ""


def card_text(data: bytes) -> str:
    """The model card in the metadata of an ONNX file, "" without one; ValueError, IndexError or KeyError if torn."""
    text = ""
    for number, value in fields(memoryview(data)):
        if number == METADATA:
            entry = dict(fields(message(value)))
            if bytes(message(entry[1])).decode() == KEY:
                text = bytes(message(entry[2])).decode()
    return text


def fields(part: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of a protobuf message; ValueError or IndexError where it is torn."""
    for number, value, _ in _parts(part):
        yield number, value


def _parts(part: memoryview) -> Iterator[tuple[int, int | memoryview, memoryview]]:
    """Field numbers, values, and the bytes of both."""
    position = 0
    while position < len(part):
        begin = position
        tag, position = _varint(part, position)
        kind = tag & 7
        if kind == VARINT:
            value, position = _varint(part, position)
            yield tag >> 3, value, part[begin:position]
            continue
        if kind == LENGTH:
            size, position = _varint(part, position)
        else:
            size = {EIGHT_BYTES: 8, FOUR_BYTES: 4}[kind]
        if position + size > len(part):
            raise ValueError("truncated")
        yield tag >> 3, part[position : position + size], part[begin : position + size]
        position += size


def varints(packed: memoryview) -> list[int]:
    """The numbers of a packed field."""
    values, position = [], 0
    while position < len(packed):
        value, position = _varint(packed, position)
        values.append(value)
    return values


def message(value: int | memoryview) -> memoryview:
    """The bytes of a field that is no number; ValueError where it is one."""
    if isinstance(value, int):
        raise ValueError("expected a message")
    return value


def _varint(part: memoryview, position: int) -> tuple[int, int]:
    """The number that starts at `position`, and where it ends."""
    value = shift = 0
    while True:
        byte = part[position]
        value, shift, position = value | (byte & 127) << shift, shift + 7, position + 1
        if byte < 128:
            return value, position
        if shift > 63:
            raise ValueError("number too long")
