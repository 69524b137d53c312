"""What a network learns: to smooth like a filter, to take noise away, or to sharpen an enlarged picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pnen_runtime.bicubic import enlarge, resize
from pnen_runtime.errors import UsageError
from pnen_runtime.schema import read_json

from ..metrics import levels
from ..parallel import Progress, in_parallel
from .filters import STRENGTH, resolve
from .noise import Noise
from .own_filter import OwnMaker
from .own_source import function_target
from .pictures import read_grey, read_luma, read_picture
from .targets import SMALLEST, Maker, Pair, load_pairs

NOTE = "filter.json"  # which filter made the images of a folder
Load = Callable[[Sequence[Path], int, Progress | None], list[Pair]]  # paths, least pixels a side → pairs
NAMED_BY = ("filter", "function", "targets", "noise", "scale")  # what a task is, in [target] of a recipe and in a card
SMOOTHING = ("filter", "function", "targets")


@dataclass(frozen=True)
class Task:
    """How pictures become inputs and targets, and how results are scored."""

    name: str  # of the work on the pictures
    channels: int  # of the network's images
    training: Load
    scored: Load
    shave: int = 0  # pixels on each side that are not scored
    nothing: Callable[[NDArray[Any]], NDArray[Any]] = lambda image: image  # what doing nothing gives
    nothing_name: str = "doing nothing"
    strengths: tuple[float, ...] = ()  # of the targets that an adjustable network is trained on
    usual: float | None = None  # strength of what is scored, where an adjustable network makes no such targets


def task_of(target: Mapping[str, Any], ready: Path | None = None, folders: Sequence[Path] = (Path(),)) -> Task:
    """The task of a recipe's [target] or of a checkpoint's record; `ready` is a folder of targets made elsewhere.

    A function that makes targets is looked for in `folders`, when some are to be made; it is run if it is the one whose
    source the target names. Raises UsageError where the target is none.
    """
    target = resolve_target(target)
    if ready is not None and not any(kind in target for kind in SMOOTHING):
        raise UsageError(f"{ready}: ready targets are for smoothing; a {' '.join(target)} task makes its own")
    if noise := noise_of(target):
        return _denoising(noise, target["noise"] if "strengths" in target else None)
    if "scale" in target:
        return _super_resolution(target["scale"])
    if "targets" in target:
        return _ready(target["targets"], ready)
    own, strengths = target.get("function"), target.pop("strengths", ())
    name = own or target.pop("filter")
    if ready is not None and strengths:
        raise UsageError(f"{ready}: ready targets are of one strength; an adjustable network makes its own")
    key = "strength" if own else STRENGTH[name]
    apart = [target | {key: strength} for strength in strengths] or [target]
    known = [] if own else [Maker.of(name, one) for one in apart]

    def load(paths: Sequence[Path], smallest: int = SMALLEST, progress: Progress | None = None) -> list[Pair]:
        makers = known if known or ready else [OwnMaker.in_one_of(folders, one) for one in apart]
        return load_pairs(paths, makers, ready, smallest=smallest, progress=progress)

    return Task(f"{name} targets", 3, load, load, strengths=tuple(strengths))


def _ready(name: str, folder: Path | None) -> Task:
    """Targets that were made elsewhere, by what is not known."""

    def load(paths: Sequence[Path], smallest: int = SMALLEST, progress: Progress | None = None) -> list[Pair]:
        if folder is None:
            raise UsageError(f"expected the targets that were learnt, a folder called {name}, which nothing here can "
                             "make again; give it: --targets FOLDER")  # fmt: skip
        return load_pairs(paths, [], folder, smallest=smallest, progress=progress)

    return Task(f"targets in {name}", 3, load, load)


def shown_by(folder: Path) -> dict[str, Any]:
    """The resolved target that a folder of ready ones shows: the filter of its note, or {"targets": its name}."""
    try:
        note = read_json((folder / NOTE).read_text(encoding="utf-8"))
        settings = {key: note[key] for key in resolve(note["filter"], {})}
        return resolve_target({"filter": note["filter"]} | settings)
    except (OSError, ValueError, LookupError, TypeError, UsageError):  # no note, or another program's
        return {"targets": folder.resolve().name or "targets"}


def of_strength(target: Mapping[str, Any], strength: float | None = None) -> dict[str, Any]:
    """The resolved target of one strength; by default the one that an adjustable network takes where none is asked."""
    target = resolve_target(target)
    target.pop("strengths", None)
    return target if strength is None else target | {strength_setting(target): strength}


def strength_setting(target: Mapping[str, Any]) -> str:
    """The setting of a resolved target that says how strong it is: a filter's own, a function's, or σ of noise."""
    if "function" in target:
        return "strength"
    return STRENGTH[target["filter"]] if "filter" in target else "noise"


def usual_strength(target: Mapping[str, Any]) -> float:
    """The default strength of a target of an adjustable network; UsageError where it is no target or has none."""
    target = resolve_target(target)
    if strength_setting(target) not in target:
        raise UsageError(f"expected a default strength in [target], got {target}")
    return target[strength_setting(target)]


def noise_of(target: Mapping[str, Any]) -> Noise | None:
    """The noise of a resolved target; None where it is of another kind."""
    if "noise" not in target:
        return None
    return Noise(target["noise"], tuple(target.get("strengths", ())), target.get("colour", False))


def at_each_strength(pairs: Sequence[Pair], task: Task) -> dict[float | None, list[Pair]]:
    """Pairs with the targets of several strengths taken apart; those of one strength are under it, or under None."""
    if not task.strengths:
        return {task.usual: list(pairs)}
    return {s: [(image, targets[i]) for image, targets in pairs] for i, s in enumerate(task.strengths)}


def resolve_target(target: Mapping[str, Any]) -> dict[str, Any]:
    """{"filter": name, and all its settings}, {"function": "module:function"} with a strength where it takes one,
    {"targets": name of the folder of ready ones}, {"noise": σ in 8-bit levels} or {"scale": factor}; by default L0.

    `strengths` beside a filter or function are those of the targets that an adjustable network learns from, beside
    noise the least and the most σ; the filter's own setting, or σ, is then the default strength. `colour` beside noise
    is for pictures in RGB of 8 bits; without it they are grey. No function is looked for: `own_filter` does.

    Raises UsageError for what is none of them.
    """
    named = [key for key in NAMED_BY if key in target]
    if len(named) > 1:
        raise UsageError(f"expected one of {', '.join(NAMED_BY)} in [target], got {' and '.join(named)}")
    if named in (["noise"], ["scale"]):
        known = [*named, *(("strengths", "colour") if named == ["noise"] else ())]
        if other := next((key for key in target if key not in known), None):
            has = f"which has {' and '.join(known[1:])} alone" if known[1:] else "which has no settings"
            raise UsageError(f'unknown setting "{other}" in [target] beside {named[0]}, {has}')
        result = {named[0]: _number(named[0], target[named[0]])}
        if type(target.get("colour", False)) is not bool:
            raise UsageError(f"expected colour in [target] to be true or false, got {target['colour']!r}")
        result |= {"colour": True} if target.get("colour") else {}
        return _with_strengths(result, target.get("strengths"))
    if "targets" in target:
        folder = target["targets"]
        if len(target) > 1 or not isinstance(folder, str) or not 0 < len(folder) <= 255:
            raise UsageError(f"expected targets in [target] to be the name of a folder, alone, got {target!r}")
        return {"targets": folder}
    if "function" in target:
        result = function_target(target)
        return _with_strengths(result, target.get("strengths"))
    name = target.get("filter", "l0")
    if not isinstance(name, str):
        raise UsageError(f"expected filter in [target] to be a text, got {name!r}")
    settings = {key: value for key, value in target.items() if key not in ("filter", "strengths")}
    result = {"filter": name, **resolve(name, settings)}
    return _with_strengths(result, target.get("strengths"))


def _with_strengths(target: dict[str, Any], values: Any) -> dict[str, Any]:
    """The target with those of an adjustable network, which rise; UsageError where the default is not among them."""
    if not values:
        return target
    own, noise = strength_setting(target), "noise" in target
    numbers = isinstance(values, (list, tuple)) and all(
        type(value) in (int, float) and (value > 0 or (noise and value == 0)) for value in values
    )
    if not numbers or len(values) < 2 or sorted(set(values)) != list(values) or (noise and len(values) > 2):
        wanted = "two numbers from 0 that rise" if noise else "a list of numbers above 0 that rise"
        raise UsageError(f"expected strengths in [target] to be {wanted}, got {values!r}")
    if own not in target:
        raise UsageError(f"expected {own} in [target], the default, beside strengths, got none")
    if not values[0] <= target[own] <= values[-1]:
        raise UsageError(f"expected {own} in [target], which is the default, to be from {values[0]} to {values[-1]}, "
                         f"as the strengths are, got {target[own]}")  # fmt: skip
    return target | {"strengths": [float(value) for value in values]}


def strengths_of(target: Mapping[str, Any]) -> tuple[float, ...]:
    """The least and the most of a resolved target's strengths; empty where it has one."""
    strengths = target.get("strengths")
    return (strengths[0], strengths[-1]) if strengths else ()


