"""Pictures of a bundled model's page: its training, where it differs most from the filter, and all models at once."""

from collections.abc import Sequence
from io import BytesIO
from itertools import cycle, groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray
from paper.drawing import Panel, page
from PIL import Image
from skimage import data

from pnen_runtime import Smoother
from pnen_train.metrics import levels, psnr

from .learnt import pairs_to_score
from .tiles import PHOTOGRAPHS

CROP, WIDTH, LOUDER = 96, 200, 4  # pixels of a crop's side, of a panel's width, and how often the error is taken
OTHER = {"coffee": np.s_[100:260, 120:320]}  # photograph and place
PHOTONS, GRAIN = 30, 3  # that make white, in the mean; pixels a side
COLOURS = ("#2f7f86", "#d1783a", "#8d5fa8", "#7a8ca3")


def training_curve(name: str, rows: Sequence[dict[str, Any]]) -> Figure:
    """The validation's PSNR over the steps."""
    figure = Figure(figsize=(6, 2.8), layout="constrained", dpi=110)
    axes = figure.subplots()
    axes.plot([row["step"] for row in rows], [row["psnr"] for row in rows], color=COLOURS[0], marker=".")
    axes.set_title(f"{name}: training, {rows[-1]['seconds'] / 60:.0f} minutes", loc="left", fontsize=10)
    axes.set_xlabel("steps", fontsize=8)
    axes.set_ylabel("validation PSNR, dB", fontsize=8)
    _plain(axes)
    return figure


def failures(smoother: Smoother) -> Image.Image:
    """From each photograph the square where the network differs most from what it should give, the worst first."""
    task, rows, strength = smoother.card.task, [], smoother.card.strength.get("default")
    wanted = f"filter {task['filter']}" if "filter" in task else "as it was"
    for name in PHOTOGRAPHS:
        ((image, target),) = pairs_to_score(task, [np.ascontiguousarray(getattr(data, name)())], strength)
        smooth, image = (_eight_bits(picture) for picture in (smoother.run_network(image, strength=strength), image))
        error = np.abs(smooth.astype(int) - target)
        top, left = worst_place((error**2).mean(axis=2), CROP)
        place = np.s_[top : top + CROP, left : left + CROP]
        level, loud = psnr(smooth[place], target[place]), np.minimum(LOUDER * error[place], 255).astype(np.uint8)
        panels: list[Panel] = [
            (f"{name}, row {top}, column {left}", _rgb(image[place])),
            (f"network: {level:.1f} dB here", _rgb(smooth[place])),
            (wanted, _rgb(target[place])),
            (f"error x {LOUDER}", _rgb(loud)),
        ]
        rows.append((level, panels))
    ordered = sorted(rows, key=lambda row: row[0])
    other = "filter" if "filter" in task else "picture"
    return page([panels for _, panels in ordered], WIDTH, f"Where network and {other} differ most")


def other_noise(smoother: Smoother) -> Image.Image:
    """What a denoiser makes of noise that it never saw, estimating σ itself."""
    rows = []
    for name, place in OTHER.items():
        clean = np.ascontiguousarray(getattr(data, name)()[place])
        for kind, spoilt in spoil(clean).items():
            made = smoother.run(spoilt)
            rows.append([(f"{kind}: {psnr(spoilt, clean):.1f} dB", spoilt),
                         (f"network: {psnr(made, clean):.1f} dB", made), ("as it was", clean)])  # fmt: skip
    return page(rows, WIDTH, "Noise of other kinds")


