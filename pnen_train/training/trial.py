"""What a fitted run is reckoned from: the parts of a run, measured on its own network within the time that it has."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from pnen_runtime.errors import UsageError

from ..checkpoint import save_checkpoint
from ..config import Recipe
from .processes import Processes
from .run_folder import RunFolder
from .state import State

KEPT_BACK = 0.03  # of the time: no machine is equally fast throughout
TRIED = 0.02  # of the time, for the steps that are measured; but at least and at most so many of each size of crop:
LEAST, MOST = 3, 200

Clock = Callable[[], float]  # seconds


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


@dataclass(frozen=True)
class Parts:
    """What a run does over and over."""

    step: Callable[[State], Tensor]  # take one; its loss, which may still be on the device
    validate: Callable[[State, RunFolder], None]  # on all pictures, and write what a validation writes
    glance: Callable[[State], object]  # validate on the first picture alone, and write nothing
    share: float  # of a validation that the glance is; 1 where there is one picture


def too_short(trial: float, least: float, seconds: float) -> UsageError:
    """For a trial and a least run after it that take longer than the time, with twice of what would just do."""
    minutes = ceil((2 * (trial + least) - seconds) / 6) / 10
    return UsageError("expected more time for a fitted run: "
                      f"its trial takes at least {trial:.1f} seconds and one step with its validation and checkpoints "
                      f"at least {least:.1f} more, {max(0.0, seconds):.1f} were left for both; "
                      f"raise --max-time by {minutes:.1f} minutes")  # fmt: skip


class Trial:
    """The trial of a run that has so many `seconds`; what it trains and writes is to be thrown away.

    UsageError where that is not enough, or over, after one of its parts; in all `processes`, which wait for each other.
    """

    def __init__(self, state: State, parts: Parts, folder: Path, seconds: float, processes: Processes, clock: Clock):
        self.state, self.parts, self.folder, self.seconds = state, parts, folder, seconds
        self.processes, self.clock, self.began = processes, clock, clock()
        self.validation = self.step = 0.0  # seconds, when they are known

    def costs(self) -> Costs:
        """Measured one after the other."""
        data = self.state.recipe.data
        if self.parts.share < 1:
            self.look()
        run = self.measure(data.crop, data.batch)
        early = late = self.step
        if data.late_share:
            self.measure(data.late_crop, data.late_batch)
            late = self.step
        if not self.processes.leads:
            return Costs(early, late, self.took(lambda: None), self.took(lambda: None))
        self.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".trial.tmp", dir=self.folder) as place:
            files = RunFolder(Path(place))
            files.start(self.state.recipe, 0)
            validation = self.took(lambda: self.parts.validate(run, files))
            checkpoint = self.took(lambda: save_checkpoint(files.last, run.checkpoint(resumable=True)))
            files.close()
        return Costs(early, late, validation, checkpoint)

    def look(self) -> None:
        """What a validation takes, by its first picture; where that is too long, again without what first uses take."""
        self.validation = self.glance() / self.parts.share
        if not self.fits() and self.spent < self.seconds:
            self.validation = self.glance() / self.parts.share
        self.require_time()

    def glance(self) -> float:
        return self.took(lambda: self.parts.glance(self.state) if self.processes.leads else None)

    def measure(self, crop: int, batch: int) -> State:
        """Seconds of a step with crops of this size, as `step`; the run after such steps."""
        recipe = self.state.recipe
        alike = replace(recipe, data=replace(recipe.data, crop=crop, batch=batch, late_share=0.0))
        run = replace(self.state, recipe=alike, training=dict(self.state.training))

        def steps(count: int) -> None:
            torch.stack([self.parts.step(run) for _ in range(count)]).tolist()  # so that a GPU has done them

        steps(1)  # which compiles, and chooses algorithms
        self.require_time()
        self.step = self.took(lambda: steps(1))
        count = min(MOST, max(LEAST, int(TRIED * self.seconds / max(self.step, 1e-9))))
        self.require(count * self.step)
        self.step = self.took(lambda: steps(count)) / count
        return run

    def took(self, work: Callable[[], Any]) -> float:
        """Seconds, the same for all processes, which wait for each other."""
        began = self.clock()
        work()
        self.processes.wait()
        return self._mean(self.clock() - began)

    def fits(self, ahead: float = 0.0) -> bool:
        """Whether the time is enough for so many seconds, a validation, and a run of one step, as far as is known."""
        self.spent = self._mean(self.clock() - self.began)
        return self.spent + ahead + 2 * self.validation + self.step <= (1 - KEPT_BACK) * self.seconds

    def require(self, ahead: float) -> None:
        """UsageError where it is known not to fit."""
        if not self.fits(ahead):
            raise too_short(self.spent + ahead + self.validation, self.validation + self.step, self.seconds)

    def require_time(self) -> None:
        """UsageError where the time is over; until then there is more to learn for what it says."""
        if not self.fits() and self.spent >= self.seconds:
            self.require(0.0)

    def _mean(self, seconds: float) -> float:
        return self.processes.mean(torch.tensor(seconds, dtype=torch.float64)).item()
