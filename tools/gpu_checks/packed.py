"""ONNX files without the weights that another file has: they travel once, or with the repository."""

from __future__ import annotations

import json
import zlib
from base64 import b85decode, b85encode
from hashlib import sha256
from pathlib import Path

import numpy as np

from pnen_runtime.errors import PnenError
from pnen_runtime.files import replace_when_done
from pnen_runtime.models import BUNDLED

MAGIC = b"ONNX without weights\n"
SMALL = 256  # bytes; a weight that is smaller stays


def base_of(path: Path) -> Path:
    """Whose weights a network's files share: the bundled one's, or those of the first file in the folder."""
    name = path.name.split(".")[0] + ".onnx"
    return BUNDLED / name if (BUNDLED / name).is_file() else path.with_name(name)


def pack(data: bytes, weights: list[bytes], base: bytes, theirs: list[bytes]) -> bytes:
    """A file with these weights, as pieces of `base` with its own; halves of FP32 weights are known again."""
    places: dict[bytes, list[int | str]] = {}
    for kind in ("as half", "as it is"):
        for weight in theirs:
            if len(weight) >= SMALL:
                places[weight if kind == "as it is" else halves(weight)] = [base.find(weight), len(weight), kind]
    pieces: list[str | list[int | str]] = []
    done = 0
    for begin, weight in sorted((data.find(weight), weight) for weight in set(weights) & places.keys()):
        if begin >= done:  # zeros are found within other zeros
            pieces += [b85encode(data[done:begin]).decode(), places[weight]]
            done = begin + len(weight)
    pieces.append(b85encode(data[done:]).decode())
    return MAGIC + zlib.compress(json.dumps({"sha256": sha256(data).hexdigest(), "pieces": pieces}).encode(), 9)


def unpacked(path: Path) -> Path:
    """The ONNX file itself: this one, or in the folder `unpacked` beside it. PnenError where its base has changed."""
    packed = path.read_bytes()
    if not packed.startswith(MAGIC):
        return path
    record, whole = json.loads(zlib.decompress(packed[len(MAGIC) :])), path.parent / "unpacked" / path.name
    if not whole.is_file() or sha256(whole.read_bytes()).hexdigest() != record["sha256"]:
        data = unpack(record["pieces"], base_of(path).read_bytes())
        if sha256(data).hexdigest() != record["sha256"]:
            raise PnenError(f"{path}: expected the weights of {base_of(path)} as they were, got others; prepare again")
        whole.parent.mkdir(exist_ok=True)
        with replace_when_done(whole) as temporary:
            temporary.write_bytes(data)
    return whole


def unpack(pieces: list[str | list[int | str]], base: bytes) -> bytes:
    parts = []
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(b85decode(piece))
        else:
            begin, size, kind = piece
            weight = base[int(begin) : int(begin) + int(size)]
            parts.append(halves(weight) if kind == "as half" else weight)
    return b"".join(parts)


def halves(weight: bytes) -> bytes:
    """Little-endian FP32 values as FP16; nothing of what is too large for it."""
    with np.errstate(over="ignore"):
        return np.frombuffer(weight, "<f4").astype("<f2").tobytes() if len(weight) % 4 == 0 else b""
