"""Figures 4 to 13: whom a pixel looks at, feature maps around a block, and crops with their errors.

Usage: python tools/figures.py correlation MODEL.pt astronaut --pixel 100,230 --out correlation.jpg
       python tools/figures.py features MODEL.pt astronaut --out features.jpg
       python tools/figures.py crops astronaut l0 runs/mine --box 40,160,120,120 --out crops.jpg

A picture is a file or one of scikit-image's photographs.
"""

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import skimage
from paper.drawing import Panel, Picture, enlarged, framed, heat, heated, marked, page
from paper.inside import correlations, features
from paper.runs import TrainedRun
from paper.scores import Inference

from pnen_runtime.commands import Group
from pnen_runtime.errors import UsageError
from pnen_runtime.files import replace_when_done
from pnen_train.data.filters import FILTERS, filter_image
from pnen_train.data.targets import SMALLEST
from pnen_train.data.tasks import of_strength, resolve_target, task_of
from pnen_train.evaluation.evaluate import network_smoother
from pnen_train.metrics import levels, psnr

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
OUT = click.option("--out", required=True, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
                   help="The figure; .png or .jpg.")  # fmt: skip
WIDTH = click.option("--width", metavar="PIXELS", type=click.IntRange(min=32), default=260, show_default=True,
                     help="Of a panel.")  # fmt: skip


class Numbers(click.ParamType):
    """Whole numbers with commas between them."""

    def __init__(self, *names: str):
        self.names, self.name = names, ",".join(names)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        parts = value.split(",")
        if len(parts) != len(self.names) or not all(part.strip().isdecimal() for part in parts):
            self.fail(f"expected {self.name}, got {value}", param, ctx)
        return tuple(map(int, parts))


BOX = Numbers("TOP", "LEFT", "HEIGHT", "WIDTH")


@click.group(cls=Group)
def main() -> None:
    """Draw a figure of the paper for a trained network."""


@main.command()
@click.argument("model", metavar="MODEL.pt")
@click.argument("image")
@click.option("--pixel", "pixels", type=Numbers("Y", "X"), multiple=True, required=True, help="Row and column from 0; "
              "may be given repeatedly.")  # fmt: skip
