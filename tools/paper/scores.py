"""Scores of a trained network on a set of images, measured once and kept beside its checkpoint."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pnen_runtime.files import user_cache, write_text
from pnen_runtime.tiles import Blend
from pnen_train.checkpoint import BUNDLED
from pnen_train.data.targets import Pair
from pnen_train.data.tasks import Task
from pnen_train.device import put
from pnen_train.evaluation.evaluate import Scores, evaluate, network_smoother
from pnen_train.evaluation.study import Tile
from pnen_train.progress import bar

from .runs import TrainedRun

VERSION = 1  # raise it when scores are measured otherwise, so that kept ones are measured again
_idle: dict[str, Scores] = {}  # of doing nothing, by images; many networks share them


@dataclass(frozen=True)
class Inference:
    """How a network sees an image: whole, or in tiles of `tile` pixels every `step`."""

    tile: Tile
    step: int | None = None
    blend: Blend = "uniform"

    @classmethod
    def of(cls, run: TrainedRun, wish: Any = "paper") -> "Inference":
        """The paper's (tiles 96/40 for networks with non-local blocks, else whole), "own" (the checkpoint's), or a
        tile, every 5/12 of it as in the paper."""
        if wish == "paper":
            return cls(96, 40) if run.non_local else cls("whole")
        if wish == "own":
            return cls(run.training.get("tile", 96), run.training.get("tile_step", 80), "feather")
        return cls("whole") if wish == "whole" else cls(wish, max(1, wish * 5 // 12))

    def __str__(self) -> str:
        return "whole" if self.tile == "whole" else f"tiles {self.tile}/{self.step}"


@dataclass(frozen=True)
class Measured:
    """A network's scores and those of its input, on the same images."""

    network: Scores
    idle: Scores


def measure(
    run: TrainedRun,
    images: str,
    pairs: Callable[[], Sequence[Pair]],
    task: Task,
    inference: Inference,
    device: torch.device,
    title: str = "",
) -> Measured:
    """Scores from the file beside the checkpoint, or measured now and put there.

    `images` is the digest of what the pairs are made of; they are loaded only where there is something to measure.
    """
    asked = (VERSION, run.checkpoint.network, run.settings, run.checkpoint.sha256(), images, vars(inference))
    key = hashlib.sha256(json.dumps(asked, default=str).encode()).hexdigest()
    kept = _read(_file(run))
    if key not in kept:
        loaded = pairs()
        with bar(title, len(loaded)) as advance:
            model = put(run.network, device)
            smooth = network_smoother(model, inference.tile, inference.step, inference.blend, device)
            network = evaluate(smooth, _watched(loaded, advance), task.shave)
        if images not in _idle:
            _idle[images] = evaluate(task.nothing, loaded, task.shave, quantise=False)
        kept = _read(_file(run))  # another table may have written meanwhile
        kept[key] = {"title": title, "network": network.record(), "idle": _idle[images].record()}
        _file(run).parent.mkdir(parents=True, exist_ok=True)
        write_text(_file(run), json.dumps(kept, indent=1))
    return Measured(*(_scores(kept[key][part]) for part in ("network", "idle")))


def digest(paths: Sequence[Path], *made_by: Any) -> str:
    """Of the bytes of these files and of what turns them into pairs."""
    found = hashlib.sha256(json.dumps(made_by, default=str).encode())
    for path in paths:
        found.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _file(run: TrainedRun) -> Path:
    """Beside the checkpoint; a bundled one's are in the user's cache."""
    folder = user_cache("scores") if run.path.parent == BUNDLED else run.path.parent
    return folder / f"{run.path.stem}.scores.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # or one that a failing disk has damaged
        return {}


def _scores(record: dict[str, Any]) -> Scores:
    return Scores(**{key: math.inf if value is None else value for key, value in record.items()})


def _watched(pairs: Sequence[Pair], advance: Callable[[int], None]) -> Iterator[Pair]:
    """The same pairs, moving a bar."""
    for done, pair in enumerate(pairs):
        advance(done)
        yield pair