def spoil(clean: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """An (H, W, 3) picture with noise of kinds other than Gaussian noise that is the same everywhere."""
    random, file = np.random.default_rng(0), BytesIO()
    Image.fromarray(clean).save(file, "JPEG", quality=10)
    photons = random.poisson(clean / 255 * PHOTONS) / PHOTONS
    coarse = random.normal(0, 20, (-(-clean.shape[0] // GRAIN), -(-clean.shape[1] // GRAIN), 1))
    grain = coarse.repeat(GRAIN, 0).repeat(GRAIN, 1)[: clean.shape[0], : clean.shape[1]]
    return {"JPEG of quality 10": np.asarray(Image.open(file)), f"Poisson, {PHOTONS} photons": levels(photons),
            f"grain of {GRAIN} pixels": levels((clean + grain) / 255)}  # fmt: skip


def _eight_bits(picture: NDArray[Any]) -> NDArray[np.uint8]:
    return picture if picture.dtype == np.uint8 else levels(picture)


def _rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture.repeat(3, axis=2) if picture.shape[2] == 1 else picture


def worst_place(error: NDArray[np.floating], side: int) -> tuple[int, int]:
    """Top and left of the square with the largest sum of `error`, (H, W)."""
    sums = np.pad(error, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    squares = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(squares.argmax(), squares.shape)
    return int(top), int(left)


def zoo(records: dict[str, dict[str, Any]]) -> Figure:
    """A panel for each filter: PSNR over CPU seconds for the tiles of each model, its input, and the filter's time."""
    names = sorted(records, key=lambda name: records[name]["task"]["filter"])
    panels = [(key, list(group)) for key, group in groupby(names, lambda name: records[name]["task"]["filter"])]
    figure = Figure(figsize=(4.4 * len(panels), 4.4), layout="constrained", dpi=100)
    parts = figure.subplots(2, len(panels), sharex="col", height_ratios=[6, 1], squeeze=False)
    for (filter_name, models), (upper, lower) in zip(panels, parts.T, strict=True):
        for name, colour in zip(models, cycle(COLOURS), strict=False):
            _tiles(upper, name, records[name]["tile_study"], colour)
        cpu, study = records[models[0]]["cpu"], records[models[0]]["study"]
        nothing, filtered = study["nothing_psnr"], study["filter_seconds"]
        lower.axhline(nothing, color="#888888", linestyle="--")
        lower.set_ylim(nothing - 0.5, nothing + 0.5)
        lower.set_yticks([nothing], [f"{nothing:.1f}"])
        lower.text(0.3, 0.6, "doing nothing", transform=lower.transAxes, fontsize=7.5, color="#666666")
        for axes in (upper, lower):
            axes.axvline(filtered, color="#b03a3a", linestyle=":")
            _plain(axes)
        upper.set_title(f"{filter_name.upper()} (dotted: the filter itself, {filtered:.2g} s)",
                        loc="left", fontsize=9)  # fmt: skip
        upper.set_xscale("log")
        upper.margins(x=0.1, y=0.1)
        middle, reach = np.mean(upper.get_ylim()), max(np.ptp(upper.get_ylim()), 1) / 2  # a hundredth of a dB is none
        upper.set_ylim(middle - reach, middle + reach)
        lower.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        lower.xaxis.set_major_formatter("{x:g}")
        lower.xaxis.set_minor_locator(NullLocator())
        upper.spines["bottom"].set_visible(False)
        upper.tick_params(axis="x", which="both", length=0)
        upper.legend(fontsize=8, loc="lower right", frameon=False)
        lower.set_xlabel(f"CPU seconds an image, {cpu['runtime']}, one thread", fontsize=8)
    parts[0, 0].set_ylabel("PSNR to the filter, dB", fontsize=8)
    return figure


def _tiles(axes: Axes, name: str, rows: Sequence[dict[str, Any]], colour: str) -> None:
    """All tiles as points; the line joins and names those that no other tile beats in both time and PSNR."""
    ordered = sorted(rows, key=lambda row: row["cpu_seconds"])
    front = [row for place, row in enumerate(ordered)
             if all(other["psnr"] < row["psnr"] for other in ordered[:place])]  # fmt: skip
    axes.plot([row["cpu_seconds"] for row in front], [row["psnr"] for row in front], color=colour, label=name)
    axes.plot([row["cpu_seconds"] for row in ordered], [row["psnr"] for row in ordered], ".", color=colour)
    for row in front:
        text = "whole" if row["step"] is None else f"{row['tile']}/{row['step']}"
        axes.annotate(text, (row["cpu_seconds"], row["psnr"]), (3, -3), textcoords="offset points", fontsize=7,
                      rotation=-35, rotation_mode="anchor", va="top")  # fmt: skip


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#bbbbbb")
    axes.tick_params(labelsize=8, color="#bbbbbb", labelcolor="#444444")
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
