"""What a `Smoother` runs, and what the bundled models are, in words."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

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

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        rows = "".join(f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in vars(self).items())
        return f"<table>{rows}</table>"


def describe_task(card: Card) -> str:
    """What the model does, with its settings or the range of its strength."""
    range_of, task = card.strength, dict(card.task)
    if noise := task.pop("noise", None):
        parts = [f"denoising in {'colour and grey' if task.pop('colour', False) else 'grey'}"]
        parts += [] if range_of else [f"σ {noise:g}"]
    elif scale := task.pop("scale", None):
        parts = [f"enlarging {scale} times"]
    elif folder := task.pop("targets", None):
        parts = [f"what the targets in {folder} show"]
    else:
        own, named = ("strength", "sigma") if range_of else (), ("filter", "function")
        parts = [str(value) if key in named else f"{key}={value}" for key, value in task.items()
                 if key not in ("strengths", "source", *own)]  # fmt: skip
    if range_of:
        least, most, usual = (range_of[end] for end in ("least", "most", "default"))
        auto = "; by default as much as the picture seems to have" if noise else f" (default {usual:g})"
        parts.append(f"{'σ' if noise else 'strength'} {least:g} to {most:g}{auto}")
    return ", ".join(parts) if noise else " ".join(parts)


def rows_of_models() -> list[dict[str, Any]]:
    """Of each bundled model its name, what it does, its size, what it was trained on and the licence of its weights."""
    rows = []
    for name in bundled_models():
        path = BUNDLED / f"{name}.onnx"
        card = read_onnx_card(path)
        licence = f"weights {card.licence}" if card.licence else card.training.get("licence", "licence unknown")
        rows.append({"model": name, "does": describe_task(card), "bytes": path.stat().st_size, "licence": licence,
                     "trained_on": card.trained_on})  # fmt: skip
    return rows


def list_models() -> str:
    """The same, a line for each."""
    return "\n".join(
        f"{row['model']:10} {row['does']}  {row['bytes'] / 1e6:.1f} MB  "
        + "; ".join(filter(None, [row["licence"], row["trained_on"]]))
        for row in rows_of_models()
    )
