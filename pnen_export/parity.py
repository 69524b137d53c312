"""Proof that an exported file or an engine computes what the PyTorch model computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from pnen_runtime.errors import ParityError

from .inputs import Input

if TYPE_CHECKING:
    from torch import nn

Run = Callable[..., np.ndarray]  # (B, C, H, W) float32, for adjustable networks (B, 1, H, W) too → the first's shape
Ran = Callable[[int, int], None]  # batches run, batches in all

# Against the PyTorch model in FP32, values in [0, 1]; NaN and Inf never pass.
FP32_MAX_ABS = 1e-4
FP16_MAX_ABS, FP16_PSNR, FP16_LEVELS = 2 / 255, 60.0, 0.999  # the last: share of uint8 values at most one level off


@dataclass(frozen=True)
class Row:
    """How one input came out."""

    input: str
    size: str
    max_abs: float  # infinite where a value is not finite
    psnr: float  # dB, peak 1, at most 200
    within_one_level: float  # share of the uint8 values
    passed: bool
    strength: str = ""  # of an adjustable network


class Mismatch(ParityError):
    """A file, or a simulation of it, is not what PyTorch computes; `rows` say where."""

    def __init__(self, message: str, name: str, rows: list[Row]):
        super().__init__(message)
        self.name, self.rows = name, rows


class Reference:
    """What is right for every input, computed once: by PyTorch, or by what `source` names."""

    def __init__(self, run: Run, inputs: Sequence[Input], ran: Ran = lambda *_: None, source: str = "PyTorch in FP32"):
        self.inputs, self.source = list(inputs), source
        self.expected = _results(run, self.inputs, ran)
        for given, expected in zip(inputs, self.expected, strict=True):
            if not np.isfinite(expected).all():
                raise ParityError(
                    f"the network itself gives values that are not finite in {source} ({given.kind} {given.size}); "
                    "take an earlier checkpoint"
                )

    def compare(self, run: Run, precision: str, ran: Ran = lambda *_: None) -> list[Row]:
        """One row for each input, `run` against what is right."""
        return [
            replace(compare(found, expected, precision, given.kind, given.size), strength=given.strength)
            for given, found, expected in zip(self.inputs, _results(run, self.inputs, ran), self.expected, strict=True)
        ]

    def in_batches(self, at_once: Callable[[int, int], int]) -> Reference:
        """The same in batches of `at_once(height, width)`; inputs of which it says 0 are left out."""
        part = copy(self)
        part.inputs, part.expected = [], []
        for given, expected in zip(self.inputs, self.expected, strict=True):
            images = [[half[n : n + 1] for half in whole] for whole in given.given for n in range(len(whole[0]))]
            same = [list(group) for _, group in groupby(images, key=lambda image: image[0].shape)]
            most = [at_once(*group[0][0].shape[2:]) for group in same]
            if all(most):
                batches, *maps = (
                    [
                        np.concatenate([image[half] for image in group[first : first + count]])
                        for group, count in zip(same, most, strict=True)
                        for first in range(0, len(group), count)
                    ]
                    for half in range(len(images[0]))
                )
                part.inputs.append(replace(given, batches=batches, maps=[one for halves in maps for one in halves]))
                part.expected.append(expected)
        return part


def _results(run: Run, inputs: list[Input], ran: Ran) -> list[np.ndarray]:
    """All values of each input."""
    done, total = 0, sum(len(given.batches) for given in inputs)
    results = []
    for given in inputs:
        parts = []
        for batch in given.given:
            parts.append(run(*batch).ravel())
            ran(done := done + 1, total)
        results.append(np.concatenate(parts))
    return results


def compare(result: np.ndarray, expected: np.ndarray, precision: str, kind: str = "", size: str = "") -> Row:
    """Values of the same shape against the tolerance of this precision."""
    if not (np.isfinite(result).all() and np.isfinite(expected).all()):
        return Row(kind, size, float("inf"), -float("inf"), 0.0, False)
    error = np.abs(result.astype(np.float64) - expected)
    largest, psnr = float(error.max()), float(-10 * np.log10(max(np.mean(error**2), 1e-20)))
    levels = [np.rint(np.clip(part, 0, 1) * 255) for part in (result, expected)]
    within = float(np.mean(np.abs(levels[0] - levels[1]) <= 1))
    if precision == "fp32":
        passed = largest <= FP32_MAX_ABS
    else:
        passed = largest <= FP16_MAX_ABS and psnr >= FP16_PSNR and within >= FP16_LEVELS
    return Row(kind, size, largest, psnr, within, passed)


def torch_run(model: nn.Module) -> Run:
    """A PyTorch network as a function of arrays; its last image where it gives several."""
    import torch  # here, since engines are compared where there is no torch

    @torch.inference_mode()
    def run(*given: np.ndarray) -> np.ndarray:
        images = model(*map(torch.from_numpy, given))
        return (images[-1] if isinstance(images, tuple) else images).float().numpy()

    return run


def report(rows: list[Row]) -> dict[str, Any]:
    """The worst figures of all rows, for a model card."""
    return {
        "max_abs": max(row.max_abs for row in rows),
        "psnr": min(row.psnr for row in rows),
        "within_one_level": min(row.within_one_level for row in rows),
    }


def require(rows: list[Row], name: str, precision: str) -> None:
    """Raise Mismatch, which names the worst input, unless every row passed."""
    failed = [row for row in rows if not row.passed]
    if not failed:
        return
    worst = max(failed, key=lambda row: row.max_abs)
    at = f" at strength {worst.strength}" if worst.strength else ""
    found = f"is off by up to {worst.max_abs:.2g}, {worst.psnr:.1f} dB"
    if not np.isfinite(worst.max_abs):
        found = "gives values that are not finite"
    tolerance = f"{FP32_MAX_ABS:g}" if precision == "fp32" else f"{FP16_MAX_ABS:.2g} and {FP16_PSNR:g} dB"
    advice = {
        "fp32": "report it, or train longer if its pictures are far outside [0, 1]",
        "fp16": "export it in FP32, or train with smaller weights",
    }[precision]
    raise Mismatch(
        f"{name}: {len(failed)} of {len(rows)} inputs miss the tolerance of {tolerance} against PyTorch; the worst, "
        f"{worst.input} {worst.size}{at}, {found}. It was not written; {advice}",
        name,
        rows,
    )
