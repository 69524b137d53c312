"""The model card: what a model file is, how it was made, and what it takes."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Literal

from .errors import EngineError

FORMAT = 1
KEY = "pnen"  # of the metadata of an ONNX file
LIVE_MAPS = 13  # feature maps that PNEN holds at once, the concatenated scales among them


@dataclass(frozen=True, kw_only=True)
class Card:
    """Facts about one model file; kept as JSON inside an ONNX file and in the name of an engine.

    Everything in it must be plain JSON with finite numbers, so that other programs read it too.
    """

    network: str
    task: dict[
        str, Any
    ]  # {"filter": "l0", "strength": 0.02, "kappa": 2.0}, {"noise": 25} (σ in levels) or {"scale": 3}
    config: dict[str, Any] = field(default_factory=dict)  # settings of the network
    channels: int = 3  # 1 grey or 3 RGB
    training_crop: int = 96  # pixels a side
    # of an adjustable model: its "least", "most" and "default", their "unit" and the "scale" ("log" or "linear")
    strength: dict[str, Any] = field(default_factory=dict)
    licence: str = ""  # of the weights
    trained_on: str = ""
    tile: int | Literal["whole"] = 96  # recommended: pixels a side
    tile_step: int = 40  # pixels from one tile to the next
    minimum_side: int = 16  # pixels
    weights_sha256: str = ""
    training: dict[str, Any] = field(default_factory=dict)  # record and scores
    precision: Literal["fp32", "fp16"] = "fp32"
    target: Literal["onnx", "ort"] = "onnx"  # "onnx" materialises attention scores on a CPU, "ort" does not
    live_maps: int = LIVE_MAPS  # feature maps held at once: what one tile takes in memory
    max_logit: float | None = None  # largest attention score on real pictures
    parity: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)  # flavour, version, GPU, profiles, options; empty for ONNX
    format: int = FORMAT

    def to_json(self) -> str:
        """One line of JSON; ValueError where a number is not finite."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, where: str = "the file") -> Card:
        """Read a card; fields that a later version of the same format added are left out.

        Raises
        ------
        EngineError
            `text` is no card, or of a format this version does not know. `where` names the file in the message.
        """
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise EngineError(f"{where}: the model card is not JSON; export the model again with pnen-export") from None
        if not isinstance(found, dict) or "format" not in found:
            raise EngineError(f"{where}: expected a PNEN model card, got other JSON; export it with pnen-export")
        if found["format"] != FORMAT:
            raise EngineError(
                f"{where}: the model card has format {found['format']!r}, this version reads {FORMAT}; "
                "upgrade pnen or export the model again"
            )
        for entry in fields(cls):
            if entry.name not in found:
                if entry.default is MISSING and entry.default_factory is MISSING:
                    raise EngineError(f"{where}: the model card lacks {entry.name!r}; export it again with pnen-export")
            elif not _allowed(entry.name, found[entry.name]):
                raise EngineError(
                    f"{where}: the model card says {entry.name} = {found[entry.name]!r}, expected "
                    f"{_EXPECTED[entry.name]}; export the model again with pnen-export"
                )
        return cls(**{entry.name: found[entry.name] for entry in fields(cls) if entry.name in found})


_EXPECTED = {
    "network": "text",
    "task": "an object",
    "config": "an object",
    "channels": "1 or 3",
    "training_crop": "a number of pixels",
    "strength": "an object",
    "licence": "text",
    "trained_on": "text",
    "tile": 'a number of pixels or "whole"',
    "tile_step": "a number of pixels",
    "minimum_side": "a number of pixels",
    "weights_sha256": "text",
    "training": "an object",
    "precision": '"fp32" or "fp16"',
    "target": '"onnx" or "ort"',
    "live_maps": "a positive number",
    "max_logit": "a number or null",
    "parity": "an object or a list",
    "engine": "an object",
    "format": "a whole number",
}


def _allowed(name: str, value: object) -> bool:
    """Whether `value` is what `_EXPECTED` says of the field."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    positive = number and isinstance(value, int) and value > 0
    return {
        "text": isinstance(value, str),
        "an object": isinstance(value, dict),
        "an object or a list": isinstance(value, (dict, list)),
        "a number or null": value is None or number,
        "a number of pixels": positive,
        "a positive number": positive,
        'a number of pixels or "whole"': positive or value == "whole",
        "a whole number": number,
        "1 or 3": number and value in (1, 3),
        '"fp32" or "fp16"': value in ("fp32", "fp16"),
        '"onnx" or "ort"': value in ("onnx", "ort"),
    }[_EXPECTED[name]]
