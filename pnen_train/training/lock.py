"""One run at a time in a folder: a lock that the system releases when the process ends, however it does."""

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pnen_runtime.errors import UsageError

LOCK = ".lock"  # it names the process
BEYOND = 1 << 20  # the byte that Windows locks, and then lets nobody read
TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
log = logging.getLogger("pnen")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made; if it stays empty it goes again.

    UsageError where one is in it. A file system that knows no locks is warned of, and then nothing is kept out.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    file = _opened(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK).unlink()  # before it is let go of: whoever opened it meanwhile sees that it is gone
        file.close()
        with suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)  # Windows deletes none that is open
            for path in made:
                path.rmdir()


def _opened(folder: Path) -> BinaryIO:
    """The lock's file, locked."""
    path = folder / LOCK
    while True:
        file = path.open("a+b")
        try:
            _lock(file)
        except OSError as error:
            if error.errno not in TAKEN:
                log.warning("%s: its file system knows no locks (%s): see to it that no other run is in it", folder,
                            error.strerror)  # fmt: skip
                return file
            file.seek(0)
            other = file.read(20).decode(errors="replace").strip()
            file.close()
            who = f" (process {other})" if other else ""
            raise UsageError(f"{folder}: another pnen-train run is in this folder now{who}; wait until it has ended, "
                             "or choose another --out") from None  # fmt: skip
        with suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(0)
                file.write(b"%d\n" % os.getpid())
                file.flush()
                return file
        file.close()  # one that its last holder has just deleted


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(BEYOND)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
