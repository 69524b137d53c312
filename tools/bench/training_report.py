"""Training steps as people read them: a table and a picture."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from pnen_runtime.files import replace_when_done

COLUMNS = ("variant", "CPU s a step", "lowest to highest", "wall s", "steps/s", "GFLOP a step", "GFLOP/s", "of product",
           "ratio", "first s", "peak MB", "last loss")  # fmt: skip
LEGEND = (
    "variant: the measure that the name says, on top of all those before it.",
    "CPU s, wall s: seconds of a step (batch, forward, loss, backward, optimiser), the median of the rounds' means.",
    "lowest to highest: of the rounds' means of the seconds that the ratio is of; rows that overlap may be equal.",
    "GFLOP: two operations for each multiplication in convolutions and in both products of the attention, forward and "
    "backward; softmax, norms, activations, optimiser, and what a fused attention computes again are not counted.",
    "GFLOP/s: of CPU time on a CPU, so of one thread; of wall time on a GPU.",
    "of product: that, of the best rate of a large matrix product in the row's precision by the same clock, measured "
    "in every round; of FP32 on a CPU the better of PyTorch and ONNX Runtime. Emulated: the processor has no such "
    "arithmetic, so its matrix product is slow as well.",
    "ratio: seconds of the naive variant ÷ this one's, of CPU time on a CPU, of wall time on a GPU.",
    "first s: wall seconds of the first step, with compiling where the variant compiles and PyTorch's cache lacks it.",
    "peak: on a CPU the resident memory of a process that does only this, Python and libraries included; on a GPU what "
    "PyTorch allocated.",
    "last loss: after equally many steps from the same seed, so all should agree within their precision.",
)


@dataclass
class Row:
    """A variant's figures; seconds are of one step."""

    name: str
    precision: str  # "fp32", "tf32" or "bf16": of its products
    first_s: float
    on_gpu: bool
    cpu_s: list[float] = field(default_factory=list)  # a mean for each round, as in the next
    wall_s: list[float] = field(default_factory=list)
    loss: float = math.nan  # of the last step
    peak_bytes: int = 0

    def add(self, answer: dict[str, Any]) -> None:
        """Take in a round."""
        self.cpu_s.append(answer["cpu_s"])
        self.wall_s.append(answer["wall_s"])
        self.loss = answer["loss"]

    @property
    def rounds(self) -> list[float]:
        """Seconds by the clock that counts: other work on the machine adds little to CPU time."""
        return self.wall_s if self.on_gpu else self.cpu_s

    @property
    def seconds(self) -> float:
        return median(self.rounds)


def markdown(header: dict[str, str], rows: list[Row], flops: int, rates: dict[str, float], emulated: set[str]) -> str:
    """Everything, as a page; `flops` of a step, `rates` by precision in operations a second."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---|" + "---:|" * (len(COLUMNS) - 1)]
    for row in rows:
        rate, wall = flops / row.seconds, median(row.wall_s)
        share = f"{rate / rates[row.precision]:.0%} of {row.precision.upper()}"
        seconds = f"{min(row.rounds):.3f} to {max(row.rounds):.3f}"
        cells = (row.name, f"{median(row.cpu_s):.3f}", seconds, f"{wall:.3f}", f"{1 / wall:.2f}", f"{flops / 1e9:,.1f}",
                 f"{rate / 1e9:,.1f}", share + ", emulated" * (row.precision in emulated),
                 f"{rows[0].seconds / row.seconds:.2f}x", f"{row.first_s:.1f}", f"{row.peak_bytes / 1e6:,.0f}",
                 f"{row.loss:.6f}")  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    facts, legend = (["- " + line for line in part] for part in ((f"{k}: {v}" for k, v in header.items()), LEGEND))
    return "\n\n".join("\n".join(part) for part in (facts, lines, legend))


def write_plot(path: Path, title: str, rows: list[Row]) -> None:
    """A bar for each variant, its seconds and its ratio to the naive one; a line from its best round to its worst."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.3 + 0.36 * len(rows)), layout="constrained", dpi=120)
    axes, longest = figure.subplots(), max(max(row.rounds) for row in rows)
    for place, row in enumerate(rows):
        axes.barh(place, row.seconds, 0.66, color="#d1783a" if row.precision == "bf16" else "#2f7f86")
        ends = [min(row.rounds), max(row.rounds)]
        axes.plot(ends, [place, place], color="#222222", linewidth=1, solid_capstyle="butt")
        text = f"{row.seconds:.3g} s  ({rows[0].seconds / row.seconds:.2f}x)"
        axes.text(ends[1] + 0.01 * longest, place, text, va="center", fontsize=8, color="#222222")
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.22 * longest)
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
    clock = "wall" if rows[0].on_gpu else "CPU"
    axes.set_xlabel(
        f"{clock} seconds of a training step, line from the best round to the worst; in brackets the naive one ÷ this",
        fontsize=8,
    )
    axes.tick_params(axis="x", labelsize=7.5, color="#bbbbbb", labelcolor="#666666")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    with replace_when_done(path) as temporary:
        figure.savefig(temporary, format="png")
