"""Table 3: what the blocks cost. Operations, memory of a step and of a forward pass, parameters.

Usage: python tools/table3.py                         # the paper's three networks
       python tools/table3.py l0 runs/mine --side 96  # any checkpoints, run folders, or presets
"""

import csv
import platform
import sys
from typing import Any

import click
import torch
from paper.memory import peak_bytes
from paper.page import NONE, rows_of
from paper.published import TABLE2, TABLE3
from paper.runs import TrainedRun

from pnen_runtime.commands import Command
from pnen_train.commands.options import device as device_option
from pnen_train.device import pick_device
from pnen_train.models import build, count_parameters
from pnen_train.models.presets import PRESETS
from pnen_train.models.size import count_macs
from pnen_train.progress import bar

HEAD = ("network", "parameters", "without norms", "GMAC, convolutions", "GMAC", "GFLOP, convolutions", "GFLOP",
        "step GB", "step GB, scores kept", "forward GB", "forward GB, scores kept",
        "*paper*: GFLOP", "*paper*: GB", "*paper*: PSNR dB")  # fmt: skip


def networks(named: tuple[str, ...]) -> list[tuple[str, str, dict[str, Any]]]:
    """(label, network, settings) of presets, run folders and checkpoints."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    for name in named or [row.preset for row in TABLE3.values()]:
        if name in PRESETS:
            found.append((next((row for row, paper in TABLE3.items() if paper.preset == name), name), name, {}))
        else:
            run = TrainedRun.of(name)
            found.append((run.label(TABLE2), run.checkpoint.network, run.checkpoint.config))
    return found


@click.command(cls=Command)
@click.argument("named", nargs=-1, metavar="[NETWORK]...")
@click.option("--side", metavar="PIXELS", type=click.IntRange(min=16), default=96, show_default=True)
@click.option("--batch", metavar="IMAGES", type=click.IntRange(min=1), default=8, show_default=True, help="Of the "
              "memory; operations are of one image.")  # fmt: skip
@click.option("--memory/--no-memory", default=True, help="Without it only what is counted, in seconds.")
@click.option("--csv", "comma", is_flag=True)
@device_option
def main(named: tuple[str, ...], side: int, batch: int, memory: bool, comma: bool, device: str) -> None:
    """Measure every NETWORK (a preset, a run folder or a checkpoint; by default the paper's three)."""
    place, found, lines = pick_device(device), networks(named), []
    with bar("networks", len(found)) as advance:
        for label, network, settings in found:
            lines.append(line(label, network, settings, side, batch, str(place) if memory else None))
            advance(len(lines))
    if comma:
        return csv.writer(sys.stdout, lineterminator="\n").writerows([HEAD, *lines])
    where = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{platform.machine()} CPU"
    print(
        f"Table 3: resources at {side}x{side} pixels, memory at batch {batch}. {where}, PyTorch {torch.__version__}.\n"
    )
    print("\n".join(rows_of([HEAD, *lines])))
    print("\nGMAC: 10⁹ multiplications with an addition for one image, in convolutions and the two products of each "
          "attention; GFLOP: two of them. Norms, activations, biases, sums and the softmax are not counted. "
          "GB: 10⁹ bytes, each measured in a process of its own; step: forward, backward and Adam in FP32. On a GPU "
          "what PyTorch allocated at most; on a CPU how much the process grew, allocator's reserves included. "
          "Scores kept: attention by matrix products that hold the scores, as code of the paper's time did; the "
          "other columns: fused attention.\n*Paper*: as printed by Zhu et al. 2020; no convention gives its three "
          "GFLOP figures, and 42.5 is the only one that we meet.")  # fmt: skip


def line(label: str, network: str, settings: dict[str, Any], side: int, batch: int, device: str | None) -> list[str]:
    """One network's figures; without a device no memory."""
    with torch.device("meta"):
        model = build(network, settings).eval()
    convolutions, macs = (count_macs(model, side, side, attention=attention) / 1e9 for attention in (False, True))
    gigabytes = [NONE] * 4
    if device is not None:
        ways = [{"training": training, "scores": scores} for training in (True, False) for scores in (False, True)]
        if macs == convolutions:  # no attention, no scores
            ways[1], ways[3] = ways[0], ways[2]
        measured = {str(way): peak_bytes(network, settings, side, batch, device=device, **way)
                    for way in {str(way): way for way in ways}.values()}  # fmt: skip
        gigabytes = [f"{measured[str(way)] / 1e9:.2f}" for way in ways]
    paper = TABLE3.get(label)
    printed = (
        [f"*{paper.gflop}*", f"*{paper.gigabytes}*", f"*{paper.psnr:.2f}*"] if paper and side == 96 else [NONE] * 3
    )
    counted = [f"{value:.2f}" for value in (convolutions, macs, 2 * convolutions, 2 * macs)]
    sizes = [f"{count_parameters(model, norms=norms):,}" for norms in (True, False)]
    return [label, *sizes, *counted, *gigabytes, *printed]


if __name__ == "__main__":
    sys.exit(main())
