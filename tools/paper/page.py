"""A table of the paper as Markdown or CSV: our figures, the published ones in columns of their own, the budgets."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from pnen_train.evaluate import Scores

from .published import Figures, Table
from .runs import TrainedRun
from .scores import Inference, Measured

NONE = "–"


@dataclass(frozen=True)
class Entry:
    """One network's scores in one column of a table."""

    run: TrainedRun
    column: str
    data: str  # which images
    idle_name: str  # of the row of the input itself
    inference: Inference
    measured: Measured


def markdown(table: Table, entries: Sequence[Entry]) -> str:
    """The table, the budgets behind it, and notes; rows of the paper that nobody has trained show its figures only."""
    columns = _columns(table, entries)
    printed = {column for _, column in table.figures}
    head = ["network", "parameters"]
    for column in columns:
        head += [f"{column}: PSNR / SSIM / 7x7"] + [f"*{column}, paper*: PSNR / SSIM"] * (column in printed)

    def cells(ours: Callable[[str], str], row: str | None) -> list[str]:
        pairs = ([ours(c)] + [_printed(table.figures.get((row or "", c)))] * (c in printed) for c in columns)
        return [cell for pair in pairs for cell in pair]

    lines = [[entries[0].idle_name, NONE, *cells(lambda column: _idle(entries, column), None)]]
    for row, group in _rows(table, entries):
        parameters = f"{group[0].run.parameters:,}" if group else NONE
        lines.append([_name(table, row, group, entries), parameters,
                      *cells(lambda column, group=group: _ours(group, column), row)])  # fmt: skip
    return "\n".join([
        f"Table {table.number}: {table.title}. {_data(entries)}.\n",
        *rows_of([head, *lines]),
        "",
        *rows_of(_budgets(table, entries)),
        "\nOurs: 8-bit results against 8-bit targets, means over images (noisy inputs unrounded); ± is the deviation "
        "over seeds. SSIM: Gaussian window of 11 pixels; 7x7: uniform window, which the authors' released code uses. "
        "Parameters without those of norms.",
        f"*Paper*: as printed by Zhu et al. 2020, of full-size networks on whole sets; {table.caveat}.",
    ])  # fmt: skip


def rows_of(table: Sequence[Sequence[str]]) -> list[str]:
    """Markdown of a table; the first row is its head."""
    lines = [f"| {' | '.join(row)} |" for row in table]
    return [lines[0], "|" + "---|" * len(table[0]), *lines[1:]]


def as_csv(table: Table, entries: Iterable[Entry]) -> str:
    """A line for each network and column, then the paper's own."""
    out = io.StringIO()
    fields = ["table", "source", "row", "network", "column", "data", "images", "psnr", "ssim", "ssim_box7",
              "psnr_floor", "idle_psnr", "idle_ssim", "idle_ssim_box7", "seconds_per_image", "inference", "blend",
              "parameters", "steps", "patches", "crop", "training_seconds", "seed", "run", "sha256"]  # fmt: skip
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        run, ours, idle = entry.run, entry.measured.network, entry.measured.idle
        steps, patches, crop = run.budget
        values = [table.number, "ours", run.row(table), run.label(table), entry.column, entry.data, ours.images,
                  ours.psnr, ours.ssim, ours.ssim_box7, ours.psnr_floor, idle.psnr, idle.ssim, idle.ssim_box7,
                  ours.seconds, entry.inference, entry.inference.blend, run.parameters, steps, patches, crop,
                  run.seconds, run.seed, run.name, run.checkpoint.sha256()]  # fmt: skip
        writer.writerow(dict(zip(fields, values, strict=True)))
    for (row, column), (psnr, ssim) in table.figures.items():
        writer.writerow({"table": table.number, "source": "paper", "row": row, "column": column, "psnr": psnr,
                         "ssim": ssim})  # fmt: skip
    return out.getvalue()


def _columns(table: Table, entries: Sequence[Entry]) -> list[str]:
    """Those that were measured, the paper's first and in its order."""
    found = dict.fromkeys(entry.column for entry in entries)
    return [*(c for c in table.columns if c in found), *(c for c in found if c not in table.columns)]


def _rows(table: Table, entries: Sequence[Entry]) -> list[tuple[str | None, list[Entry]]]:
    """Entries of the same network and budget together, in the paper's order; seeds share a line."""
    rows: list[tuple[str | None, list[Entry]]] = []
    for row in [*table.rows, None]:
        groups: dict[tuple, list[Entry]] = {}
        for entry in entries:
            if entry.run.row(table) == row:
                groups.setdefault((entry.run.label(table), entry.run.budget), []).append(entry)
        rows += [(row, group) for group in groups.values()] or ([(row, [])] if row else [])
    return rows


def _name(table: Table, row: str | None, group: list[Entry], entries: Sequence[Entry]) -> str:
    """The row's label, with its steps where the same network was trained for several budgets."""
    if not group:
        return f"{row} (not trained)"
    label, budget = group[0].run.label(table), group[0].run.budget
    rivals = {entry.run.budget for entry in entries if entry.run.label(table) == label}
    return f"{label}, {budget[0]:,} steps" if len(rivals) > 1 else label


def _data(entries: Sequence[Entry]) -> str:
    """Which images, and how many."""
    sets = dict.fromkeys((entry.data, entry.measured.network.images) for entry in entries)
    text = ", ".join(f"{data} ({images} image{'s' * (images > 1)})" for data, images in sets)
    smoothing = any("filter" in entry.run.training["task"] for entry in entries)
    return f"{text}: BSDS500 stand-in" if smoothing and "BSDS500" in text else text


def _ours(group: list[Entry], column: str) -> str:
    """Means over seeds."""
    found = [entry.measured.network for entry in group if entry.column == column]
    return _figures(found) if found else NONE


def _idle(entries: Sequence[Entry], column: str) -> str:
    return _figures([next(entry.measured.idle for entry in entries if entry.column == column)])


def _figures(scores: list[Scores]) -> str:
    levels = [s.psnr for s in scores]
    spread = f" ± {pstdev(levels):.2f}" if len(scores) > 1 and all(map(math.isfinite, levels)) else ""
    return (
        f"{fmean(levels):.2f}{spread} / {fmean(s.ssim for s in scores):.4f} / {fmean(s.ssim_box7 for s in scores):.4f}"
    )


def _printed(figures: Figures | None) -> str:
    if figures is None:
        return NONE
    psnr, ssim = figures
    return f"*{psnr:.2f} / {NONE if ssim is None else f'{ssim:.4f}'}*"


def _budgets(table: Table, entries: Sequence[Entry]) -> list[list[str]]:
    head = ["run", "network", "column", "steps", "patches", "pixels a side", "training seconds", "device", "images",
            "seed", "inference", "s per image"]  # fmt: skip
    lines = [head]
    for entry in entries:
        run, (steps, patches, crop) = entry.run, entry.run.budget
        record = run.training
        seconds = NONE if run.seconds is None else f"{run.seconds:,.0f}"
        lines.append([run.name, run.label(table), entry.column, f"{steps:,}", f"{patches:,}", str(crop), seconds,
                      str(record.get("device", NONE)), str(record.get("images", NONE)),
                      NONE if run.seed is None else str(run.seed), str(entry.inference),
                      f"{entry.measured.network.seconds:.2f}"])  # fmt: skip
    return lines
