"""The files of a training run."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pnen_runtime.files import write_text
from pnen_runtime.image import write_image

from ..config import Recipe
from .events import Events


class RunFolder:
    """last.pt (resumable; a large one has parts beside it), best.pt, recipe.json, metrics.jsonl, pictures/STEP.png and
    TensorBoard's events."""

    def __init__(self, path: Path):
        self.path, self.last, self.best = path, path / "last.pt", path / "best.pt"
        self._events: Events | None = None
        self.metrics, self.pictures = path / "metrics.jsonl", path / "pictures"

    def start(self, recipe: Recipe, step: int, fitted: dict[str, Any] | None = None) -> None:
        """Make the folder, or take out of it what a killed run left behind after `step`.

        Where the recipe's steps were `fitted` to a time, recipe.json says how.
        """
        self.pictures.mkdir(parents=True, exist_ok=True)
        for half_written in (*self.path.glob(".*.tmp*"), *self.pictures.glob(".*.tmp*")):
            if half_written.is_dir():
                rmtree(half_written)
            else:
                half_written.unlink()
        if step == 0:
            self.best.unlink(missing_ok=True)
        write_text(
            self.path / "recipe.json", json.dumps(asdict(recipe) | ({"fitted": fitted} if fitted else {}), indent=1)
        )
        rows = self.metrics.read_bytes().splitlines(keepends=True) if self.metrics.exists() else []
        write_text(self.metrics, b"".join(row for row in rows if 0 < _step(row) <= step).decode())
        self._events = Events(self.path, step + 1)

    def note(self, row: dict[str, float], picture: NDArray[np.uint8] | None = None) -> None:
        """Keep the figures of some steps; of an evaluation its picture too, (H, W, 3)."""
        step = int(row["step"])
        finite = {key: value if math.isfinite(value) else None for key, value in row.items()}
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite) + "\n")
        assert self._events is not None, "expected start() first"
        for key in row.keys() - {"step"}:
            self._events.scalar(key, row[key], step)
        if picture is not None:
            write_image(self.pictures / f"{step:07}.png", picture)
            self._events.image("input, output, target", picture, step)

    def close(self) -> None:
        """No more notes."""
        if self._events is not None:
            self._events.close()


def _step(row: bytes) -> int:
    """The step of a line of metrics; 0 where a killed run left it torn."""
    try:
        return int(json.loads(row)["step"]) if row.endswith(b"\n") else 0
    except (ValueError, KeyError, TypeError):
        return 0
