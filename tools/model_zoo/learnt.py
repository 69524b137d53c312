"""An exported network and what it learnt: pictures to score it on, at every strength that it knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pnen_runtime import Smoother
from pnen_runtime.backends.ort import OrtBackend
from pnen_runtime.tiles import Blend, blend_for
from pnen_train.data.pictures import luma_of
from pnen_train.data.targets import Maker, Pair
from pnen_train.data.tasks import lower, noise_of, of_strength, resolve_target, usual_strength
from pnen_train.evaluation.evaluate import Smooth
from pnen_train.evaluation.study import Tile
from pnen_train.parallel import Progress, in_parallel
from pnen_train.progress import bar

Strength = float | None  # in the filter's unit, or σ; None for a network of one strength
Image = NDArray[np.uint8]  # (H, W, 3)

WHOLE_MB = 16_000  # so that whole photographs stay whole


@dataclass(frozen=True)
class Learnt:
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

    @property
    def shave(self) -> int:
        """Pixels on each side that are not scored."""
        return int(self.task.get("scale", 0))

    def smooth(self, strength: Strength | Literal["auto"], tile: Tile, step: int | None) -> Smooth:
        """The network as a function of images."""
        smoother = Smoother("the network", backend=self.backend, tile=tile, step=step, memory=WHOLE_MB)
        return partial(smoother.run_network, strength=strength)

    def maker(self, strength: Strength) -> Maker:
        """The filter at this strength; of a network that learnt one."""
        return maker_of(self.task, strength)

    def pairs(self, images: Sequence[Image], strength: Strength, name: str = "targets") -> list[Pair]:
        """As those of `pairs_to_score`, behind a progress bar of this name."""
        with bar(name, len(images)) as advance:
            return pairs_to_score(self.task, images, strength, advance)


def pairs_to_score(
    task: Mapping[str, Any], images: Sequence[Image], strength: Strength, progress: Progress | None = None
) -> list[Pair]:
    """Inputs and targets out of (H, W, 3) images.

    The image, and what the filter makes of it; or the image with noise, and without; or its luma made smaller and
    enlarged again, within [0, 1], and as it was.
    """
    target = of_strength(task, strength)
    if noise := noise_of(target):
        return noise.on(images, [Path()] * len(images))
    if "scale" in target:
        lowered = (lower(luma_of(image), target["scale"]) for image in images)
        return [(np.clip(small, 0, 1), luma) for small, luma in lowered]
    return list(zip(images, in_parallel(maker_of(task, strength).target, images, progress), strict=True))


def ends_of(task: Mapping[str, Any]) -> tuple[Strength, ...]:
    """The least strength of a task, its default and the most; None alone where there is one."""
    target = resolve_target(task)
    strengths = target.get("strengths")
    return (strengths[0], usual_strength(target), strengths[-1]) if strengths else (None,)


def maker_of(task: Mapping[str, Any], strength: Strength = None) -> Maker:
    """The filter of a task, at its default strength where none is given."""
    settings = of_strength(task, strength)
    return Maker.of(settings.pop("filter"), settings)
