"""What a checkpoint says of itself, read without torch and without running anything that the file names."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from math import prod
from pathlib import Path
from typing import Any

from .errors import CheckpointError
from .schema import DEEPEST

LONGEST = 4_000_000  # bytes of the list of contents
MOST = 200_000  # values that are plain once every shared one is written out
LARGEST = 2**53  # of a whole number, and of the values of a tensor
PLAIN = (str, bool, float, type(None))


def _count(_storage: object, _offset: object, size: object, *_: object) -> int:
    """A tensor is how many values it has."""
    sides = size if isinstance(size, tuple) and len(size) <= 8 else ("none",)
    if not all(type(side) is int and 0 <= side <= LARGEST for side in sides):
        raise pickle.UnpicklingError("a tensor has no such shape")
    return min(prod(sides), LARGEST)


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _count,
}


class _Reader(pickle.Unpickler):
    """Takes plain values; of tensors their counts; of anything else nothing."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module == "torch" and name.endswith("Storage"):
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}"[:200])

    def persistent_load(self, pid: Any) -> Any:
        return None


def read_record(path: Path) -> tuple[str, int, dict[str, Any], int]:
    """Network, step, training record (plain values) and number of values of the weights.

    Raises CheckpointError where it is no checkpoint of ours; OSError where it cannot be read.
    """
    expected = f"{path}: expected a PNEN checkpoint as pnen-train writes it"
    whole = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if archive.getinfo(name).file_size > LONGEST:
                raise CheckpointError(f"{expected}, got a list of contents of more than {LONGEST // 1_000_000} MB")
            data = archive.read(name)
        for operation, argument, _ in pickletools.genops(data):
            if "PUT" in operation.name and isinstance(argument, int) and argument > len(data):
                raise pickle.UnpicklingError("it asks for more places than it has bytes")
        found = _Reader(io.BytesIO(data)).load()
        weights = found["weights"].values()
        values = min(LARGEST, sum(count for count in weights if type(count) is int))
        network, step, training = _plain([found["network"], found["step"], found["training"]], [MOST])
        if not (isinstance(network, str) and len(network) <= 100 and type(step) is int and isinstance(training, dict)):
            raise ValueError("network, step or training are of another kind")
        return network, step, training, values
    except CheckpointError:
        raise
    except Exception as error:  # broken data makes the reader raise nearly anything
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{expected}, got something else or a torn file ({reason})") from None


def _plain(found: Any, left: list[int], depth: int = 0) -> Any:
    """A copy of dictionaries, lists and plain values; ValueError where it is deeper or longer than ours are."""
    left[0] -= 1
    if depth > DEEPEST or left[0] < 0:
        raise ValueError("its record is too deep or too long")
    if isinstance(found, dict):
        if not all(isinstance(key, str) for key in found):
            raise ValueError("a key is no text")
        return {key: _plain(value, left, depth + 1) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [_plain(value, left, depth + 1) for value in found]
    if isinstance(found, PLAIN) or (type(found) is int and abs(found) <= LARGEST):
        return found
    raise ValueError(f"its record holds a {type(found).__name__}")
