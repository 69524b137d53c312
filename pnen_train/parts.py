"""Bytes too large for one file that can be carried or committed: parts beside it, and a list of them."""

import hashlib
import re
from pathlib import Path
from typing import Any

from pnen_runtime.errors import CheckpointError
from pnen_runtime.files import write_bytes

LARGEST = 8_000_000  # bytes of a file
SUFFIX = ".part"


def write_parts(path: Path, data: bytes) -> dict[str, Any]:
    """Write `data` beside `path` in files of at most LARGEST bytes; the list by which `read_parts` finds them.

    Their names hold a digest, so those that an older list names stay until `drop_parts`.
    """
    digest = hashlib.sha256(data).hexdigest()
    pieces = [data[start : start + LARGEST] for start in range(0, len(data), LARGEST)]
    names = [f"{path.name}.{digest[:8]}-{number}{SUFFIX}" for number in range(1, len(pieces) + 1)]
    for name, piece in zip(names, pieces, strict=True):
        write_bytes(path.with_name(name), piece)
    return {"names": names, "sha256": digest}


def read_parts(path: Path, listed: dict[str, Any]) -> bytes:
    """The bytes again; CheckpointError where a part is missing or is another's."""
    names = listed["names"]
    for name in names:
        if Path(name).name != name or not path.with_name(name).is_file():
            raise CheckpointError(f"{path}: expected {name} beside it, found none; copy all of {path.name}*")
    data = b"".join(path.with_name(name).read_bytes() for name in names)
    if hashlib.sha256(data).hexdigest() != listed.get("sha256"):
        raise CheckpointError(f"{path}: its parts are torn or of another step; copy all of {path.name}* again")
    return data


def drop_parts(path: Path, listed: dict[str, Any]) -> None:
    """Delete the parts of `path` that the list does not name."""
    own = re.compile(rf"{re.escape(path.name)}\.[0-9a-f]{{8}}-\d+{re.escape(SUFFIX)}")
    for part in path.parent.iterdir():
        if own.fullmatch(part.name) and part.name not in listed.get("names", ()):
            part.unlink(missing_ok=True)
