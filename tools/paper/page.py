"""A table of the paper as Markdown or CSV: our figures, the published ones in columns of their own, the budgets."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean, pstdev
from typing import Any

from pnen_train.config import SECTIONS
from pnen_train.evaluation.evaluate import Scores

from .published import Figures, Table
from .runs import TrainedRun
from .scores import Inference, Measured

NONE = "–"
Key = tuple[str, str]  # a row's label, and what its runs were made by


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
    head = ["network", "parameters", "without norms"]
    for column in columns:
        head += [f"{column}: PSNR / SSIM / 7x7"] + [f"*{column}, paper*: PSNR / SSIM"] * (column in printed)

    def cells(ours: Callable[[str], str], row: str | None) -> list[str]:
        pairs = ([ours(c)] + [_printed(table.figures.get((row or "", c)))] * (c in printed) for c in columns)
        return [cell for pair in pairs for cell in pair]

    names = names_of(table, entries)
    lines = [[entries[0].idle_name, NONE, NONE, *cells(lambda column: _idle(entries, column), None)]]
    for row, group in _rows(table, entries):
        parameters = [f"{count:,}" for count in group[0].run.parameters] if group else [NONE, NONE]
        name = names[_key(table, group[0])] if group else f"{row} (not trained)"
        lines.append([name, *parameters,
                      *cells(lambda column, group=group: _ours(group, column), row)])  # fmt: skip
    return "\n".join([
        f"Table {table.number}: {table.title}. {_data(entries)}.\n",
        *rows_of([head, *lines]),
        "",
        *rows_of(_budgets(table, entries)),
        "\nOurs: 8-bit results against 8-bit targets, means over images (noisy inputs unrounded); ± is the deviation "
        "over seeds of one recipe, pictures and precision. SSIM: Gaussian window of 11 pixels; 7x7: uniform window, "
        "which the authors' released code uses.",
        f"*Paper*: as printed by Zhu et al. 2020, of full-size networks on whole sets; {table.caveat}.",
    ])  # fmt: skip


def rows_of(table: Sequence[Sequence[str]]) -> list[str]:
    """Markdown of a table; the first row is its head."""
    lines = [f"| {' | '.join(row)} |" for row in table]
    return [lines[0], "|" + "---|" * len(table[0]), *lines[1:]]


def as_csv(table: Table, entries: Sequence[Entry]) -> str:
    """A line for each network and column, then the paper's own."""
    out = io.StringIO()
    fields = ["table", "source", "row", "network", "column", "data", "images", "psnr", "ssim", "ssim_box7",
              "psnr_floor", "idle_psnr", "idle_ssim", "idle_ssim_box7", "seconds_per_image", "inference", "blend",
              "parameters", "parameters_without_norms", "steps", "patches", "crop", "training_seconds", "precision",
              "pictures", "seed", "run", "sha256"]  # fmt: skip
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    names = names_of(table, entries)
    for entry in entries:
        run, ours, idle = entry.run, entry.measured.network, entry.measured.idle
        steps, patches, crop = run.budget
        values = [table.number, "ours", run.row(table), names[_key(table, entry)], entry.column, entry.data,
                  ours.images, ours.psnr, ours.ssim, ours.ssim_box7, ours.psnr_floor, idle.psnr, idle.ssim,
                  idle.ssim_box7, ours.seconds, entry.inference, entry.inference.blend, *run.parameters, steps,
                  patches, crop, run.seconds, run.precision, run.made_by["pictures"], run.seed, run.name,
                  run.checkpoint.sha256()]  # fmt: skip
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
    """Entries that differ in the seed alone together, in the paper's order."""
    rows: list[tuple[str | None, list[Entry]]] = []
    for row in [*table.rows, None]:
        groups: dict[tuple, list[Entry]] = {}
        for entry in entries:
            if entry.run.row(table) == row:
                groups.setdefault(_key(table, entry), []).append(entry)
        rows += [(row, group) for group in groups.values()] or ([(row, [])] if row else [])
    return rows


def names_of(table: Table, entries: Sequence[Entry]) -> dict[Key, str]:
    """A name for all entries of one key: the row's label, and by what it differs from others that have this label."""
    found: dict[str, dict[Key, dict[str, Any]]] = {}
    for entry in entries:
        found.setdefault(entry.run.label(table), {})[_key(table, entry)] = entry.run.made_by
    names = {}
    for label, rivals in found.items():
        first = next(iter(rivals.values()))
        differ = [name for name in dict.fromkeys(chain(*rivals.values()))
                  if any(other.get(name) != first.get(name) for other in rivals.values())]  # fmt: skip
        for key, settings in rivals.items():
            names[key] = ", ".join([label, *(_told(name, settings.get(name)) for name in differ)])
    return names


def _key(table: Table, entry: Entry) -> Key:
    return entry.run.label(table), repr(sorted(entry.run.made_by.items()))


def _told(name: str, value: Any) -> str:
    """A setting in words."""
    if name == "steps":
        return f"{value:,} steps"
    words = name.partition(" ")[2] if name.partition(" ")[0] in SECTIONS else name
    shown = "+".join(map(str, value)) if isinstance(value, tuple) else value
    return f"{words.replace('_', ' ')} {NONE if shown in (None, '') else shown}"


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
    head = ["run", "network", "column", "steps", "patches", "pixels a side", "training seconds", "device", "precision",
            "images", "seed", "inference", "s per image"]  # fmt: skip
    lines, names = [head], names_of(table, entries)
    for entry in entries:
        run, (steps, patches, crop) = entry.run, entry.run.budget
        record = run.training
        seconds = NONE if run.seconds is None else f"{run.seconds:,.0f}"
        lines.append([run.name, names[_key(table, entry)], entry.column, f"{steps:,}", f"{patches:,}", str(crop),
                      seconds,
                      str(record.get("device", NONE)), run.precision or NONE, str(record.get("images", NONE)),
                      NONE if run.seed is None else str(run.seed), str(entry.inference),
                      f"{entry.measured.network.seconds:.2f}"])  # fmt: skip
    return lines
