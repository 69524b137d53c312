"""One line of the proof: a check of one subject, what it found, and the verdict."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from pnen_runtime.errors import PnenError

from .lab import Lab
from .subject import Figures, Skipped, Subject, Wrong

PASS, FAIL, SKIP = "PASS", "FAIL", "SKIP"
Check = Callable[[Lab, Subject], Figures]


@dataclass(frozen=True)
class Line:
    """A check of one subject; one that takes far longer than `seconds` is ended."""

    check: Check
    subject: Subject
    seconds: float  # about
    minutes: int = 30  # of the smallest proof that has it

    def __str__(self) -> str:
        return f"{self.subject}: {self.check.__name__.replace('_', ' ')}"


@dataclass(frozen=True)
class Outcome:
    """What became of a line."""

    line: str
    verdict: str
    reason: str = ""
    figures: Figures = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def perform(line: Line, lab: Lab) -> Outcome:
    """The outcome of a check, whatever it raises."""
    begin = time.perf_counter()
    verdict, reason, figures = PASS, "", {}
    try:
        figures = line.check(lab, line.subject)
    except Skipped as error:
        verdict, reason = SKIP, str(error)
    except Wrong as error:
        verdict, reason, figures = FAIL, str(error), error.figures
    except PnenError as error:
        verdict, reason = FAIL, f"{type(error).__name__}: {error}"
    except Exception as error:
        verdict, reason = FAIL, f"{type(error).__name__}: {error}"
        figures = {"traceback": traceback.format_exc()}
    return Outcome(str(line), verdict, " ".join(reason.split()), figures, round(time.perf_counter() - begin, 2))
