"""What is compared: the ways to run one network, and the sizes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pnen_runtime.card import Card
from pnen_runtime.errors import UsageError
from pnen_runtime.plan import plan_tiles
from pnen_runtime.tiles import starts

ANY_MEMORY = 10**15  # bytes: the tile is what the card recommends


@dataclass(frozen=True)
class Way:
    """A program that can run the network, in one precision."""

    key: str
    name: str
    program: str  # "torch", or one of `pnen_runtime.backends.BACKENDS`
    precision: str  # "fp32", "fp16" or "bf16"
    target: str = "ort"  # "onnx": on a CPU all scores are in memory
    compiled: bool = False

    @property
    def flavour(self) -> str | None:
        """What `make_engine` calls this TensorRT; None where the ONNX file is run as it is."""
        return {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}.get(self.program)


REFERENCE = Way("torch", "PyTorch FP32", "torch", "fp32")
WAYS = (
    REFERENCE,
    Way("torch-naive", "PyTorch FP32, naive attention", "torch", "fp32", "onnx"),
    Way("torch-bf16", "PyTorch BF16", "torch", "bf16"),
    Way("torch-bf16-compile", "PyTorch BF16, torch.compile", "torch", "bf16", compiled=True),
    Way("torch-fp16", "PyTorch FP16", "torch", "fp16"),
    Way("torch-fp16-compile", "PyTorch FP16, torch.compile", "torch", "fp16", compiled=True),
    Way("ort-cpu", "ONNX Runtime CPU, target ort", "onnxruntime-cpu", "fp32"),
    Way("ort-cpu-onnx", "ONNX Runtime CPU, target onnx", "onnxruntime-cpu", "fp32", "onnx"),
    Way("ort-cuda", "ONNX Runtime CUDA FP32", "onnxruntime-cuda", "fp32"),
    Way("ort-cuda-fp16", "ONNX Runtime CUDA FP16", "onnxruntime-cuda", "fp16"),
    Way("trt", "TensorRT FP32", "tensorrt", "fp32", "onnx"),
    Way("trt-fp16", "TensorRT FP16", "tensorrt", "fp16", "onnx"),
    Way("rtx-fp16", "TensorRT-RTX FP16", "tensorrt-rtx", "fp16", "onnx"),
)

SIZES = {  # (batch, height, width); batch 0 is an image, which goes through `Smoother`
    "1x96": (1, 96, 96),
    "8x96": (8, 96, 96),
    "32x96": (32, 96, 96),
    "321x481": (0, 321, 481),
    "500x400": (0, 400, 500),
    "720p": (0, 720, 1280),
    "1080p": (0, 1080, 1920),
    "12MP": (0, 3000, 4000),
}
QUICK = ("1x96", "8x96", "321x481")


@dataclass(frozen=True)
class Case:
    """One size in one setting: a batch, an image in tiles, or a whole image."""

    size: str
    setting: str  # "batch", "tiles" or "whole"
    shape: tuple[int, int, int]  # what the network takes at once at most: batch, height, width
    image: tuple[int, int]  # height, width; of a batch those of its shape
    step: int = 0  # from one tile to the next
    tiles: int = 1  # how often it takes that

    def __str__(self) -> str:
        batch, height, width = self.shape
        if self.setting == "batch":
            return f"{batch} tile{'s' * (batch > 1)} of {height}x{width}"
        pixels = f"{self.size} ({self.image[1]} x {self.image[0]} pixels)"
        return f"{pixels}, {self.tiles} tiles of {height} every {self.step}" if self.tiles > 1 else f"{pixels}, whole"


def make_cases(card: Card, names: list[str], whole: bool = True) -> list[Case]:
    """Every size in every setting that it has: images that are larger than the card's tile in tiles and, if asked
    for, whole."""
    cases = []
    for name in names:
        batch, height, width = read_size(name)
        if min(height, width) < card.minimum_side:
            raise UsageError(f"expected at least {card.minimum_side} pixels a side, got {name}")
        if batch:
            cases.append(Case(name, "batch", (batch, height, width), (height, width)))
            continue
        plan = plan_tiles(card, height, width, ANY_MEMORY)
        rows, columns = (len(starts(side, min(side, plan.tile), plan.step)) for side in (height, width))
        if rows * columns > 1:
            shape = (1, min(plan.tile, height), min(plan.tile, width))
            cases.append(Case(name, "tiles", shape, (height, width), plan.step, rows * columns))
        if whole or rows * columns == 1:
            cases.append(Case(name, "whole", (1, height, width), (height, width)))
    return cases


def read_size(text: str) -> tuple[int, int, int]:
    """A name of `SIZES`, HEIGHTxWIDTH for an image, or BATCHxHEIGHTxWIDTH."""
    if text in SIZES:
        return SIZES[text]
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){1,2}", text):
        raise UsageError(f"expected a size out of {', '.join(SIZES)}, HEIGHTxWIDTH or BATCHxHEIGHTxWIDTH, got {text!r}")
    sides = [int(side) for side in text.split("x")]
    batch, height, width = [0] * (3 - len(sides)) + sides
    return batch, height, width


def read_ways(text: str | None) -> list[Way]:
    """Ways by their keys, all without; the one that the others are compared with is always there, and first."""
    keys = {way.key: way for way in WAYS}
    wanted = [key.strip() for key in text.split(",")] if text else list(keys)
    for key in wanted:
        if key not in keys:
            raise UsageError(f"expected ways out of {', '.join(keys)}, got {key!r}")
    return [way for way in WAYS if way is REFERENCE or way.key in wanted]
