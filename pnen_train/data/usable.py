"""Pictures that will not do: all of them named at once, before anything is made of the others."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from pnen_runtime.errors import PnenError, UsageError

from ..parallel import Progress, in_parallel

NAMED = 10  # at most
HINT = "; take it out"  # what an error about one picture may end with
log = logging.getLogger("pnen")


def usable(
    paths: Sequence[Path],
    check: Callable[[Path], object],
    *,
    skip: bool = False,
    remedy: str = "",
    progress: Progress | None = None,
) -> list[Path]:
    """The pictures that pass a check, which raises PnenError for one that does not.

    Where some do not, up to `NAMED` of them are named with their reasons, and how many there are: in an error of the
    first one's kind, to which `remedy` is added, or where they are to be skipped in a warning.
    """

    def fault(path: Path) -> PnenError | None:
        try:
            check(path)
        except PnenError as error:
            return error
        return None

    faults = list(in_parallel(fault, paths, progress))
    bad = [found for found in faults if found is not None]
    if not bad:
        return list(paths)
    named = "; ".join(str(error).removesuffix(HINT) for error in bad[:NAMED])
    named += f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    if not skip:
        told = "" if len(bad) == 1 else f"{len(bad)} of {len(paths)} pictures will not do: "
        raise type(bad[0])(f"{told}{named}; take {'it' if len(bad) == 1 else 'them'} out{remedy}")
    log.warning("left out %d of %d pictures: %s", len(bad), len(paths), named)
    good = [path for path, found in zip(paths, faults, strict=True) if found is None]
    if not good:
        raise UsageError(f"expected pictures, got {len(bad)} of which none will do")
    return good
