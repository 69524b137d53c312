"""Folders of the user's cache that nobody else can read or write: what lies there is run again."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from .files import user_cache, without_cache

KEPT = 32  # files of compiled kernels; the least recently used go first


def cache_folder(name: str) -> Path | None:
    """The folder `name` of our cache, for its owner alone; None where there can be none, and all must be made anew.

    What lies in a folder that others could write to is deleted. Where there can be none, a warning says so.
    """
    folder = user_cache(name)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix":
            found = folder.stat()
            if found.st_uid != os.getuid():
                without_cache(folder, "it belongs to somebody else")
                return None
            folder.chmod(0o700)
            if found.st_mode & 0o022:
                for file in folder.iterdir():
                    file.unlink()
    except OSError as error:
        without_cache(folder, error)
        return None
    return folder


def kernels_file(plan: bytes) -> Path | None:
    """Where what TensorRT-RTX compiles for this plan is kept: by the plan's digest, never beside the engine."""
    folder = cache_folder("kernels")
    if folder is None:
        return None
    for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
    return folder / f"{sha256(plan).hexdigest()}.kernels"
