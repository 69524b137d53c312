"""A run fitted to a time: a trial measures its parts, and warm-up and schedule get the steps that end with it."""

from bisect import bisect_right
from copy import deepcopy
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path

import torch

from pnen_runtime.errors import UsageError

from ..config import Recipe
from .processes import Processes
from .state import State
from .trial import KEPT_BACK, Clock, Costs, Parts, Trial, too_short

SCALED = ("steps", "warmup_steps", "decay_steps")  # of [optimiser]: what is fitted, in the same proportion


def with_steps(recipe: Recipe, steps: int) -> Recipe:
    """The recipe in so many steps; those of warm-up and of the decays in proportion, at least one where there were."""
    plan = recipe.optimiser
    counts = {key: max(1, round(was * steps / plan.steps)) for key in SCALED if (was := getattr(plan, key))}
    return replace(recipe, optimiser=replace(plan, **counts))


def fitted_steps(recipe: Recipe, costs: Costs, seconds: float) -> int:
    """The most steps that the run can make in so many seconds; 0 where it is none."""
    most = int(seconds / min(costs.step, costs.late_step)) if seconds > 0 else 0
    return bisect_right(range(1, most + 1), seconds, key=lambda count: costs.of(with_steps(recipe, count)))


def check_fit(recipe: Recipe, deadline: float) -> None:
    """UsageError for a run that has no end in time, and for a schedule that ends by itself."""
    if not isfinite(deadline):
        raise UsageError("expected a deadline for a fitted run, got none")
    if recipe.optimiser.schedule == "plateau":
        raise UsageError('expected schedule = "cosine" or "step" in [optimiser] for a fitted run, got "plateau", which '
                         "the losses end; --set optimiser.schedule=cosine")  # fmt: skip


def fitted(state: State, parts: Parts, folder: Path, deadline: float, processes: Processes, clock: Clock) -> State:
    """The run before its first step, with as many steps as end by `deadline` on `clock`, validations included.

    A trial measures, and lets compile what compiles; its weights are lost, so the run is that of the same recipe with
    these steps. The training record says what was measured, as "fitted". UsageError where no step fits.
    """

    def left() -> float:
        return processes.mean(torch.tensor(deadline - clock(), dtype=torch.float64)).item()

    seconds, weights, plan = left(), deepcopy(state.model.state_dict()), state.recipe
    costs, after = Trial(state, parts, folder, seconds, processes, clock).costs(), left()
    steps = fitted_steps(plan, costs, after - KEPT_BACK * seconds)
    if not steps:
        raise too_short(seconds - after, costs.of(with_steps(plan, 1)), seconds)
    record = {"seconds": round(seconds, 3), "kept_back": KEPT_BACK,
              "from": {key: getattr(plan.optimiser, key) for key in SCALED},
              "costs": {key: round(value, 6) for key, value in asdict(costs).items()}}  # fmt: skip
    return state.anew(with_steps(plan, steps), weights, fitted=record)
