"""The settings that made a result, in an extended attribute of its file where the system has those (Linux)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .card import Card
from .saving import Saved

ATTRIBUTE = "user.pnen.made_with"


def made_with(model: str, card: Card, wanted: dict[str, Any], repeat: int, saved: Saved) -> str:
    """In words, what changes a result: `model` is its name or file, or a filter's with its option before it."""
    strength = wanted.get("strength", card.strength.get("default") if card.strength else None)
    if isinstance(strength, np.ndarray):
        strength = f"map {hashlib.sha256(strength.tobytes()).hexdigest()[:8]}"
    if card.network == card.task.get("filter"):  # a filter itself
        strength = next(iter(card.task[name] for name in ("strength", "sigma") if name in card.task), None)
    said = {"strength": strength, "mix": wanted["mix"] if wanted["mix"] != 1 else None, "detail": wanted.get("detail"),
            "repeat": repeat if repeat > 1 else None, "quality": saved.quality}  # fmt: skip
    words = [f"{name} {value:g}" if isinstance(value, (int, float)) else f"{name} {value}"
             for name, value in said.items() if value is not None]  # fmt: skip
    return ", ".join([model, *words, *(["strip"] if saved.strip else [])])


def note(output: Path, words: str) -> None:
    """Keep them with a file, where its file system can."""
    with suppress(OSError, AttributeError):
        os.setxattr(output, ATTRIBUTE, words.encode())


def noted(output: Path) -> str | None:
    """What was kept with a file; None where nothing is."""
    try:
        return os.getxattr(output, ATTRIBUTE).decode("utf-8", "replace")
    except (OSError, AttributeError):
        return None


def made_otherwise(outputs: Iterable[Path], words: str) -> list[str]:
    """A line for results that other settings made, if there are any."""
    found = [words_there for output in outputs if (words_there := noted(output)) not in (None, words)]
    if not found:
        return []
    return [f"expected results of {words}, got {len(found)} that are there of other settings "
            f"({'; '.join(sorted({str(one) for one in found}))}); --overwrite makes them anew"]  # fmt: skip
