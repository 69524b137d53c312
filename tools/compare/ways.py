"""What is compared: a target, and every way to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pnen_runtime import Smoother
from pnen_runtime.models import find_model
from pnen_runtime.onnx_card import read_onnx_card
from pnen_train.data.filters import STRENGTH, filter_image
from pnen_train.data.targets import Maker

from .classical import CLASSICAL, OF_OPENCV, Picture

Smooth = Callable[[Picture], Picture]
Kind = Literal["nothing", "exact", "opencv", "classical", "network"]
SYMBOL = {"l0": "λ", "wmf": "σ", "sd": "λ"}  # of the strength


@dataclass(frozen=True)
class Target:
    """A filter at one strength."""

    filter: str
    strength: float | None = None  # by default the filter's own

    @cached_property
    def maker(self) -> Maker:
        return Maker.of(self.filter, {} if self.strength is None else {STRENGTH[self.filter]: self.strength})

    @property
    def level(self) -> float:
        """The strength, in the filter's unit."""
        return self.maker.settings[STRENGTH[self.filter]]

    @property
    def title(self) -> str:
        return f"{self.filter.upper()}, {SYMBOL[self.filter]} = {self.level:g}"


@dataclass(frozen=True)
class Way:
    """One way to a target."""

    kind: Kind
    name: str
    target: Target
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def ready(self) -> Iterator[Smooth]:
        """The function of pictures, loaded, for one thread."""
        settings = self.target.maker.settings
        if self.kind == "network":
            with Smoother(self.name, threads=1) as smoother:
                wanted = {"strength": self.target.level} if smoother.card.strength else {}
                yield lambda picture: smoother.run(picture, **wanted)
        elif self.kind == "classical":
            yield lambda picture: CLASSICAL[self.name].smooth(picture, **self.parameters)
        elif self.kind == "opencv":
            yield lambda picture: OF_OPENCV[self.target.filter][1](picture, settings)
        elif self.kind == "exact":
            yield lambda picture: filter_image(picture, self.target.filter, settings)
        else:
            yield lambda picture: picture


def fixed_ways(target: Target, models: Sequence[str]) -> tuple[list[Way], list[str]]:
    """All ways that need no tuning, and of the models that learnt this filter the reason why they are left out."""
    ways = [Way("nothing", "doing nothing", target), Way("exact", f"the filter itself ({target.filter})", target)]
    if target.filter in OF_OPENCV:
        ways.append(Way("opencv", OF_OPENCV[target.filter][0], target))
    left_out = []
    for name in models:
        card = read_onnx_card(find_model(name))
        task = {key: value for key, value in card.task.items() if key != "strengths"}
        if task.pop("filter", None) != target.filter:
            continue
        own = task.pop(STRENGTH[target.filter], None)
        others = {key: value for key, value in target.maker.settings.items() if key != STRENGTH[target.filter]}
        least, most = (card.strength.get(end, own) for end in ("least", "most"))
        if task != others:
            left_out.append(f"{name} learnt the filter with other settings ({_words(task)})")
        elif own is None or not least <= target.level <= most:
            knows = f"{own:g} only" if own is not None and least == most else f"{least} to {most}"
            left_out.append(f"{name} knows {SYMBOL[target.filter]} = {knows}")
        else:
            ways.append(Way("network", name, target))
    return ways, left_out


def _words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())
