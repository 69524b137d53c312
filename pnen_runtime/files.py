"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONGEST_SUFFIX = 16  # bytes
TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")  # how names of files begin that are not whole yet
CACHE_SETTING = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"  # an environment variable
ABANDONED = 24 * 3600  # seconds after which nobody writes to one any more
log = logging.getLogger("pnen")
_told: set[Path] = set()


@contextmanager
def replace_when_done(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; it takes the place of `path` when the block ends well.

    The temporary name keeps a short suffix, since writers choose the format by it, and is no longer than names may be.
    A block that raises, or writes nothing, leaves `path` as it was and no temporary file. A file that is replaced
    hands on its mode, and owner and group where this user may give them; a new one has what the umask leaves.

    Raises
    ------
    OSError
        The folder is missing, is full, or may not be written to; `filename` is `path`, never the temporary name.
    """
    asked, path = path, Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(asked))
    if path.exists() and not path.is_file():  # replacing /dev/null would delete it
        raise OSError(errno.EINVAL, "not a regular file", str(asked))
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= LONGEST_SUFFIX else ""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp{suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        _hand_on(path, temporary)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.filename is None or os.path.basename(os.fspath(error.filename)) == temporary.name:
            error.filename, error.filename2 = str(asked), None  # a full disk does not say which file
        raise
    finally:
        with suppress(OSError):  # where nothing may be deleted, what failed before is what counts
            temporary.unlink(missing_ok=True)


def _hand_on(path: Path, temporary: Path) -> None:
    """Give a file the owner, group and mode of the one that it replaces; where there is none, nothing.

    A group that cannot be handed on would let another one in: it then gets what everybody gets. What a file system
    without owners and modes refuses is no failure.
    """
    try:
        before, now = path.stat(), temporary.stat()
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(before.st_mode)
    if os.name == "posix" and (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        try:
            os.chown(temporary, -1, before.st_gid)
        except OSError:
            mode = mode & 0o707 | (mode & 0o007) << 3
        with suppress(OSError):
            os.chown(temporary, before.st_uid, -1)
    with suppress(OSError):
        os.chmod(temporary, mode)


def is_file(path: Path) -> bool:
    """Whether there is a file; not where the system takes no such name, one that is too long among them."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def drop_abandoned(folder: Path) -> None:
    """Delete what processes that were killed left half written in `folder`; what is younger may still be written."""
    with suppress(OSError):
        for path in folder.iterdir():
            if TEMPORARY.match(path.name) and path.stat().st_mtime <= time.time() - ABANDONED:
                path.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write `data` to `path`, whole or not at all."""
    with replace_when_done(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def _sync_folder(folder: Path) -> None:
    """Make the new name outlive a power cut, where the system can open a folder and the user may read it."""
    if os.name == "posix":
        with suppress(PermissionError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def user_cache(name: str) -> Path:
    """The folder of this user in which things of one kind are kept; it need not be there.

    An account without a home has one in which nothing can be kept.
    """
    try:
        base = os.environ.get(CACHE_SETTING) or Path.home() / ("AppData/Local" if os.name == "nt" else ".cache")
    except RuntimeError:
        base = os.devnull
    return Path(base) / "pnen" / name


def without_cache(folder: Path, reason: OSError | str) -> None:
    """Warn, once for each folder, that nothing is kept there; the work goes on, and only its time is lost."""
    if folder not in _told:
        _told.add(folder)
        why = (reason.strerror or reason) if isinstance(reason, OSError) else reason
        log.warning("the cache %s cannot be written to (%s): going on without it, what is made is made anew each time; "
                    "%s=FOLDER chooses another", folder, why, CACHE_SETTING)  # fmt: skip
