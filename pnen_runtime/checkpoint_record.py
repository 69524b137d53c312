"""What a checkpoint says of itself, read without torch and without running anything that the file names."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from math import prod
from pathlib import Path
from typing import Any

from .errors import CheckpointError

LONGEST = 16_000_000  # bytes of the list of contents
ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): lambda _storage, _offset, size, *_: prod(size),  # a tensor is its count
}


class _Reader(pickle.Unpickler):
    """Takes plain values; of tensors their counts; of anything else nothing."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module == "torch" and name.endswith("Storage"):
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return None


def read_record(path: Path) -> tuple[str, int, dict[str, Any], int]:
    """Network, step, training record and number of values of its weights.

    Raises CheckpointError where it is no checkpoint of ours; OSError where it cannot be read.
    """
    expected = f"{path}: expected a PNEN checkpoint as pnen-train writes it"
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if archive.getinfo(name).file_size > LONGEST:
                raise CheckpointError(f"{expected}, got a list of contents of more than {LONGEST // 1_000_000} MB")
            found = _Reader(io.BytesIO(archive.read(name))).load()
        values = sum(count for count in found["weights"].values() if isinstance(count, int))
        return str(found["network"]), int(found["step"]), dict(found["training"]), values
    except (OSError, CheckpointError, MemoryError):
        raise
    except Exception as error:  # broken data makes the reader raise nearly anything
        raise CheckpointError(f"{expected}, got something else or a torn file ({error})") from None
