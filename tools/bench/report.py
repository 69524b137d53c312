"""The rows as people and programs read them: a table, JSON, CSV and a picture."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pnen_runtime.errors import BackendMissing
from pnen_runtime.files import replace_when_done, write_text

from .measure import Row

EQUAL = 200.0  # dB
COLUMNS = (
    "way",
    "best ms",
    "median",
    "p90",
    "p99",
    "network ms",
    "peak MB",
    "dB",
    "GFLOP/s",
    "of product",
    "speed",
    "repeats",
)
LEGEND = (
    "best, median, p90, p99: milliseconds from array to array, of that many repeats, all ways in turn.",
    "network: its median alone; on a GPU by CUDA events with the data there, on a CPU the time inside the backend.",
    "peak: on a CPU the resident memory of a process that does only this, Python and libraries included; on a GPU what "
    "the driver has less free than before that process's first use of it.",
    "dB: PSNR to PyTorch FP32 at the same setting, peak 1; of 8-bit results where the input is an image.",
    "GFLOP/s: two operations for each multiplication in the convolutions and attention products of the trained "
    "network, per second of 'network'; padding, softmax and sums are not counted.",
    "of product: that, of the best rate of a large matrix product measured here in the same precision on the same "
    "device before and after all this; of FP32 on a CPU the better of PyTorch and ONNX Runtime.",
    "speed: median of PyTorch FP32 ÷ median of this way.",
)


def cells(row: Row) -> list[str]:
    """The row under `COLUMNS`."""
    if row.reason:
        return [row.name, "not run: " + row.reason]
    decibels = "" if row.psnr_db is None else "equal" if row.psnr_db >= EQUAL else f"{row.psnr_db:.1f}"
    return [
        row.name,
        *(milliseconds(value) for value in (row.best_ms, row.median_ms, row.p90_ms, row.p99_ms, row.network_ms)),
        "" if row.peak_mb is None else f"{row.peak_mb:,.0f}",
        decibels,
        f"{row.gflop_per_s:,.0f}",
        "" if row.share is None else f"{row.share:.0%}",
        "" if row.speedup is None else f"{row.speedup:.2f}x",
        str(row.repeats),
    ]


def milliseconds(value: float) -> str:
    """Three digits at least."""
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def by_case(rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Each case's title and rows."""
    for title, group in groupby(rows, lambda row: row.case):
        of_case = list(group)
        yield f"{title}: {of_case[0].gflop:,.1f} GFLOP", of_case


def markdown(record: dict[str, Any], rows: list[Row]) -> str:
    """Everything, as a page."""
    parts = ["\n".join(f"- {key}: {value}" for key, value in record["header"].items())]
    for title, of_case in by_case(rows):
        lines = [f"### {title}", "", f"| {' | '.join(COLUMNS)} |", "|---|" + "---:|" * (len(COLUMNS) - 1)]
        for row in of_case:
            texts = cells(row)
            lines.append(f"| {' | '.join(texts + [''] * (len(COLUMNS) - len(texts)))} |")
        parts.append("\n".join(lines))
    if record["missing"]:
        lines = [f"- {name}: {reason}" for name, reason in record["missing"].items()]
        parts.append("\n".join(["### Cannot run here", "", *lines]))
    parts.append("\n".join(f"- {line}" for line in LEGEND))
    return "\n\n".join(parts)


def print_report(record: dict[str, Any], rows: list[Row], console: Console) -> None:
    """Tables on a terminal, Markdown elsewhere."""
    if not console.is_terminal:
        print(markdown(record, rows))
        return
    for key, value in record["header"].items():
        console.print(f"[bold]{key}[/bold] {value}", highlight=False)
    for title, of_case in by_case(rows):
        table = Table(title=title, title_justify="left", title_style="bold")
        for column in COLUMNS:
            table.add_column(column, justify="left" if column == "way" else "right", overflow="fold")
        refused = []
        for row in of_case:
            if row.reason:
                refused.append(row)
            else:
                table.add_row(*cells(row))
        console.print()
        console.print(table)
        for row in refused:
            console.print(" ".join(cells(row)), style="yellow", highlight=False, markup=False)
    if record["missing"]:
        console.print("\nCannot run here", style="bold")
        for name, reason in record["missing"].items():
            console.print(f"{name}: {reason}", style="yellow", highlight=False, markup=False)
    console.print()
    for line in LEGEND:
        console.print(line, style="dim", highlight=False, markup=False)


