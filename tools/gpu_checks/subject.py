"""What a check is about, and how it says that something is wrong or that it cannot be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]  # plain JSON; "rows" is a list of dictionaries, which becomes a table


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
