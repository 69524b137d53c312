"""The comparison as people and programs read it: lines of a terminal, a page in Markdown, JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from model_zoo.pages import table

from .measure import Row, beats
from .ways import Target

LEGEND = (
    "PSNR is that of 8-bit results to the filter's own 8-bit results, the mean over the photographs; the seconds are "
    "those of one CPU thread for a photograph, the median, all ways in turn; the memory is by how much the process "
    "grows while it smooths the first photograph. A way is on the front (●) if no other is as near in as little time. "
    "The classical smoothers' parameters were searched for the highest PSNR on other pictures than those scored. "
    "OpenCV's own forms of a filter take the filter's settings; its `l0Smooth` has other rules at the picture's "
    "border, which change the whole result."
)


@dataclass
class Comparison:
    """What was measured for one target."""

    target: Target
    rows: list[Row]
    left_out: list[str] = field(default_factory=list)  # models, with the reason

    def of(self, kind: str) -> list[Row]:
        return [row for row in self.rows if row.way.kind == kind]

    @property
    def front(self) -> list[Row]:
        """From fast to near."""
        return by_time([row for row in self.rows if row.front])


def words(row: Row) -> str:
    """The way and its tuned parameters."""
    parameters = ", ".join(f"{key} {value:g}" for key, value in row.way.parameters.items())
    return f"{row.way.name} ({parameters})" if parameters else row.way.name


def decibels(row: Row) -> str:
    return "exact" if row.exact else f"{row.psnr:.2f}"


def seconds(value: float) -> str:
    """Three significant digits at most, but no finer than a tenth of a millisecond."""
    return f"{value:.2f}" if value >= 1 or not value else f"{value:.3f}" if value >= 0.01 else f"{value:.4f}"


def cells(row: Row) -> list[str]:
    memory = "" if row.megabytes is None else f"{row.megabytes:.0f}"
    return [words(row), decibels(row), seconds(row.seconds), memory, "●" if row.front else ""]


def verdicts(found: Comparison) -> list[str]:
    """What wins for this target, a sentence each; where a network of ours loses, what to take instead."""
    lines = ["The front, from fast to near: " + ", ".join(f"{row.way.name} {_short(row)}" for row in found.front) + "."]
    networks = found.of("network")
    for row in networks:
        better = [other for other in found.rows if beats(other, row)]
        if not better:
            lines.append(f"`{row.way.name}` is on the front: {_short(row)}.")
            continue
        instead = max(better, key=lambda other: (other.psnr, -other.seconds))
        lines.append(f"`{row.way.name}` loses ({_short(row)}): take {words(instead)} instead ({_short(instead)}).")
    if not networks:
        lines.append("No bundled network does this.")
    lines += [f"Left out: {reason}." for reason in found.left_out]
    return lines


def _short(row: Row) -> str:
    return f"exact in {seconds(row.seconds)} s" if row.exact else f"{row.psnr:.2f} dB in {seconds(row.seconds)} s"


def by_time(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.seconds)


def plain(found: Comparison) -> str:
    """For a terminal."""
    lines = [["", "PSNR dB", "CPU s", "MB", "front"], *map(cells, by_time(found.rows))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([found.target.title, *(line.rstrip() for line in text), *verdicts(found)])


def markdown(
    header: Mapping[str, str], comparisons: Sequence[Comparison], plot: str | None = None, pictures: str | None = None
) -> str:
    """A page; the plot and the pictures are paths beside it."""
    parts = ["# The bundled networks beside the filters and classical smoothers", LEGEND, "## What wins where"]
    parts += [f"**{found.target.title}.** {' '.join(verdicts(found))}" for found in comparisons]
    if plot:
        parts.append(f"![PSNR against CPU seconds]({plot})")
    head = ["way (tuned parameters)", "PSNR dB", "CPU s", "MB", "front"]
    for found in comparisons:
        parts += [f"## {found.target.title}", table(head, [cells(row) for row in by_time(found.rows)])]
    if pictures:
        parts += ["## Pictures", f"![a detail of a photograph by each way]({pictures})"]
    parts += ["## How it was measured", "\n".join(f"- {key}: {value}" for key, value in header.items())]
    return "\n\n".join(parts) + "\n"


def record(header: Mapping[str, str], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """For JSON, which knows no infinity: an exact way has a PSNR of null."""
    return {
        "header": dict(header),
        "targets": [
            {
                "filter": found.target.filter,
                "settings": dict(found.target.maker.settings),
                "left_out": found.left_out,
                "rows": [
                    {
                        "kind": row.way.kind,
                        "name": row.way.name,
                        "parameters": dict(row.way.parameters),
                        "psnr": row.psnr if math.isfinite(row.psnr) else None,
                        "cpu_seconds": row.seconds,
                        "megabytes": row.megabytes,
                        "front": row.front,
                    }
                    for row in found.rows
                ],
            }
            for found in comparisons
        ],
    }
