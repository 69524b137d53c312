"""An exported network beside the filter that it imitates, at every strength that it knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pnen_runtime import Smoother
from pnen_runtime.backends.ort import OrtBackend
from pnen_runtime.tiles import Blend, blend_for
from pnen_train.evaluate import Smooth
from pnen_train.filters import STRENGTH
from pnen_train.parallel import in_parallel
from pnen_train.progress import bar
from pnen_train.study import Tile
from pnen_train.targets import Maker, Pair
from pnen_train.tasks import of_strength, resolve_target

Strength = float | None  # in the filter's unit; None for a network of one strength
Image = NDArray[np.uint8]  # (H, W, 3)

WHOLE_MB = 16_000  # so that whole photographs stay whole


@dataclass(frozen=True)
class Imitation:
    """The network in this backend, and what it learnt, as in its record."""

    backend: OrtBackend
    task: Mapping[str, Any]

    @property
    def ends(self) -> tuple[Strength, ...]:
        """The least strength, the default and the most; None alone where there is one."""
        return ends_of(self.task)

    @property
    def default(self) -> Strength:
        """The strength that it takes where none is asked for."""
        return self.ends[len(self.ends) // 2]

    @property
    def blend(self) -> Blend:
        """How its tiles are joined."""
        return blend_for(self.backend.card.config)

    def smooth(self, strength: Strength, tile: Tile, step: int | None) -> Smooth:
        """The network as a function of images."""
        smoother = Smoother("the network", backend=self.backend, tile=tile, step=step, memory=WHOLE_MB)
        return partial(smoother.run, strength=strength)

    def maker(self, strength: Strength) -> Maker:
        """The filter at this strength."""
        return maker_of(self.task, strength)

    def pairs(self, images: Sequence[Image], strength: Strength, name: str = "targets") -> list[Pair]:
        """The images with what the filter makes of them, behind a progress bar of this name."""
        with bar(name, len(images)) as advance:
            return list(zip(images, in_parallel(self.maker(strength).target, images, advance), strict=True))


def ends_of(task: Mapping[str, Any]) -> tuple[Strength, ...]:
    """The least strength of a task, its default and the most; None alone where there is one."""
    target = resolve_target(task)
    strengths = target.get("strengths")
    return (strengths[0], target[STRENGTH[target["filter"]]], strengths[-1]) if strengths else (None,)


def maker_of(task: Mapping[str, Any], strength: Strength = None) -> Maker:
    """The filter of a task, at its default strength where none is given."""
    settings = of_strength(task, strength)
    return Maker.of(settings.pop("filter"), settings)
