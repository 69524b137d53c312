"""The process that tries damaged files, a line of JSON for each: it may crash, hang or run out of memory alone.

Usage: python -m reliability.worker KIND SEED FIRST LAST FOLDER [--whole], as `guard.Guard` calls it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from pnen_runtime.commands import Failure, printable
from pnen_runtime.errors import PnenError

from .damage import Draw
from .kinds import Trial, trial_of

MEMORY = 4 * 2**30  # bytes of data that a trial may take
FINE, TOO_LARGE, OUTSIDE = "fine", "too large", "outside"


def draw_of(kind: str, seed: int, case: int, whole: bool = False) -> Draw:
    """What is random in a case, the same whenever it is tried."""
    draw = Draw(f"{seed} {kind} {case}")
    draw.whole = whole
    return draw


def verdict(trial: Trial, draw: Draw) -> tuple[str, str]:
    """What became of a case, and in words why it is outside of the documented errors."""
    try:
        trial(draw)
    except PnenError as error:
        line = Failure(str(error), error.exit_code).message
        return f"exit code {error.exit_code}", "" if line else "a refusal without a word"
    except MemoryError:
        return TOO_LARGE, ""
    except OSError as error:
        if error.strerror and error.filename:  # one line that names the file, exit code 1
            return "exit code 1", ""
        return OUTSIDE, told(error)
    except Exception as error:
        return OUTSIDE, told(error)
    return FINE, ""


def told(error: Exception) -> str:
    """Type, message and the last place in our own source."""
    places = [place for place in traceback.extract_tb(error.__traceback__) if "site-packages" not in place.filename]
    last = places[-1]
    return f"{type(error).__name__}: {printable(str(error))[:120]} ({Path(last.filename).name}:{last.lineno})"


def main() -> None:
    kind, seed, first, last, folder, *whole = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)  # what C libraries say of broken files
    logging.getLogger("pnen").addHandler(logging.StreamHandler())
    warnings.simplefilter("ignore")
    _limit_memory()
    trial = trial_of(kind, Path(folder))

    def tell(*words: Any) -> None:
        print(json.dumps(words), file=answers, flush=True)

    tell("ready")
    for case in range(int(first), int(last)):
        tell(case, *verdict(trial, draw_of(kind, int(seed), case, bool(whole))))


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
