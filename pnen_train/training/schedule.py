"""The learning rate over a run."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from ..config import Optimiser


@dataclass
class Schedule:
    """The rate at each step.

    The plateau rule halves it when the mean loss of an epoch stops falling (paper, Sec. 4), and says when to stop.
    """

    settings: Optimiser
    factor: float = 1.0
    best: float = math.inf
    bad_epochs: int = 0
    total: float = 0.0  # of the losses of this epoch
    finished: bool = False  # the rule fired at the lowest rate

    def rate(self, step: int) -> float:
        """For the step after `step` finished ones."""
        s = self.settings
        rate, low = s.learning_rate, min(s.minimum_rate, s.learning_rate)
        if s.schedule == "cosine":
            progress = min(1.0, max(0, step - s.warmup_steps) / max(1, s.steps - s.warmup_steps))
            rate = low + (rate - low) * (0.5 + 0.5 * math.cos(math.pi * progress))
        elif s.schedule == "step":
            rate *= s.decay ** (step // s.decay_steps)
        else:
            rate = max(low, rate * self.factor)
        return rate * min(1.0, (step + 1) / s.warmup_steps) if s.warmup_steps else rate

    def saw(self, loss: float, step: int) -> None:
        """Take in the training loss of step number `step`, counted from 1."""
        s = self.settings
        self.total += loss
        if step % s.epoch_steps or s.schedule != "plateau":
            return
        mean, self.total = self.total / s.epoch_steps, 0.0
        if mean < self.best * (1 - 1e-3):
            self.best, self.bad_epochs = mean, 0
        else:
            self.bad_epochs += 1
        if self.bad_epochs > s.patience:
            self.finished = s.learning_rate * self.factor <= s.minimum_rate
            self.factor, self.bad_epochs = self.factor / 2, 0

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {key: value for key, value in asdict(self).items() if key != "settings"}
