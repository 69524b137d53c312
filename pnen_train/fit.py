"""A run fitted to a time: a trial measures its parts, and warm-up and schedule get the steps that end with it."""

from bisect import bisect_right
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from math import ceil, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from pnen_runtime.errors import UsageError

from .checkpoint import save_checkpoint
from .config import Recipe
from .processes import Processes
from .run_folder import RunFolder
from .state import State

KEPT_BACK = 0.03  # of the time: no machine is equally fast throughout
TRIED = 0.02  # of the time, for the steps that are measured; but at least and at most so many of each size of crop:
LEAST, MOST = 3, 200
SCALED = ("steps", "warmup_steps", "decay_steps")  # of [optimiser]: what is fitted, in the same proportion

Clock = Callable[[], float]  # seconds
Step = Callable[[State], Tensor]  # take one; its loss, which may still be on the device
Evaluate = Callable[[State, RunFolder], None]  # validate, and write what a validation writes


@dataclass(frozen=True)
class Costs:
    """Seconds on this machine."""

    step: float
    late_step: float  # one with the crops of the end, where the recipe has other ones there
    validation: float  # with its picture and best.pt
    checkpoint: float

    def of(self, recipe: Recipe) -> float:
        """Seconds of the whole run."""
        steps, run = recipe.optimiser.steps, recipe.run
        late = steps - round((1 - recipe.data.late_share) * steps)
        written = self.checkpoint * (1 + ceil(steps / run.checkpoint_every))
        validated = self.validation * ceil(steps / run.evaluate_every)
        return (steps - late) * self.step + late * self.late_step + validated + written


def with_steps(recipe: Recipe, steps: int) -> Recipe:
    """The recipe in so many steps; those of warm-up and of the decays in proportion, at least one where there were."""
    plan = recipe.optimiser
    counts = {key: max(1, round(was * steps / plan.steps)) for key in SCALED if (was := getattr(plan, key))}
    return replace(recipe, optimiser=replace(plan, **counts))


def fitted_steps(recipe: Recipe, costs: Costs, seconds: float) -> int:
    """The most steps that the run can make in so many seconds; UsageError where it is none."""
    most = int(seconds / min(costs.step, costs.late_step)) if seconds > 0 else 0
    steps = bisect_right(range(1, most + 1), seconds, key=lambda count: costs.of(with_steps(recipe, count)))
    if not steps:
        least = costs.of(with_steps(recipe, 1))
        raise UsageError(f"expected more time for a fitted run: one step, its validation and checkpoints take "
                         f"{least:.2g} seconds after the trial, {max(0.0, seconds):.2g} are left of it; "
                         "raise --max-time")  # fmt: skip
    return steps


def check_fit(recipe: Recipe, deadline: float) -> None:
    """UsageError for a run that has no end in time, and for a schedule that ends by itself."""
    if not isfinite(deadline):
        raise UsageError("expected a deadline for a fitted run, got none")
    if recipe.optimiser.schedule == "plateau":
        raise UsageError('expected schedule = "cosine" or "step" in [optimiser] for a fitted run, got "plateau", which '
                         "the losses end; --set optimiser.schedule=cosine")  # fmt: skip


def fitted(
    state: State, step: Step, evaluate: Evaluate, folder: Path, deadline: float, processes: Processes, clock: Clock
) -> State:
    """The run before its first step, with as many steps as end by `deadline` on `clock`, validations included.

    A trial measures, and lets compile what compiles; its weights are lost, so the run is that of the same recipe with
    these steps. The training record says what was measured, as "fitted".
    """

    def left() -> float:
        return processes.mean(torch.tensor(deadline - clock(), dtype=torch.float64)).item()

    seconds, weights, plan = left(), deepcopy(state.model.state_dict()), state.recipe
    costs = trial(state, step, evaluate, folder, seconds, processes, clock)
    recipe = with_steps(plan, fitted_steps(plan, costs, left() - KEPT_BACK * seconds))
    record = {"seconds": round(seconds, 3), "kept_back": KEPT_BACK,
              "from": {key: getattr(plan.optimiser, key) for key in SCALED},
              "costs": {key: round(value, 6) for key, value in asdict(costs).items()}}  # fmt: skip
    return state.anew(recipe, weights, fitted=record)


def trial(
    state: State, step: Step, evaluate: Evaluate, folder: Path, seconds: float, processes: Processes, clock: Clock
) -> Costs:
    """Measure the parts of a run that has so many seconds; what this trains and writes is to be thrown away."""
    recipe, data = state.recipe, state.recipe.data

    def took(work: Callable[[], Any]) -> float:
        """Seconds, the same for all processes, which wait for each other."""
        began = clock()
        work()
        processes.wait()
        return processes.mean(torch.tensor(clock() - began, dtype=torch.float64)).item()

    def measured(crop: int, batch: int) -> tuple[float, State]:
        """Seconds of a step with crops of this size, and the run after such steps."""
        alike = replace(recipe, data=replace(data, crop=crop, batch=batch, late_share=0.0))
        run = replace(state, recipe=alike, training=dict(state.training))

        def steps(count: int) -> None:
            torch.stack([step(run) for _ in range(count)]).tolist()  # so that a GPU has done them

        steps(1)  # which compiles, and chooses algorithms
        first = took(lambda: steps(1))
        count = min(MOST, max(LEAST, int(TRIED * seconds / max(first, 1e-9))))
        return took(lambda: steps(count)) / count, run

    early, run = measured(data.crop, data.batch)
    late = measured(data.late_crop, data.late_batch)[0] if data.late_share else early
    if not processes.leads:
        return Costs(early, late, took(lambda: None), took(lambda: None))
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".trial.tmp", dir=folder) as place:
        files = RunFolder(Path(place))
        files.start(recipe, 0)
        validation = took(lambda: evaluate(run, files))
        checkpoint = took(lambda: save_checkpoint(files.last, run.checkpoint(resumable=True)))
        files.close()
    return Costs(early, late, validation, checkpoint)
