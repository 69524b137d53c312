"""A bundled smoother beside the classical ones, as tools/compare_smoothers.py measured them in one run."""

import json
import math
from pathlib import Path
from typing import Any

from compare.ways import SYMBOL

from pnen_train.data.filters import STRENGTH

from .sections import seconds, table

RUNS = "comparison*.json"  # of --json, beside the pages
KINDS = ("nothing", "network", "exact", "opencv", "classical")  # of ways, as they come in a table
FORMS = {"exact": "the filter itself", "opencv": "OpenCV's own form of it"}
USUAL = "bilateral"  # what most people would take


def beside_classical(name: str, folder: Path) -> list[str]:
    """The section, of all runs in the folder that measured the network; nothing where there is none.

    The best classical smoother is the nearest to the filter of those that were tuned, however long it takes.
    """
    rows, instead = [], []
    for path in sorted(folder.glob(RUNS), key=lambda path: len(path.name)):
        found = json.loads(path.read_text("utf-8"))
        targets = [target for target in found["targets"] if _of(target, "network", name)]
        rows += [_row(name, found["header"], target) for target in targets]
        instead += [
            _instead(name, found["header"], target)
            for target in targets
            if not _of(target, "network", name)[0]["front"]
        ]
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
            "held-out ones (reduced) for BSDS500's, and the other way round. Forms of the filter itself are not among "
            "them: [the comparison](comparison.md).", table(head, rows), *instead]  # fmt: skip


def all_in_one(folder: Path) -> list[str]:
    """The whole run on the photographs of the scores as one table; nothing where it was not made."""
    path = folder / RUNS.replace("*", "")
    if not path.exists():
        return []
    found = json.loads(path.read_text("utf-8"))
    targets, ways = found["targets"], dict[tuple[str, str], list[str]]()
    for number, target in enumerate(targets):
        for row in target["rows"]:
            cells = ways.setdefault((row["kind"], FORMS.get(row["kind"], row["name"])), [""] * len(targets))
            cells[number] = f"{_cell(row)}{' ●' * row['front']}" if row["kind"] != "nothing" else f"{row['psnr']:.2f}"
    head = [f"{target['filter'].upper()}, {SYMBOL[target['filter']]} = "
            f"{target['settings'][STRENGTH[target['filter']]]:g}" for target in targets]  # fmt: skip
    rows = [[f"[{name}]({name}.md)" if kind == "network" else name, *cells]
            for order in KINDS for (kind, name), cells in ways.items() if kind == order]  # fmt: skip
    return [
        "The same beside the exact filters, OpenCV's forms of them and classical smoothers: dB, and CPU seconds of one "
        f"thread, on {found['header']['scored on'].partition(',')[0]}, all in the same run; ● is on the front of "
        f"nearness and time. The classical smoothers are tuned on {found['header']['tuned on']}.",
        table(["way", *head], rows),
        "[The comparison](comparison.md) has what they were tuned to, memory, other photographs and noise, and says "
        "what to take where a network is not on the front.",
    ]


def _row(name: str, header: dict[str, str], target: dict[str, Any]) -> list[str]:
    classical = [row for row in target["rows"] if row["kind"] == "classical"]
    best = max(classical, key=lambda row: row["psnr"] or math.inf)
    (nothing,), (network,) = _of(target, "nothing"), _of(target, "network", name)
    usual = [_cell(row) for row in classical if row["name"] == USUAL]
    noise, strength = header.get("noise", "none").partition(" on ")[0], target["settings"][STRENGTH[target["filter"]]]
    return [header["scored on"].partition(",")[0], f"{strength:g}", noise, f"{nothing['psnr']:.2f}",
            f"**{_cell(network)}**", f"{best['name']}: {_cell(best)}", *(usual or [""])]  # fmt: skip


def _instead(name: str, header: dict[str, str], target: dict[str, Any]) -> str:
    """What is at least as near in as little time."""
    (network,) = _of(target, "network", name)
    better = [row for row in target["rows"] if row is not network and row["cpu_seconds"] <= network["cpu_seconds"]
              and (row["psnr"] is None or row["psnr"] >= network["psnr"])]  # fmt: skip
    best = max(better, key=lambda row: row["psnr"] or math.inf)
    strength, noise = target["settings"][STRENGTH[target["filter"]]], header.get("noise", "").partition(" on ")[0]
    values = ", ".join(f"{key} {value:g}" for key, value in best["parameters"].items())
    return (f"On {header['scored on'].partition(',')[0]}{f' with noise of {noise}' * bool(noise)}, at strength "
            f"{strength:g}, take {best['name']}{f' ({values})' * bool(values)} instead: {_cell(best)}.")  # fmt: skip


def _of(target: dict[str, Any], kind: str, name: str | None = None) -> list[dict[str, Any]]:
    return [row for row in target["rows"] if row["kind"] == kind and name in (None, row["name"])]


def _cell(row: dict[str, Any]) -> str:
    nearness = "exact" if row["psnr"] is None else f"{row['psnr']:.2f}"
    return f"{nearness} in {seconds(row['cpu_seconds'])} s"
