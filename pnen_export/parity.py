"""Proof that an exported file computes what the PyTorch model computes."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pnen_runtime.errors import ParityError
from pnen_runtime.image import read_rgb, to_batch
from pnen_runtime.tiles import smooth_tiled

Run = Callable[[np.ndarray], np.ndarray]  # (B, C, H, W) float32 → the same shape
PHOTOGRAPH = Path(__file__).parent / "photograph.jpg"  # 481×321, from a NASA portrait in the public domain
SIZES = (1, 16, 16), (1, 37, 53), (1, 96, 96), (2, 61, 90)  # batch, height, width
TILED = "photograph in tiles"

# Against the PyTorch model in FP32, values in [0, 1]; NaN and Inf never pass.
FP32_MAX_ABS = 1e-4
FP16_MAX_ABS, FP16_PSNR, FP16_LEVELS = 2 / 255, 60.0, 0.999  # the last: share of uint8 values at most one level off


@dataclass(frozen=True)
class Row:
    """How one input came out."""

    input: str
    size: str  # batch×height×width
    max_abs: float
    psnr: float  # dB, peak 1
    within_one_level: float  # share of the uint8 values
    passed: bool


@cache
def photograph() -> np.ndarray:
    """(321, 481, 3) uint8."""
    return read_rgb(PHOTOGRAPH)


def make_input(kind: str, batch: int, height: int, width: int, channels: int) -> np.ndarray:
    """(B, C, H, W) float32 in [0, 1]: a photograph, or what breaks networks, attention and half precision first."""
    rows, columns = np.mgrid[:height, :width]
    shape = (batch, channels, height, width)
    match kind:
        case "photograph":
            crops = [photograph()[40 * b : 40 * b + height, 150 + 60 * b : 150 + 60 * b + width] for b in range(batch)]
            return to_batch(np.stack(crops))[:, :channels]
        case "flat":  # equal scores everywhere: the worst case of a half-precision softmax
            return np.full(shape, 0.5, np.float32)
        case "noise":
            return np.random.default_rng(0).random(shape, np.float32)
        case "checkerboard":
            return np.broadcast_to(((rows + columns) % 2).astype(np.float32), shape).copy()
        case "impulse":
            return np.broadcast_to(((rows == height // 2) & (columns == width // 3)).astype(np.float32), shape).copy()
    raise ValueError(kind)


INPUTS = ("photograph", "flat", "noise", "checkerboard", "impulse")


def compare(result: np.ndarray, expected: np.ndarray, precision: str, kind: str = "", size: str = "") -> Row:
    """One row of the table: float results of the same shape against the tolerance of this precision."""
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


class Reference:
    """The PyTorch model's own results on every input, computed once and kept."""

    def __init__(self, model: nn.Module, channels: int = 3, tile: int = 96, step: int = 80):
        self.cases: list[tuple[str, str, Callable[[Run], np.ndarray]]] = []
        for batch, height, width in SIZES:
            for kind in INPUTS:
                image = make_input(kind, batch, height, width, channels)
                self.cases.append((kind, f"{batch}x{height}x{width}", lambda run, image=image: run(image)))
        picture = photograph()[:, :, :channels].astype(np.float32) / 255
        self.cases.append((TILED, f"1x321x481 at {tile}/{step}", lambda run: smooth_tiled(run, picture, tile, step, channels=channels)))
        expected = torch_run(model)
        self.expected = [case(expected) for _, _, case in self.cases]

    def __len__(self) -> int:
        return len(self.cases)

    def check(self, run: Run, precision: str) -> Iterator[Row]:
        """Compare `run` on every input, one row after the other."""
        for (kind, size, case), expected in zip(self.cases, self.expected, strict=True):
            yield compare(case(run), expected, precision, kind, size)


def torch_run(model: nn.Module) -> Run:
    """A PyTorch network as a function of arrays; its last image where it gives several."""

    @torch.inference_mode()
    def run(batch: np.ndarray) -> np.ndarray:
        images = model(torch.from_numpy(batch))
        return (images[-1] if isinstance(images, tuple) else images).float().numpy()

    return run


def report(rows: list[Row], against: str) -> dict[str, Any]:
    """The rows as they stand in a model card."""
    return {"against": against, "max_abs": max(row.max_abs for row in rows), "psnr": min(row.psnr for row in rows),
            "within_one_level": min(row.within_one_level for row in rows), "rows": [asdict(row) for row in rows]}  # fmt: skip


def require(rows: list[Row], name: str, precision: str) -> None:
    """Raise ParityError, which names the worst input, unless every row passed."""
    failed = [row for row in rows if not row.passed]
    if failed:
        worst = max(failed, key=lambda row: row.max_abs)
        tolerance = f"{FP32_MAX_ABS:g}" if precision == "fp32" else f"{FP16_MAX_ABS:.4f} and {FP16_PSNR:g} dB"
        advice = "report it" if precision == "fp32" else "export in FP32, or train with smaller logits"
        raise ParityError(f"{name}: {len(failed)} of {len(rows)} inputs differ from PyTorch by more than {tolerance}; worst: {worst.input} "
                          f"{worst.size}, max {worst.max_abs:.2g}, {worst.psnr:.1f} dB. Nothing was written; {advice}")  # fmt: skip
