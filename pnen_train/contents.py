"""What a checkpoint may hold, and how much: looked at before anything is built of it."""

import io
import math
import zipfile
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from msgspec import Meta

from pnen_runtime.schema import DEEPEST, Count, Mismatch, Side, conform

MOST_VALUES = 1_000_000  # plain values and tensors; ours have thousands
KINDS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)  # int64: BatchNorm counts batches


@dataclass(frozen=True)
class Record:
    """Of `training`, what the rest of the project reads by name."""

    task: dict[str, Any] = field(default_factory=dict)
    crop: Side = 96
    tile: Side | Literal["whole"] = 96
    tile_step: Side = 80


@dataclass(frozen=True)
class Parts:
    """Where the bulk of a large file is: names of files beside it, and the digest of their bytes."""

    names: Annotated[list[Annotated[str, Meta(min_length=1, max_length=255)]], Meta(min_length=1, max_length=10_000)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Rates:
    """The state of a schedule."""

    factor: Annotated[float, Meta(ge=0, le=1)] = 1.0
    best: float = math.inf
    bad_epochs: Count = 0
    total: float = 0.0
    finished: bool = False


@dataclass(frozen=True)
class Resume:
    """What a run goes on from, but for the state of the optimiser."""

    recipe: str | None = None
    images: str | None = None
    best: float = -math.inf
    seconds: Annotated[float, Meta(ge=0)] = 0.0
    losses: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    threads: Annotated[int, Meta(ge=1, le=65536)] = 1
    schedule: Rates = Rates()


@dataclass(frozen=True)
class Contents:
    """A whole checkpoint, but for the weights."""

    network: Annotated[str, Meta(max_length=100)]
    config: dict[str, Any]
    weights: dict[str, Any]
    step: Count
    training: dict[str, Any]
    resume: dict[str, Any] = field(default_factory=dict)


def check_archive(data: bytes) -> None:
    """Mismatch unless it is a zip file that does not grow when it is opened."""
    try:
        inside = sum(entry.file_size for entry in zipfile.ZipFile(io.BytesIO(data)).infolist())
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError) as error:
        raise Mismatch(f"no zip file ({error})") from None
    if inside > len(data):
        raise Mismatch(f"{len(data):,} bytes become {inside:,}")


def check_contents(found: dict[str, Any], size: int) -> None:
    """Mismatch where a part is of another kind, out of range, endless, or larger than a file of `size` bytes holds."""
    _check_plain(found, 0, [0])
    conform(found, Contents)
    for name, kind in (("training", Record), ("resume", Resume)):
        try:
            conform(found.get(name, {}), kind)
        except Mismatch as error:
            raise Mismatch(f"{name}.{error}") from None
    if listed := found.get("resume", {}).get("parts"):
        conform(listed, Parts)
    check_tensors(found["weights"], size)


def check_tensors(weights: dict[str, torch.Tensor], size: int) -> None:
    """Mismatch where a weight is no dense array of numbers that lies in the file, value by value."""
    total = 0
    for name, weight in weights.items():
        if not isinstance(weight, torch.Tensor):
            raise Mismatch(f"its weights are not all tensors ({name[:60]!r})")
        if weight.is_meta or weight.layout is not torch.strided or weight.dtype not in KINDS or weight.is_quantized:
            raise Mismatch(f"weight {name[:60]!r} is no dense array of real numbers")
        held = weight.untyped_storage().nbytes()
        if weight.numel() * weight.element_size() > held:
            raise Mismatch(f"weight {name[:60]!r} claims {weight.numel():,} values and holds fewer")
        total += weight.numel() * weight.element_size()
    if total > 4 * size:  # some share their values
        raise Mismatch(f"its weights claim {total:,} bytes of a file of {size:,}")


def _check_plain(found: Any, level: int, seen: list[int]) -> None:
    """Count every value as often as it is met: shared lists are met 2^40 times, and one that holds itself for ever."""
    seen[0] += 1
    if level > DEEPEST or seen[0] > MOST_VALUES:
        raise Mismatch(f"more than {MOST_VALUES:,} values, or {DEEPEST} inside each other")
    if isinstance(found, dict):
        for key, value in found.items():
            if type(key) not in (str, int):
                raise Mismatch(f"a key of type {type(key).__name__}")
            _check_plain(value, level + 1, seen)
    elif isinstance(found, (list, tuple)):
        for value in found:
            _check_plain(value, level + 1, seen)
    elif not (found is None or isinstance(found, (str, bool, int, float, torch.Tensor))):
        raise Mismatch(f"a value of type {type(found).__name__}")