def channels_of(target: Mapping[str, Any]) -> int:
    """Of the images of a resolved target: smoothing is in RGB, the other tasks are in grey if not in colour."""
    return 3 if any(kind in target for kind in SMOOTHING) or target.get("colour") else 1


def _number(key: str, value: Any) -> Any:
    kinds = {"noise": (int, float), "scale": (int,)}[key]
    if type(value) in kinds and {"noise": 0 < value <= 255, "scale": 2 <= value <= 8}[key]:
        return value
    wanted = {"noise": "a number above 0, to 255", "scale": "a whole number from 2 to 8"}[key]
    raise UsageError(f"expected {key} in [target] to be {wanted}, got {value!r}")


def _denoising(noise: Noise, usual: float | None) -> Task:
    read = read_picture if noise.colour else read_grey

    def training(paths: Sequence[Path], smallest: int, progress: Progress | None) -> list[Pair]:
        return [(clean, clean) for clean in in_parallel(lambda path: read(path, smallest), paths, progress)]

    def scored(paths: Sequence[Path], smallest: int, progress: Progress | None) -> list[Pair]:
        pairs = training(paths, smallest, progress)
        return noise.on([clean for clean, _ in pairs], [path.parent for path in paths])

    name, channels = ("pictures", 3) if noise.colour else ("grey pictures", 1)
    return Task(name, channels, training, scored, nothing_name="doing nothing (noisy)", usual=usual)


def _super_resolution(scale: int) -> Task:
    def load(paths: Sequence[Path], smallest: int, progress: Progress | None) -> list[Pair]:
        return list(in_parallel(lambda path: lower(read_luma(path, smallest), scale), paths, progress))

    return Task(f"lowered x{scale}", 1, load, load, scale, levels, "doing nothing (bicubic)")


def lower(luma: NDArray[np.uint8], scale: int) -> Pair:
    """The image made `scale` times smaller and enlarged again, floats not rounded, and the image itself.

    (H, W, 1); both are cropped to a multiple of `scale`.
    """
    height, width = (side // scale for side in luma.shape[:2])
    luma = luma[: scale * height, : scale * width]
    return enlarge(resize(luma / 255, height, width), scale).astype(np.float32), luma
