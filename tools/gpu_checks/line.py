"""One line of the proof: a check of one subject, what it found, and the verdict."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pnen_runtime.errors import PnenError

if TYPE_CHECKING:
    from .lab import Lab

Figures = dict[str, Any]  # plain JSON; "rows" is a list of dictionaries, which becomes a table
PASS, FAIL, SKIP = "PASS", "FAIL", "SKIP"


class Wrong(Exception):
    """A check that failed, with what it had found until then."""

    def __init__(self, message: str, figures: Figures | None = None):
        super().__init__(message)
        self.figures = figures or {}


class Skipped(Exception):
    """A check that cannot be made here, and why."""


@dataclass(frozen=True)
class Subject:
    """What is checked: a network in one precision, on a backend, with device memory by an adapter."""

    stack: str  # one of `pnen_runtime.backends.BACKENDS`, or "cuda" for the memory and kernels alone
    network: str = ""  # "l0", "full", or "identity" where no package runs networks
    precision: str = ""
    target: str = "onnx"
    adapter: str = ""  # "pycuda" or "cuda-python"; empty: what the runtime takes
    sizes: str = ""  # "whole": an engine for whole images; empty: one for tiles

    def __str__(self) -> str:
        network = ".".join(filter(None, (self.network, "ort" if self.target == "ort" else "", self.precision)))
        return " ".join(filter(None, (self.stack, network, self.sizes, self.adapter)))


Check = Callable[["Lab", Subject], Figures]


@dataclass(frozen=True)
class Line:
    """A check of one subject; one that takes far longer than `seconds` is ended."""

    check: Check
    subject: Subject
    seconds: float  # about

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
