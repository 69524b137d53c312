"""What is right, in few bytes: pictures as levels, results as differences to 2⁻²⁰, and nothing twice."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np

from pnen_export.inputs import Input
from pnen_export.parity import Reference

UNIT = 2.0**-20  # of results: half of it is 1/200 of the tolerance of FP32


def write_reference(path: Path, reference: Reference) -> None:
    """Inputs exactly, results within UNIT / 2."""
    arrays: dict[str, np.ndarray] = {}

    def stored(array: np.ndarray) -> str:
        name = sha256(f"{array.dtype} {array.shape}".encode() + array.tobytes()).hexdigest()
        arrays[name] = array
        return name

    index = [
        {"kind": given.kind, "size": given.size, "strength": given.strength, "expected": stored(differences(expected)),
         "images": [stored(as_levels(batch)) for batch in given.batches], "maps": [stored(map) for map in given.maps]}
        for given, expected in zip(reference.inputs, reference.expected, strict=True)
    ]  # fmt: skip
    np.savez_compressed(path, index=np.frombuffer(json.dumps(index).encode(), np.uint8), **arrays)  # type: ignore[arg-type]


def read_reference(path: Path) -> Reference:
    """What `write_reference` wrote."""
    inputs, results = [], []
    with np.load(path) as arrays:
        for row in json.loads(arrays["index"].tobytes()):
            images, maps = [from_levels(arrays[name]) for name in row["images"]], [arrays[name] for name in row["maps"]]
            inputs.append(Input(row["kind"], row["size"], images, row["strength"], maps))
            expected = from_differences(arrays[row["expected"]])
            results += np.split(expected, np.cumsum([batch.size for batch in images])[:-1])
    following = iter(results)
    return Reference(lambda *_given: next(following), inputs)


def as_levels(batch: np.ndarray) -> np.ndarray:
    """8-bit where the batch is made of such, otherwise the batch."""
    levels = np.rint(batch * 255).astype(np.uint8)
    return levels if np.array_equal(from_levels(levels), batch) else batch


def from_levels(stored: np.ndarray) -> np.ndarray:
    return stored if stored.dtype == np.float32 else stored.astype(np.float32) / np.float32(255)


def differences(values: np.ndarray) -> np.ndarray:
    """From value to value, in units, as four planes of bytes: neighbours are alike, and the upper planes empty."""
    steps = np.diff(np.rint(values.astype(np.float64) / UNIT).astype(np.int32), prepend=np.int32(0))
    return np.ascontiguousarray((steps << 1 ^ steps >> 31).astype("<i4").view(np.uint8).reshape(-1, 4).T)


def from_differences(planes: np.ndarray) -> np.ndarray:
    folded = np.ascontiguousarray(planes.T).view("<u4").ravel().astype(np.int64)
    return (np.cumsum(folded >> 1 ^ -(folded & 1)) * UNIT).astype(np.float32)