def write_json(path: Path, record: dict[str, Any], rows: list[Row]) -> None:
    """Everything that was measured, each repeat too."""
    whole = record | {"legend": LEGEND, "rows": [asdict(row) for row in rows]}
    write_text(path, json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, rows: list[Row]) -> None:
    """A line for each row, without its repeats."""
    names = [entry.name for entry in fields(Row) if not entry.name.endswith("times_ms")]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(path, text.getvalue())


FAMILIES = {"torch": "#7a8ca3", "ort": "#2f7f86", "trt": "#d1783a", "rtx": "#8d5fa8"}  # by the start of a way's key


def check_plot() -> None:
    """BackendMissing where a picture cannot be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise BackendMissing(f"--plot needs matplotlib ({error}); install it: pip install matplotlib") from error


def write_plot(path: Path, record: dict[str, Any], rows: list[Row]) -> None:
    """A panel for each case: a bar for each way to its median, a line on to its p90."""
    check_plot()
    from matplotlib.figure import Figure

    cases = list(by_case(rows))
    columns = 1 if len(cases) <= 4 else 2
    heights = [max(len(of_case) for _, of_case in cases[at : at + columns]) for at in range(0, len(cases), columns)]
    size = 10 * columns, 0.9 + sum(0.27 * height + 0.62 for height in heights)
    figure = Figure(figsize=size, layout="constrained", dpi=130 if columns == 1 else 100)
    ratios = [height + 1.2 for height in heights]
    panels = figure.subplots(len(heights), columns, height_ratios=ratios, squeeze=False).ravel()
    for axes in panels[len(cases) :]:
        axes.set_axis_off()
    panels = panels[: len(cases)]
    for axes, (title, of_case) in zip(panels, cases, strict=True):
        longest = max((row.p90_ms for row in of_case if not row.reason), default=1.0)
        for place, row in enumerate(of_case):
            if row.reason:
                reason = row.reason if len(row.reason) < 110 else row.reason[:107] + "..."
                axes.text(0, place, f" not run: {reason}", va="center", fontsize=7.5, color="#888888")
                continue
            axes.barh(place, row.median_ms, 0.66, color=FAMILIES[row.way.partition("-")[0]])
            axes.plot([row.median_ms, row.p90_ms], [place, place], color="#222222", linewidth=1, solid_capstyle="butt")
            speed = "" if row.speedup is None else f"  ({row.speedup:.2f}x)"
            text = f"{milliseconds(row.median_ms)} ms{speed}"
            axes.text(row.p90_ms + 0.01 * longest, place, text, va="center", fontsize=8, color="#222222")
        axes.set_yticks(range(len(of_case)), [row.name for row in of_case], fontsize=8)
        axes.set_ylim(len(of_case) - 0.4, -0.6)
        axes.set_xlim(0, 1.22 * longest)
        axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
        axes.tick_params(axis="x", labelsize=7.5, color="#bbbbbb", labelcolor="#666666")
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.spines["left"].set_color("#bbbbbb")
        axes.grid(axis="x", color="#e8e8e8", linewidth=0.8)
        axes.set_axisbelow(True)
    panels[-1].set_xlabel(
        "milliseconds: bar to the median, line to the 90th percentile; in brackets PyTorch FP32 ÷ this",
        fontsize=8,
        color="#444444",
    )
    header = record["header"]
    machine = header["processor"] if header["GPU"] == "none" else header["GPU"]
    figure.suptitle(f"{header['model']} on {machine}", x=0.01, ha="left", fontsize=12, fontweight="bold")
    with replace_when_done(path) as temporary:
        figure.savefig(temporary, format="png")
