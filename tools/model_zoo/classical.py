"""A bundled smoother beside the classical ones, as tools/compare_smoothers.py measured them in one run."""

import json
import math
from pathlib import Path
from typing import Any

from pnen_train.data.filters import STRENGTH

from .sections import seconds, table

RUNS = "comparison*.json"  # of --json, beside the pages
USUAL = "bilateral"  # what most people would take


def beside_classical(name: str, folder: Path) -> list[str]:
    """The section, of all runs in the folder that measured the network; nothing where there is none.

    The best classical smoother is the nearest to the filter of those that were tuned, however long it takes.
    """
    rows = []
    for path in sorted(folder.glob(RUNS), key=lambda path: len(path.name)):
        found = json.loads(path.read_text("utf-8"))
        rows += [_row(name, found["header"], target) for target in found["targets"] if _of(target, "network", name)]
    if not rows:
        return []
    head = [
        "photographs",
        "strength",
        "noise",
        "doing nothing, dB",
        "this network",
        "the best classical smoother",
        USUAL,
    ]
    return ["## Beside classical smoothers", "dB, and CPU seconds of one thread, all of a row in the same run. The "
            "classical smoothers are tuned for the filter, the strength and the noise on other pictures: on the "
            "held-out ones for BSDS500's, and the other way round. Forms of the filter itself are not among them: "
            "[the comparison](comparison.md).", table(head, rows)]  # fmt: skip


def _row(name: str, header: dict[str, str], target: dict[str, Any]) -> list[str]:
    classical = [row for row in target["rows"] if row["kind"] == "classical"]
    best = max(classical, key=lambda row: row["psnr"] or math.inf)
    (nothing,), (network,) = _of(target, "nothing"), _of(target, "network", name)
    usual = [_cell(row) for row in classical if row["name"] == USUAL]
    noise, strength = header.get("noise", "none").partition(" on ")[0], target["settings"][STRENGTH[target["filter"]]]
    return [header["scored on"].partition(",")[0], f"{strength:g}", noise, f"{nothing['psnr']:.2f}",
            f"**{_cell(network)}**", f"{best['name']}: {_cell(best)}", *(usual or [""])]  # fmt: skip


def _of(target: dict[str, Any], kind: str, name: str | None = None) -> list[dict[str, Any]]:
    return [row for row in target["rows"] if row["kind"] == kind and name in (None, row["name"])]


def _cell(row: dict[str, Any]) -> str:
    nearness = "exact" if row["psnr"] is None else f"{row['psnr']:.2f}"
    return f"{nearness} in {seconds(row['cpu_seconds'])} s"
