"""Everything that changes while a network trains, and so everything that a resumed run needs."""

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from pnen_runtime.errors import CheckpointError, PnenError, UsageError

from ..checkpoint import Checkpoint, load_checkpoint
from ..config import Data, Optimiser, Recipe, Run
from ..data.targets import Pair
from ..data.tasks import channels_of, resolve_target, strengths_of
from ..device import put
from ..models import build
from ..models.ceilnet import CEILNet
from ..versions import versions
from .optimiser import optimiser_of, take_moments
from .schedule import Schedule
from .start import begin_with

log = logging.getLogger("pnen")
SCORED = ("run.validation_images", "run.tile", "run.tile_step")  # scores depend on them, and not what is learnt
HARMLESS = (*SCORED, "run.evaluate_every", "run.checkpoint_every", "target.targets")  # may change when a run goes on


@dataclass
class State:
    """A network in training."""

    recipe: Recipe
    model: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    images: str  # sha256 of the training pairs
    training: dict[str, Any]  # the record for the model card
    averaged: nn.Module | None = None  # the moving average of the weights, where the recipe asks for one
    step: int = 0
    best: float = -math.inf  # dB, of the validations
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)  # of the steps since the last row of metrics
    errors: list[float] = field(default_factory=list)  # mean square errors of the same steps

    @classmethod
    def fresh(cls, recipe: Recipe, pairs: Sequence[Pair], device: torch.device) -> "State":
        """Before the first step; the seed is the recipe's."""
        torch.manual_seed(recipe.run.seed)
        model, run = build_network(recipe), recipe.run
        record = {"task": recipe.target, "crop": recipe.data.crop, "tile": run.tile, "tile_step": run.tile_step}
        if recipe.optimiser.start:
            record["start"] = {"weights": recipe.optimiser.start, "sha256": begin_with(model, recipe.optimiser.start)}
        model = put(model, device)
        return cls(recipe, model, optimiser_of(recipe, model), Schedule(recipe.optimiser), _sha256(pairs),
                   record | _circumstances(recipe, pairs, device), _average_of(model, recipe))  # fmt: skip

    @classmethod
    def resumed(cls, path: Path, recipe: Recipe, pairs: Sequence[Pair], device: torch.device) -> "State":
        """As it was when `path` was written; CheckpointError where recipe or images are others.

        More steps are fine, but for the cosine schedule: its rates depend on their number from the beginning. So is
        what is not learnt from (HARMLESS); where scores come out otherwise by it, best.pt is chosen anew, with a
        warning. Another `start` has no effect, and is warned of. A run
        whose steps were fitted to a time keeps those. Another number of threads on a CPU is warned of: the last bits
        of sums depend on it.
        """
        found, scored_otherwise = load_checkpoint(path, to_resume=True), list[str]()
        if found.resume is None:
            raise CheckpointError(f"{path}: expected a checkpoint to resume from (last.pt), got one without that state")
        kept, images = found.resume, _sha256(pairs)
        try:
            before = _completed(json.loads(kept["recipe"]))
            recipe = _as_fitted(recipe, before, found.training.get("fitted"))
            after = json.loads(json.dumps(asdict(recipe)))
        except (UsageError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{path}: expected the recipe of a run in it, found none that can be read") from error
        for name, was, now in _differences(before, after):
            scored_otherwise += [name] * (name in SCORED)
            if name in HARMLESS:
                continue
            if name == "optimiser.start":
                log.warning("%s: the run began with %s and goes on from weights of its own; start = %r has no effect",
                            path, f"the weights of {was}" if was else "random weights", now)  # fmt: skip
                recipe = replace(recipe, optimiser=replace(recipe.optimiser, start=was))
                continue
            if name == "optimiser.steps":
                if recipe.fixed_by:
                    reason = f"{recipe.fixed_by} depends on it"
                    raise CheckpointError(f"{path}: expected --steps {was}, as the run began, got {now}: {reason}")
                continue
            raise CheckpointError(f"{path}: expected the run's own recipe, in which {name} is {was!r}, got {now!r}")
        if kept.get("images", images) != images:
            hint = "; validation_images holds out others" * ("run.validation_images" in scored_otherwise)
            raise CheckpointError(f"{path}: expected the images and targets that the run began with, got others{hint}")
        model = put(found.model().train(), device)
        averaged, optimiser = _average_of(model, recipe), optimiser_of(recipe, model)
        try:
            if averaged is not None:
                model.load_state_dict(kept["weights"])
            take_moments(optimiser, kept["optimiser"])
            schedule, best = Schedule(recipe.optimiser, **kept["schedule"]), float(kept["best"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise CheckpointError(f"{path}: expected the state of a run, got something else ({reason})") from error
        record = found.training | _circumstances(recipe, pairs, device)
        record.pop("scores", None)  # of the weights as they were
        if scored_otherwise:
            best = -math.inf
            record |= {"tile": recipe.run.tile, "tile_step": recipe.run.tile_step}
            told = " and ".join(scored_otherwise)
            log.warning("%s: another %s, so scores are not those of before: best.pt is chosen anew", path, told)
        threads = kept.get("threads", torch.get_num_threads())
        if device.type == "cpu" and threads != torch.get_num_threads():
            log.warning("%s: trained with --threads %d so far, now with %d: the weights will differ in their last bits "
                        "from an uninterrupted run's", path, threads, torch.get_num_threads())  # fmt: skip
        return cls(recipe, model, optimiser, schedule, images, record, averaged, found.step, best,
                   kept.get("seconds", 0.0), kept.get("losses", []), kept.get("errors", []))  # fmt: skip

    def anew(self, recipe: Recipe, weights: dict[str, Any], **record: Any) -> "State":
        """Before the first step by another recipe, with these weights in this network, which may be compiled."""
        for network in filter(None, (self.model, self.averaged)):
            network.load_state_dict(weights)
        training = self.training | {"recipe": asdict(recipe)} | record
        return State(recipe, self.model, optimiser_of(recipe, self.model), Schedule(recipe.optimiser), self.images,
                     training, self.averaged)  # fmt: skip

    @property
    def finished(self) -> bool:
        """No step is left, or the schedule has ended the run."""
        return self.step >= self.recipe.optimiser.steps or self.schedule.finished

    @property
    def final(self) -> nn.Module:
        """The network that is scored and kept: of averaged weights where there are such."""
        return self.model if self.averaged is None else self.averaged

    def learn(self) -> None:
        """Into the mode of training; frozen norms stay as they are used later, so that just that is learnt."""
        self.model.train()
        if self.recipe.optimiser.frozen_norms:
            for part in self.model.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()

    def follow(self) -> None:
        """Take a step's weights into their average, whose memory is short at first."""
        if self.averaged is None:
            return
        share = 1 - min(self.recipe.optimiser.average, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.model.parameters()), share)
            for own, now in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
                own.copy_(now)  # statistics of BatchNorm are averages already

    def checkpoint(self, *, resumable: bool) -> Checkpoint:
        """The network as it is now; with what a resumed run needs, or lean. PnenError where it cannot go on."""
        if not all(torch.isfinite(weight).all() for weight in self.model.parameters()):
            raise PnenError(f"the weights are not finite at step {self.step}; lower learning_rate, or train in fp32")
        resume = {
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state(),
            "recipe": json.dumps(asdict(self.recipe)),
            "threads": torch.get_num_threads(),
            **{key: getattr(self, key) for key in ("images", "best", "seconds", "losses", "errors")},
        }
        if self.averaged is not None:
            resume["weights"] = self.model.state_dict()
        return Checkpoint.of(self.recipe.network["name"], self.final, step=self.step, training=self.training,
                             resume=resume if resumable else None)  # fmt: skip


def build_network(recipe: Recipe) -> nn.Module:
    """The recipe's network, with random weights and the channels of its task."""
    settings = {"image_channels": channels_of(recipe.target)} | recipe.network
    if strengths := strengths_of(recipe.target):
        settings["strengths"] = strengths
    name = settings.pop("name")
    model = build(name, settings)
    if recipe.optimiser.loss == "ceilnet" and not isinstance(model, CEILNet):
        raise UsageError(f'expected a CEILNet for loss = "ceilnet" in [optimiser], got network {name}')
    return model


def _average_of(model: nn.Module, recipe: Recipe) -> nn.Module | None:
    return deepcopy(model).eval().requires_grad_(False) if recipe.optimiser.average else None


def _circumstances(recipe: Recipe, pairs: Sequence[Pair], device: torch.device) -> dict[str, Any]:
    """What the figures of a run may depend on."""
    pictures = _sha256([(image,) for image, _ in pairs])  # of the inputs alone: the task says what their targets are
    return {"recipe": asdict(recipe), "images": len(pairs), "pictures": pictures, "device": str(device), **versions()}


def _sha256(pairs: Sequence[tuple[NDArray[Any], ...]]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        for part in pair:
            digest.update(str(part.shape).encode() + part.tobytes())
    return digest.hexdigest()


def _completed(recipe: dict[str, Any]) -> dict[str, Any]:
    """The record of a recipe as it is written now: an older one lacks settings, and has the filter's in a part."""
    target = dict(recipe["target"])
    settings = target.pop("settings", {})
    sections: dict[str, Any] = {"data": Data(), "optimiser": Optimiser(), "run": Run()}
    completed = {name: asdict(section) | recipe[name] for name, section in sections.items()}
    return recipe | completed | {"target": resolve_target(target | settings)}


def _as_fitted(recipe: Recipe, before: dict[str, Any], fitted: dict[str, Any] | None) -> Recipe:
    """The recipe with the steps that were fitted to a time when the run began, where it is the one they come from."""
    was, now = before["optimiser"], asdict(recipe.optimiser)
    kept = {key: was[key] for key, value in (fitted or {"from": {}})["from"].items() if now[key] == value}
    return replace(recipe, optimiser=replace(recipe.optimiser, **kept))


def _differences(was: dict[str, Any], now: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(name, before, after) of the settings that differ."""
    for key in dict.fromkeys((*was, *now)):
        before, after, name = was.get(key), now.get(key), f"{path}{key}"
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{name}.")
        elif before != after:
            yield name, before, after
