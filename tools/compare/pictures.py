"""The comparison as a plot, and a detail of a photograph by the nearest ways."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from paper.drawing import Panel, page
from PIL import Image
from skimage import data

from pnen_train.metrics import psnr

from .classical import Picture
from .measure import Row
from .page import Comparison

COLOURS = {"network": "#d1783a", "classical": "#7a8ca3", "opencv": "#8d5fa8", "exact": "#b03a3a"}
DETAIL = np.s_[20:212, 150:342]  # of scikit-image's coffee
WIDTH, CLASSICAL = 192, 2  # pixels of a panel; so many classical smoothers are shown
NAME = 0.9  # of a name's length: decades of seconds, about
FEWEST_SECONDS = 1e-4  # of a point: the axis is logarithmic


def plot(comparisons: Sequence[Comparison]) -> Figure:
    """A panel for each target: PSNR over CPU seconds, the front as a line, and the time of the filter itself."""
    figure = Figure(figsize=(5.2 * len(comparisons), 5), layout="constrained", dpi=100)
    panels = figure.subplots(1, len(comparisons), squeeze=False)[0]
    for axes, found in zip(panels, comparisons, strict=True):
        _panel(axes, found)
    panels[0].set_ylabel("PSNR to the filter, dB", fontsize=8)
    return figure


def _panel(axes: Axes, found: Comparison) -> None:
    points = [row for row in found.rows if row.way.kind != "nothing" and not row.exact]
    nothing = [row.psnr for row in found.of("nothing") if not row.exact]
    floor = min(nothing, default=0) - 1
    axes.set_title(found.target.title, loc="left", fontsize=10)
    axes.set_xscale("log")
    for row in found.rows:
        if row.exact and row.way.kind != "nothing":
            axes.axvline(_time(row), color=COLOURS[row.way.kind], linestyle=":", linewidth=1.5 if row.front else 0.8)
            axes.annotate(f"{row.way.name}, exact", (_time(row), 0.01), (-3, 0), xycoords=("data", "axes fraction"),
                          textcoords="offset points", rotation=90, ha="right", va="bottom", fontsize=7,
                          color=COLOURS[row.way.kind])  # fmt: skip
    front = [row for row in found.front if not row.exact]
    axes.plot([_time(row) for row in front], [row.psnr for row in front], color="#bbbbbb", linewidth=1, zorder=1)
    for row in points:
        colour = COLOURS[row.way.kind]
        filled = colour if row.front else "white"
        mark = "v" if row.psnr < floor else "o"
        axes.plot(_time(row), max(row.psnr, floor), mark, color=colour, markerfacecolor=filled, markersize=5, zorder=2)
    _name(axes, points, floor)
    for level in nothing:
        axes.axhline(level, color="#888888", linestyle="--", linewidth=0.8)
        axes.annotate("doing nothing", (0.01, level), (0, 2), xycoords=("axes fraction", "data"),
                      textcoords="offset points", fontsize=7, color="#666666")  # fmt: skip
    axes.margins(x=0.25, y=0.08)
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("CPU seconds a photograph, one thread (filled: on the front)", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#bbbbbb")
    axes.tick_params(labelsize=8, color="#bbbbbb", labelcolor="#444444")
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)


def _name(axes: Axes, rows: Sequence[Row], floor: float) -> None:
    """Names to the right of the points, up or down from them where they would lie on names or points."""
    points = {row.way.name: (float(np.log10(_time(row))), max(row.psnr, floor)) for row in rows}
    high, low = max([y for _, y in points.values()], default=1), min([y for _, y in points.values()], default=0)
    line = max(high - low, 1e-6) / 28  # dB of a line of text, about
    placed: list[tuple[float, float]] = []
    for row in sorted(rows, key=lambda row: -row.psnr):
        x, y = points[row.way.name]
        near = [other for name, other in points.items() if name != row.way.name and 0 < other[0] - x < NAME]

        def free(height: float, x: float = x, near: Sequence[tuple[float, float]] = near) -> bool:
            under = [b for a, b in placed if abs(a - x) < NAME]
            return all(abs(b - height) >= line for b in under) and all(abs(b - height) >= line / 2 for _, b in near)

        height = next(y + sign * k * line / 3 for k in range(1000) for sign in (1, -1) if free(y + sign * k * line / 3))
        placed.append((x, height))
        text = row.way.name if row.psnr >= floor else f"{row.way.name}, {row.psnr:.1f} dB"
        axes.annotate(text, (_time(row), y), (_time(row) * 1.15, height), fontsize=7, va="center",
                      color=COLOURS[row.way.kind], weight="bold" if row.way.kind == "network" else None,
                      arrowprops={"arrowstyle": "-", "color": "#cccccc", "linewidth": 0.5, "shrinkB": 2})  # fmt: skip


def _time(row: Row) -> float:
    return max(row.seconds, FEWEST_SECONDS)


def details(comparisons: Sequence[Comparison]) -> Image.Image:
    """A row for each target: the picture, the filter, every network, OpenCV's own form, the nearest classical ones."""
    picture = np.ascontiguousarray(data.coffee()[DETAIL])
    return page([_panels(found, picture) for found in comparisons], WIDTH, "A detail of scikit-image's coffee")


def _panels(found: Comparison, picture: Picture) -> list[Panel]:
    target = found.target.maker.target(picture)
    nearest = sorted(found.of("classical"), key=lambda row: -row.psnr)[:CLASSICAL]
    panels: list[Panel] = [
        (f"{found.target.filter.upper()} at {found.target.level:g}\nthe picture", picture),  # the font has no Greek
        ("the filter itself\n", target),
    ]
    for row in [*found.of("network"), *found.of("opencv"), *nearest]:
        with row.way.ready() as smooth:
            result = smooth(picture)
        panels.append((f"{row.way.name.partition(' (')[0]}\n{psnr(result, target):.1f} dB here", result))
    return panels
