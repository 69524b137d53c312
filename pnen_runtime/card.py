"""The model card: what a model file is, how it was made, and what it takes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from textwrap import shorten
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from .border import Border
from .errors import EngineError
from .schema import Count, Digest, Line, Mismatch, Side, conform, read_json

FORMAT = 1
KEY = "pnen"  # of the metadata of an ONNX file
TASKS = ("filter", "function", "targets", "noise", "scale")  # a card is of one of them
LIVE_MAPS = 13  # feature maps that PNEN holds at once, the concatenated scales among them


Features = Annotated[int, Meta(ge=1, le=65536)]
Size = tuple[Side, Side, Side]  # batch, height, width


@dataclass(frozen=True)
class _Config:
    """What is read of a network's settings; the rest is for whoever builds it."""

    channels: Features | None = None
    grid: Annotated[int, Meta(ge=1, le=64)] | None = None
    key_channels: Features | None = None
    scales: Annotated[list[Side], Meta(max_length=64)] | None = None


@dataclass(frozen=True)
class _Task:
    filter: Line | UnsetType = UNSET
    function: Line | UnsetType = UNSET  # a user's own filter, "module:function": a name, which nothing here imports
    noise: Annotated[float, Meta(gt=0, le=255)] | UnsetType = UNSET
    scale: Annotated[int, Meta(ge=2, le=8)] | UnsetType = UNSET


@dataclass(frozen=True)
class _Strength:
    least: Annotated[float, Meta(ge=0)]
    most: Annotated[float, Meta(ge=0)]
    default: float
    unit: Line
    scale: Literal["log", "linear"]

    def __post_init__(self) -> None:
        if not self.least <= self.default <= self.most:
            raise ValueError(f"expected least <= default <= most, got {self.least}, {self.default}, {self.most}")


@dataclass(frozen=True)
class _Gpu:
    name: Line
    compute_capability: Annotated[str, Meta(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$")]


@dataclass(frozen=True)
class _Options:
    hardware: Literal["this", "same-capability", "ampere+"] = "this"
    version_compatible: bool = False


@dataclass(frozen=True)
class _Built:
    plan_bytes: Count = 0
    plan_sha256: Digest = ""
    seconds: Annotated[float, Meta(ge=0)] = 0.0
    activation_bytes: list[Count] = field(default_factory=list)
    least_bytes: list[Count | None] = field(default_factory=list)  # where TensorRT's figure is too small or unsure
    attention_fused: list[bool | None] = field(default_factory=list)
    half_share: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Engine:
    flavour: Literal["tensorrt", "rtx"] = "tensorrt"
    version: Annotated[str, Meta(max_length=40)] = ""
    gpu: _Gpu | None = None
    profiles: Annotated[list[tuple[Size, Size, Size]], Meta(max_length=64)] | None = None
    options: _Options | None = None
    key_limit: Count | None = None
    build: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")] = (
        ""  # which build it is: the same in the plan and beside it
    )
    compute_capabilities: Annotated[list[Line], Meta(max_length=64)] | None = None
    built: _Built | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """Facts about one model file; kept as JSON inside an ONNX file and in the name of an engine.

    Everything in it must be plain JSON with finite numbers, so that other programs read it too. The annotations are
    the schema that `from_json` holds a file to.
    """

    network: Line
    # {"filter": "l0", "strength": 0.02, "kappa": 2.0}, {"noise": 25} (σ in levels), {"scale": 3}, {"function": "a:b"}
    task: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)  # settings of the network
    channels: Literal[1, 3] = 3  # grey or RGB
    training_crop: Side = 96  # pixels a side
    # of an adjustable model: its "least", "most" and "default", their "unit" and the "scale" ("log" or "linear")
    strength: dict[str, Any] = field(default_factory=dict)
    licence: Line = ""  # of the weights
    trained_on: Annotated[str, Meta(max_length=10_000)] = ""
    tile: Side | Literal["whole"] = 96  # recommended: pixels a side
    tile_step: Side = 40  # pixels from one tile to the next
    minimum_side: Side = 16  # pixels
    border: Border = ""  # how a picture goes on beyond its border, as it does for the filter that is imitated
    weights_sha256: Digest = ""
    graph_sha256: Digest = ""  # of the ONNX file without its metadata, as `onnx_check.graph_sha256` has it
    training: dict[str, Any] = field(default_factory=dict)  # record and scores
    precision: Literal["fp32", "fp16"] = "fp32"
    target: Literal["onnx", "ort"] = "onnx"  # "onnx" materialises attention scores on a CPU, "ort" does not
    live_maps: Annotated[int, Meta(ge=1, le=100_000)] = LIVE_MAPS  # feature maps held at once: a tile's memory
    max_logit: float | None = None  # largest attention score on real pictures
    parity: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)  # flavour, version, GPU, profiles, options; empty for ONNX
    format: int = FORMAT

    @property
    def grid(self) -> int:
        """Pixels a side of a place in the network's feature maps."""
        return int(self.config.get("grid") or 1)

    def to_json(self) -> str:
        """One line of JSON; ValueError where a number is not finite."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, where: str = "the file") -> Card:
        """Read a card; fields that a later version of the same format added are left out.

        Raises
        ------
        EngineError
            `text` is no card, of a format this version does not know, or a value is of another type or out of range.
            `where` names the file in the message.
        """
        try:
            found = read_json(text)
        except Mismatch:
            raise EngineError(f"{where}: the model card is not JSON; export the model again with pnen-export") from None
        if not isinstance(found, dict) or "format" not in found:
            raise EngineError(f"{where}: expected a PNEN model card, got other JSON; export it with pnen-export")
        if found["format"] != FORMAT:
            raise EngineError(
                f"{where}: the model card has format {shorten(repr(found['format']), 40)}, this version reads "
                f"{FORMAT}; upgrade pnen or export the model again"
            )
        for needed in ("network", "task"):
            if needed not in found:
                raise EngineError(f"{where}: the model card lacks {needed!r}; export it again with pnen-export")
        part = ""
        try:
            card = conform(found, cls)
            if len(kinds := [kind for kind in TASKS if kind in card.task]) > 1:
                raise Mismatch(f"task = {' and '.join(kinds)}: expected one of them")
            for part, kind in (("config", _Config), ("task", _Task), ("engine", _Engine), ("strength", _Strength)):
                if found.get(part):
                    conform(found[part], kind)
            part = ""
            if card.tile != "whole" and card.tile < card.minimum_side:
                raise Mismatch(f"tile = {card.tile}: expected int >= minimum_side, {card.minimum_side}")
        except Mismatch as error:
            place = f"{part}.{error}" if part else str(error)
            raise EngineError(
                f"{where}: the model card says {place}; export the model again with pnen-export"
            ) from None
        return card
