"""What a `Smoother` runs, and what the bundled models are, in words."""

from __future__ import annotations

from dataclasses import dataclass

from .card import Card
from .models import BUNDLED, bundled_models
from .onnx_card import read_onnx_card


@dataclass(frozen=True)
class Info:
    """What a `Smoother` runs, and why; as text, one line."""

    model: str
    network: str
    task: str
    backend: str
    precision: str
    target: str
    tiles: str

    def __str__(self) -> str:
        what = f"{self.model}: {self.network} for {self.task}, {self.precision} ({self.target})"
        return f"{what} on {self.backend}; {self.tiles}"


def describe_task(card: Card) -> str:
    """What the model does, with its settings or the range of its strength."""
    range_of, own = card.strength, ("strength", "sigma") if card.strength else ()
    named = ("filter", "function")
    parts = [
        str(value) if key in named else f"{key}={value}"
        for key, value in card.task.items()
        if key not in ("strengths", "source", *own)
    ]
    if range_of:
        parts.append(f"strength {range_of['least']:g} to {range_of['most']:g} (default {range_of['default']:g})")
    return " ".join(parts)


def list_models() -> str:
    """A line for each bundled model: what it does, its size, what it was trained on and the licence of its weights."""
    lines = []
    for name in bundled_models():
        path = BUNDLED / f"{name}.onnx"
        card, size = read_onnx_card(path), path.stat().st_size
        licence = f"weights {card.licence}" if card.licence else card.training.get("licence", "licence unknown")
        rights = "; ".join(filter(None, [licence, card.trained_on]))
        lines.append(f"{name:10} {describe_task(card)}  {size / 1e6:.1f} MB  {rights}")
    return "\n".join(lines)
