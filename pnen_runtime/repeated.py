"""A smoother that is applied several times over."""

from __future__ import annotations

from typing import Any

from .card import Card
from .tiles import Progress, of_frames


class Repeated:
    """Runs a `Smoother`, or a classical filter, `times` times, each time on the result of the time before."""

    def __init__(self, smoother: Any, times: int):
        self._smoother, self._times = smoother, times
        self.card: Card = smoother.card

    def run(self, image: Any, *, progress: Progress | None = None, **wanted: Any) -> Any:
        """As `Smoother.run`, of one image."""
        for number in range(self._times):
            show = progress and of_frames(progress, number, self._times)
            image = self._smoother.run(image, **wanted, progress=show)
        return image
