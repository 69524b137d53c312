"""What happens to good files: bits flip, pieces go, come twice or change places, fields hold what they should not."""

from __future__ import annotations

import copy
import json
import struct
import zlib
from random import Random
from typing import Any

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
PIECE = 40  # bytes at most that go, come or change at once, but for cuts


class Draw(Random):
    """Everything random in one case; of a `whole` one nothing is damaged."""

    whole = False


class Raw(str):
    """A text that stands in TOML or JSON as it is, without quotes."""


ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 63, 64, 65, 1000, 65535, 65537, 2**31, -(2**31), 2**40, 2**63, 2**64, 10**30,
    0.0, 0.5, -0.5, 1e-320, 1e308, -1e308, float("nan"), float("inf"), -float("inf"), "", "l0", "pnen", "none", "whole",
    "8", "é 猫", "\x1b[2J", "\0", "../../x", "x" * 5000, "%s{}", [], [0], [None], [[]], [1, 2, 3], ["a"], [2] * 70,
    [1e308] * 3, {}, {"a": 1}, {"": {}}, {"name": "pnen"}, {"scale": 2}, {"filter": "l0"}, {"format": 1},
)  # fmt: skip
RAW = tuple(map(Raw, ("[" * 3000 + "]" * 3000, "9" * 5000, "-9" + "9" * 30, "1e999", "NaN", "[1,", '{"a":', "'", '"',
                      "2020-01-01", "07:32:00", "0x" + "f" * 5000, "\\u0000", '"\\ud800"', "nul", "--1")))  # fmt: skip


def damaged_bytes(data: bytes, draw: Draw) -> bytes:
    """The same bytes with one to three faults; of a whole case the same."""
    if draw.whole:
        return data
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        _break(found, draw)
    return bytes(found)


def _break(data: bytearray, draw: Draw) -> None:
    place = draw.randrange(len(data) + 1)
    if draw.random() < 0.5:  # heads hold what matters
        place = min(place, draw.randrange(1, 200))
    length = draw.randrange(1, PIECE)
    way = draw.choice(("flip", "flip", "flip", "number", "number", "bytes", "drop", "insert", "twice", "cut", "swap"))
    if way == "flip" and place < len(data):
        data[place] ^= 1 << draw.randrange(8)
    elif way == "number":
        form = draw.choice("<>") + draw.choice("BHI")
        size = struct.calcsize(form)
        data[place : place + size] = struct.pack(form, draw.choice(EXTREMES) & (1 << 8 * size) - 1)
    elif way == "bytes":
        data[place : place + length] = draw.choice((bytes(length), b"\xff" * length, draw.randbytes(length)))
    elif way == "drop":
        del data[place : place + length]
    elif way == "insert":
        data[place:place] = draw.choice((bytes(length), draw.randbytes(length)))
    elif way == "twice":
        data[place:place] = data[place : place + length]
    elif way == "cut":
        del data[place:]
    elif way == "swap":
        other = draw.randrange(len(data) + 1)
        data[place : place + length], data[other : other + length] = (
            data[other : other + length], data[place : place + length]
        )  # fmt: skip


def _copied(value: Any) -> Any:
    """Dictionaries and lists anew; what they hold, maybe tensors, is replaced by damage and never changed in place."""
    if not isinstance(value, dict | list):
        return value
    found = copy.copy(value)
    for key in found if isinstance(found, dict) else range(len(found)):
        found[key] = _copied(found[key])
    return found


def damaged_value(value: Any, draw: Draw) -> Any:
    """A copy of nested dictionaries and lists in which one or two fields are odd, gone, renamed or too many."""
    found = _copied(value)
    if not draw.whole:
        for _ in range(draw.choice((1, 1, 2))):
            found = _odd(found, draw)
    return found


def _odd(found: Any, draw: Draw) -> Any:
    if not (isinstance(found, (dict, list)) and found) or draw.random() < 0.15:
        return _instead_of(found, draw)
    key = draw.choice(list(found)) if isinstance(found, dict) else draw.randrange(len(found))
    way = draw.choice(("go in", "go in", "go in", "go in", "drop", "another", "rename"))
    if way == "drop":
        del found[key]
    elif way == "rename" and isinstance(found, dict):
        found[str(key) + draw.choice(("x", "\0", " "))] = found.pop(key)
    elif way == "another" and isinstance(found, dict):
        found[draw.choice(("new", "", "name", "é", *map(str, found)))] = _anything(draw)
    else:
        found[key] = _odd(found[key], draw)
    return found


def _instead_of(value: Any, draw: Draw) -> Any:
    if type(value) in (int, float) and draw.random() < 0.4:
        return draw.choice((value * 2, -value, value + 1, value - 1, float(value), str(value), [value], value * 1000))
    if isinstance(value, str) and draw.random() < 0.4:
        return draw.choice((value.upper(), value + "\0", value * 100, [value], value[:-1], " " + value))
    if isinstance(value, list) and draw.random() < 0.4:
        return draw.choice((value * 2, value[::-1], value[1:], [value], value * 100))
    return _anything(draw)


def _anything(draw: Draw) -> Any:
    return copy.deepcopy(draw.choice(ODD))


def as_json(value: Any, draw: Draw) -> bytes:
    """JSON of it, once in five with something in it that is no JSON, or with damaged bytes."""
    text = json.dumps(value)
    if not draw.whole and draw.random() < 0.1:
        text = text.replace(draw.choice((": 1", "null", "true", '"', "3", "{")), draw.choice(RAW), 1)
    data = text.encode()
    return damaged_bytes(data, draw) if draw.random() < 0.1 else data


def with_checksums(png: bytes) -> bytes:
    """A PNG file whose chunks have the checksums that fit, so that what is inside them is looked at."""
    data, place = bytearray(png), 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(data)