@click.option("--box", type=BOX, help="The part of IMAGE that the network is given.  [default: all]")
@OUT
@WIDTH
def correlation(model: str, image: str, pixels: tuple, box: Any, out: Path, width: int) -> None:
    """Draw whom each PIXEL of IMAGE looks at, in every block at every scale (Figures 5, 6, 8)."""
    run, rows = TrainedRun.of(model), []
    given = cut(pair(run, photograph(image))[0], box)
    network, picture = run.network, shown(given)
    for row, column in pixels:
        panels: list[Panel] = [(f"the pixel {row},{column}\n", marked(picture, row, column))]
        for found in correlations(network, given, (row, column)):
            most = found.weights.max()
            share = enlarged(np.sqrt(found.weights / most), picture.shape[:2], found.stride, found.first)
            caption = f"block {found.block}, scale {found.scale}\nmost {_percent(most)}, {_effective(found.weights)}"
            best = np.unravel_index(found.weights.argmax(), found.weights.shape)
            top, left = (round(found.first + found.stride * (place - 0.5)) for place in best)
            side = max(found.stride, picture.shape[1] // 40)
            panels.append((caption, marked(framed(heated(picture, share), (top, left, side, side)), row, column)))
        rows.append(panels)
    title = "Whom the pixel in the ring looks at: the brighter, the more (square root of the weight); framed: the most"
    save(page(rows, width, title), out)


@main.command("features")
@click.argument("model", metavar="MODEL.pt")
@click.argument("image")
@click.option("--box", type=BOX, help="The part of IMAGE that the network is given.  [default: all]")
@click.option("--channels", metavar="NUMBER", type=click.IntRange(min=1), default=2, show_default=True, help="How many "
              "feature maps of each block: those that it changes most.")  # fmt: skip
@OUT
@WIDTH
def feature_maps(model: str, image: str, box: Any, channels: int, out: Path, width: int) -> None:
    """Draw feature maps in front of and behind every block, and the change (Figures 7, 9)."""
    run, rows = TrainedRun.of(model), []
    given = cut(pair(run, photograph(image))[0], box)
    for found in features(run.network, given):
        change = found.after - found.before
        ratio = np.sqrt((change**2).mean(axis=(1, 2)) / (found.before.var(axis=(1, 2)) + 1e-12))
        for channel in np.argsort(-ratio, kind="stable")[:channels]:
            before, after = found.before[channel], found.after[channel]
            low, high = np.percentile([before, after], [1, 99])
            grey = [np.clip((part - low) / max(high - low, 1e-12), 0, 1) for part in (before, after)]
            most = max(np.percentile(np.abs(change[channel]), 99), 1e-12)
            rows.append([
                (f"block {found.block}, channel {channel}\nin front of the block", shown(grey[0][:, :, None])),
                ("\nbehind it", shown(grey[1][:, :, None])),
                (f"change, {ratio[channel]:.0%} of the deviation in front\nblue less, red more",
                 _signed(change[channel] / most)),
            ])  # fmt: skip
    save(page(rows, width, "Feature maps in front of and behind the non-local blocks"), out)


@main.command()
@click.argument("image")
@click.argument("models", nargs=-1, required=True, metavar="MODEL.pt...")
@click.option("--box", "boxes", type=BOX, multiple=True, required=True, help="What to enlarge; repeatable.")
@click.option("--filter", "filters", multiple=True, type=click.Choice(list(FILTERS)), help="Its result as well.")
@OUT
@WIDTH
def crops(image: str, models: tuple[str, ...], boxes: tuple, filters: tuple[str, ...], out: Path, width: int) -> None:
    """Draw enlarged parts of IMAGE as each MODEL and filter leaves them, and their errors (Figures 4, 11, 13).

    The target is what the task of the models makes of IMAGE.
    """
    path, runs = photograph(image), [TrainedRun.of(model) for model in models]
    learnt = [resolve_target(run.training.get("task", {})) for run in runs]
    if any(other != learnt[0] for other in learnt):
        raise UsageError(f"expected networks that learnt the same, got {' and '.join(map(str, learnt))}")
    given, wanted = pair(runs[0], path)
    results = [("input", shown(given))]
    for run in runs:
        way = Inference.of(run, "own")
        smooth = network_smoother(run.network, way.tile, way.step, way.blend)
        results.append((f"network {run.name}", shown(smooth(given))))
    results += [(f"filter {name}", filter_image(shown(given), name, {})) for name in filters]
    target = f"target: filter {learnt[0]['filter']}" if "filter" in learnt[0] else "target"
    rows = _crop_rows(results, shown(wanted), target, boxes)
    save(page(rows, width, "Results and their distance to the target"), out)


def _crop_rows(
    results: list[Panel], wanted: Picture, target: str, boxes: tuple[tuple[int, int, int, int], ...]
) -> list[list[Panel]]:
    """Two rows for each box: the results with the target, and under each result its error on one scale."""
    rows: list[list[Panel]] = []
    for box in boxes:
        goal = cut(wanted, box)
        parts = [(name, cut(result, box)) for name, result in results]
        errors = [np.abs(part.astype(int) - goal).max(axis=2) for _, part in parts]
        most = max(16, int(np.percentile(errors[1:], 99)))
        whole = ("the picture\n", framed(results[0][1], box))
        rows.append([whole, *((f"{name}\n{psnr(part, goal):.2f} dB here", part) for name, part in parts),
                     (f"{target}\n", goal)])  # fmt: skip
        scale = np.repeat(np.linspace(0, 1, goal.shape[1])[None], max(4, goal.shape[0] // 12), axis=0)
        maps = [(f"error of {name}\nmean {error.mean():.1f} levels", heat(np.clip(error / most, 0, 1)))
                for (name, _), error in zip(parts, errors, strict=True)]  # fmt: skip
        rows.append([(f"colours of the errors:\n0 to {most} levels and more", heat(scale)), *maps])
    return rows


def photograph(image: str) -> Path:
    """This file, or scikit-image's photograph of this name."""
    if image in PHOTOGRAPHS and not Path(image).exists():
        return next((Path(skimage.__file__).parent / "data").glob(f"{image}.*"))
    return Path(image)


def pair(run: TrainedRun, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The picture as the network is given it, and what it should make of it, (H, W, C)."""
    if "task" not in run.training:
        raise UsageError(f"{run.path}: expected a checkpoint that says what it learnt, got one that does not")
    return task_of(of_strength(run.training["task"])).scored([path], SMALLEST, None)[0]


def shown(picture: np.ndarray) -> Picture:
    """(H, W, 1|3), uint8 or floats, as RGB."""
    pixels = picture if picture.dtype == np.uint8 else levels(picture)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def cut(picture: np.ndarray, box: tuple[int, int, int, int] | None) -> np.ndarray:
    """The part within top, left, height and width; UsageError where it reaches out of the picture."""
    if box is None:
        return picture
    top, left, height, width = box
    if min(height, width) < 1 or top + height > picture.shape[0] or left + width > picture.shape[1]:
        raise UsageError(f"expected a box inside {picture.shape[0]} rows and {picture.shape[1]} columns, got {box}")
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


def save(figure: Any, path: Path) -> None:
    """Write it whole or not at all."""
    with replace_when_done(path) as temporary:
        figure.save(temporary, quality=88)
    click.echo(path)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.2%}"


def _effective(weights: np.ndarray) -> str:
    """Over how many reference pixels the weight is spread: the exponential of its entropy."""
    kept = weights[weights > 0]
    return f"spread over {np.exp(-(kept * np.log(kept)).sum()):,.0f} of {weights.size:,}"


def _signed(values: np.ndarray) -> Picture:
    """-1 blue, 0 white, 1 red."""
    values = np.clip(values, -1, 1)[:, :, None]
    ends = np.where(values < 0, (33, 102, 172), (178, 24, 43))
    return np.rint(255 + (ends - 255) * np.abs(values)).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main())
