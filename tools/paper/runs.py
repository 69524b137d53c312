"""Checkpoints as rows of a table: which network they hold and what it cost to train."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from pnen_runtime.errors import CheckpointError
from pnen_train.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from pnen_train.config import SECTIONS
from pnen_train.data.tasks import usual_strength
from pnen_train.models import MODELS, build, config_of, count_parameters
from pnen_train.models.pnb import PyramidNonLocal
from pnen_train.models.presets import PRESETS

from .published import Table

ROW = ("scales", "deeper")  # settings that make a row of the paper; others only make a network larger or smaller
UNSEEN = ("init", "image_channels")  # not worth a word in a label


@dataclass(frozen=True)
class TrainedRun:
    """A checkpoint with its file."""

    path: Path
    checkpoint: Checkpoint

    @classmethod
    def of(cls, path: str | Path) -> "TrainedRun":
        """A run folder (its last step, which no test image has chosen), a checkpoint, or a bundled name."""
        path = Path(path)
        if path.is_dir():
            if not (path / "last.pt").is_file():
                raise CheckpointError(f"{path}: expected a run folder with last.pt, found none; name a checkpoint")
            path /= "last.pt"
        path = find_checkpoint(path)
        return cls(path, load_checkpoint(path))

    @property
    def training(self) -> dict[str, Any]:
        """The record of the training, for the model card."""
        return self.checkpoint.training

    @property
    def name(self) -> str:
        """Of the run: its folder's, or the file's."""
        return self.path.parent.name if self.path.stem in ("last", "best") else self.path.stem

    @property
    def family(self) -> str:
        """The network's name in MODELS."""
        name = self.checkpoint.network
        return PRESETS[name].network if name in PRESETS else name

    def row(self, table: Table) -> str | None:
        """Which row of the paper's table this network is, of whatever size; None where it is none of them."""
        for row, preset in table.rows.items():
            same = PRESETS[preset].network == self.family and ("deeper" in preset) == self.deeper
            if same and _settings(preset).get("scales") == self.settings.get("scales"):
                return row
        return None

    @property
    def network(self) -> torch.nn.Module:
        """To be applied to pictures; an adjustable one at its default strength."""
        made, task = self.checkpoint.model(), self.training.get("task", {})
        if getattr(made.config, "strengths", ()):
            return made.at(usual_strength(task))  # type: ignore[operator]
        return made

    @property
    def deeper(self) -> bool:
        """Whether it is the deeper one of two; an RDN does not say so but by its blocks or by the name of its run."""
        if self.family == "rdn":
            return self.settings["blocks"] > 16 or "deeper" in f"{self.checkpoint.network} {self.name}"
        return bool(self.settings.get("deeper"))

    def label(self, table: Table) -> str:
        """The row's name, and by what settings this network is not the paper's."""
        row = self.row(table)
        paper = _settings(table.rows[row] if row else self.family)
        unseen = (*UNSEEN, *ROW) if row else UNSEEN
        if not self.settings.get("scales") or self.settings.get("channels") != paper.get("channels"):
            unseen += ("key_channels", "value_channels")  # there is no block, or they go with the channels
        others = [f"{key.replace('_', ' ')} {_words(value)}" for key, value in self.settings.items()
                  if key not in unseen and value != paper.get(key)]  # fmt: skip
        return ", ".join([row or MODELS[self.family][1].__name__, *others])

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All settings of the network."""
        return _settings(self.checkpoint.network, self.checkpoint.config)

    @cached_property
    def parameters(self) -> tuple[int, int]:
        """How many there are, and how many without those of norms; the paper counts now one way, now the other."""
        network = _on_paper(self.checkpoint.network, self.checkpoint.config)
        return count_parameters(network), count_parameters(network, norms=False)

    @cached_property
    def made_by(self) -> dict[str, Any]:
        """What the weights come from, by name: network, steps, precision, pictures and recipe, less seed and target.

        Pictures are the first digits of their sha256. What an old record does not say is None, or the recipe's default.
        """
        found: dict[str, Any] = {"network": self.checkpoint.network, **self.settings, "steps": self.checkpoint.step}
        for section, kind in SECTIONS.items():
            settings = asdict(kind()) | self.training.get("recipe", {}).get(section, {})
            found |= {f"{section} {key}": value for key, value in settings.items()}
        planned = found.pop("optimiser steps")
        pictures = self.training.get("pictures")
        found |= {"steps planned": None if planned == found["steps"] else planned, "precision": self.precision,
                  "images": self.training.get("images"), "pictures": pictures and pictures[:8]}  # fmt: skip
        del found["run seed"], found["run precision"]
        return found

    @property
    def precision(self) -> str | None:
        """Of the arithmetic, as the trainer resolved it; None where an old record does not say."""
        planned = self._recipe("run", "precision", None)
        return self.training.get("precision", None if planned == "auto" else planned)

    @cached_property
    def non_local(self) -> bool:
        """Whether there is a non-local block, so that results depend on the tile."""
        network = _on_paper(self.checkpoint.network, self.checkpoint.config)
        return any(isinstance(part, PyramidNonLocal) for part in network.modules())

    @property
    def patches(self) -> int:
        """How many crops it was trained on."""
        return self.checkpoint.step * int(self._recipe("data", "batch", 0))

    @property
    def budget(self) -> tuple[int, int, int]:
        """Steps, patches, and the side of a patch."""
        return self.checkpoint.step, self.patches, int(self.training.get("crop", 0))

    @property
    def seed(self) -> int | None:
        """Of the run."""
        return self._recipe("run", "seed", None)

    @property
    def seconds(self) -> float | None:
        """How long the training took; None for a checkpoint that was taken out of its run folder."""
        if self.checkpoint.resume:
            return float(self.checkpoint.resume["seconds"])
        metrics = self.path.with_name("metrics.jsonl")
        rows = [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.is_file() else []
        return next((row["seconds"] for row in rows if row["step"] == self.checkpoint.step), None)

    def _recipe(self, section: str, key: str, otherwise: Any) -> Any:
        return self.training.get("recipe", {}).get(section, {}).get(key, otherwise)


def _on_paper(network: str, settings: dict[str, Any]) -> Any:
    with torch.device("meta"):  # nothing is computed or held
        return build(network, settings)


def _settings(network: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    return asdict(config_of(network, settings or {}))


def _words(value: Any) -> str:
    return "+".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
