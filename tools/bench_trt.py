"""How fast one network runs on everything this machine has: so far PyTorch and ONNX Runtime on the CPU.

The ways take turns on every size, so that a change in the machine's speed meets all of them alike; quote the ratio.
"""

import json
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import click
import numpy as np
import onnxruntime
import torch

from pnen_export.export import export
from pnen_export.inputs import make_batch
from pnen_export.parity import torch_run
from pnen_runtime.backends import open_backend
from pnen_runtime.commands import Command
from pnen_train.checkpoint import load_checkpoint

Run = Callable[[np.ndarray], np.ndarray]
SIZES = {"96x96": (1, 96, 96), "8 tiles of 96": (8, 96, 96), "192x192": (1, 192, 192), "321x481": (1, 321, 481)}
QUICK = ("96x96", "192x192")
PLAIN_SCORES_PIXELS = 200 * 200  # the standard graph holds all scores; larger pictures would not fit


def ways(model: str, folder: Path) -> dict[str, Run]:
    """Every way to run the checkpoint `model` here, PyTorch in FP32 first."""
    checkpoint = load_checkpoint(model)
    network = checkpoint.model().to(memory_format=torch.channels_last)
    exported = export(checkpoint, folder, "model")
    runs = {f"ONNX Runtime CPU, {file.card.target}": open_backend(file.path).run for file in exported}
    return {"PyTorch, fused attention": torch_run(network), **runs}


def measure(runs: dict[str, Run], batch: np.ndarray, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each repeat, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            start = perf_counter()
            run(batch)
            if repeat:
                times[name].append(1e3 * (perf_counter() - start))
    return times


@click.command(cls=Command)
@click.argument("model", default="l0")
@click.option("--repeats", type=click.IntRange(min=2), default=10, show_default=True)
@click.option("--quick", is_flag=True, help=f"Only {' and '.join(QUICK)}.")
@click.option("--json", "json_path", metavar="FILE", type=click.Path(path_type=Path), help="Also write every repeat.")
def main(model: str, repeats: int, quick: bool, json_path: Path | None) -> None:
    """Time MODEL (a checkpoint or a bundled name) and print a Markdown table."""
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
          f"onnxruntime {onnxruntime.__version__}, {repeats} repeats in turn\n")  # fmt: skip
    print("| size | way | median ms | p90 ms | PyTorch ÷ this | dB to PyTorch |\n|---|---|---|---|---|---|")
    record = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = ways(model, Path(folder))
        for size, shape in SIZES.items():
            if quick and size not in QUICK:
                continue
            small = shape[1] * shape[2] <= PLAIN_SCORES_PIXELS
            fits = {name: run for name, run in runs.items() if small or not name.endswith(", onnx")}
            batch = make_batch("noise", *shape, 3)
            times = measure(fits, batch, repeats)
            expected = next(iter(fits.values()))(batch)
            first = float(np.median(next(iter(times.values()))))
            for name, milliseconds in times.items():
                median, late = np.percentile(milliseconds, [50, 90])
                error = np.mean((fits[name](batch) - expected) ** 2, dtype=np.float64)
                decibels = f"{-10 * np.log10(error):.0f}" if error else "equal"
                ratio = first / median
                print(f"| {size} | {name} | {median:.1f} | {late:.1f} | {ratio:.2f} | {decibels} |", flush=True)
                record[f"{size}, {name}"] = milliseconds
    if json_path:
        json_path.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    sys.exit(main())
