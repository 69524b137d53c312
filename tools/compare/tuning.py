"""Coarse-to-fine search for the parameters with which a classical smoother comes nearest to a filter."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from pnen_runtime.errors import UsageError
from pnen_runtime.files import write_text
from pnen_runtime.filters.weighted_median import opencv
from pnen_runtime.image import read_rgb
from pnen_train.data.filters import VERSIONS
from pnen_train.data.prepare import reduced
from pnen_train.data.targets import SMALLEST, Maker, Pair
from pnen_train.metrics import psnr

from .classical import CLASSICAL, Axis, Picture

PIECE = 256  # pixels a side
EQUAL = 100.0  # dB that count for a result equal to its target
HALVINGS = 2  # of the step, after the coarse grid
MOST_ROUNDS = 12
Point = dict[str, float]  # a value of every parameter


def pieces(paths: Sequence[Path], scored: Sequence[Path], side: int = PIECE) -> list[Picture]:
    """The centres of the pictures, reduced as training pictures are; UsageError where one of them is scored as well."""
    kept = {_pixels(path): path for path in scored}
    for path in paths:
        if (same := kept.get(_pixels(path))) is not None:
            raise UsageError(f"{path}: expected pictures that are not scored, got {same}; tune on others")
    return [_centre(reduced(read_rgb(path)), side) for path in paths]


def _pixels(path: Path) -> str:
    picture = read_rgb(path)
    if min(picture.shape[:2]) < SMALLEST:
        height, width = picture.shape[:2]
        raise UsageError(f"{path}: expected at least {SMALLEST} pixels a side, got {width}x{height}; take it out")
    return hashlib.sha256(str(picture.shape).encode() + picture.tobytes()).hexdigest()


def _centre(picture: Picture, side: int) -> Picture:
    top, left = (max(0, (length - side) // 2) for length in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def tuned(name: str, maker: Maker, pairs: Sequence[Pair]) -> dict[str, float]:
    """The best parameters of the smoother for the filter of `maker`, on pairs of picture and target.

    They are kept beside the targets, so that the search is done once for the same pictures, filter and libraries.
    """
    smoother = CLASSICAL[name]
    libraries = {"opencv": opencv().__version__, "scikit-image": version("scikit-image")}
    axes = {key: [*axis.first, axis.least, axis.most, axis.whole] for key, axis in smoother.axes.items()}
    made_by = {"smoother": name, "axes": axes, "halvings": HALVINGS, "filter": maker.filter, **maker.settings,
               "version": VERSIONS[maker.filter], **libraries}  # fmt: skip
    digest = hashlib.sha256(json.dumps(made_by).encode())
    for picture, target in pairs:
        digest.update(str(picture.shape).encode() + picture.tobytes() + target.tobytes())
    path = maker.cache / "tuned" / f"{digest.hexdigest()}.json"
    if (kept := _kept(path, smoother.axes)) is not None:
        return kept

    def score(point: Point) -> float:
        return fmean(min(EQUAL, psnr(smoother.smooth(picture, **point), target)) for picture, target in pairs)

    best, level = search(score, smoother.axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(made_by | {"best": best, "psnr": level}, indent=1))
    return best


def _kept(path: Path, axes: Mapping[str, Axis]) -> Point | None:
    try:
        found: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    best = found.get("best") if isinstance(found, dict) else None
    return best if isinstance(best, dict) and best.keys() == axes.keys() else None


def search(score: Callable[[Point], float], axes: Mapping[str, Axis]) -> tuple[Point, float]:
    """The point with the highest score, and that score.

    First the whole grid of first values; then from the best point one step up and down each axis: where that is
    better the search goes there, also beyond the grid, and else the steps are halved (on a logarithmic scale).
    """
    scores: dict[tuple[float, ...], float] = {}

    def of(values: Sequence[float]) -> float:
        key = tuple(_allowed(value, axis) for value, axis in zip(values, axes.values(), strict=True))
        if key not in scores:
            scores[key] = score(dict(zip(axes, key, strict=True)))
        return scores[key]

    for values in product(*(axis.first for axis in axes.values())):
        of(values)
    steps = [axis.first[1] / axis.first[0] for axis in axes.values()]
    halved = 0
    for _ in range(MOST_ROUNDS):
        best = max(scores, key=lambda values: scores[values])
        for place, (axis, step) in enumerate(zip(axes.values(), steps, strict=True)):
            for factor in (step, 1 / step):
                of([*best[:place], _moved(best[place], factor, axis), *best[place + 1 :]])
        if scores[best] == max(scores.values()):
            if halved == HALVINGS:
                break
            halved += 1
            steps = [step**0.5 for step in steps]
    best = max(scores, key=lambda values: scores[values])
    return dict(zip(axes, best, strict=True)), scores[best]


def _moved(value: float, factor: float, axis: Axis) -> float:
    """One step up or down; whole numbers move by at least 1."""
    moved = value * factor
    if axis.whole:
        moved = max(moved, value + 1) if factor > 1 else min(moved, value - 1)
    return moved


def _allowed(value: float, axis: Axis) -> float:
    """Within the axis, with three digits, which is as much as anyone would type."""
    value = min(max(value, axis.least), axis.most)
    return round(value) if axis.whole else float(f"{value:.3g}")
