"""What each measure of the trainer is worth: a training step, from a naive one to that of pnen-train.

Every variant trains in a process of its own on made-up pictures, and all take turns, so that a change in the machine's
speed meets them alike; quote the ratio.
"""

import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click
from bench.machine import describe
from bench.process import Process, Settings
from bench.report import check_plot
from bench.training import VARIANTS, Variant, read_variants, step_flops
from bench.training_report import Row, markdown, write_plot

from pnen_runtime.commands import Command
from pnen_runtime.errors import UsageError
from pnen_train.commands.options import device as device_option
from pnen_train.config import Recipe, read_recipe
from pnen_train.device import computes_in_bf16, pick_device
from pnen_train.models import count_parameters
from pnen_train.training.state import build_network

COUNT = click.IntRange(min=1)
KEYS = "; ".join(f"on {kind} {', '.join(v.key for v in variants)}" for kind, variants in VARIANTS.items())


@click.command(cls=Command)
@click.argument("recipe", default="pnen-l0-small")
@click.option("--only", metavar="NAME,...", help=f"Variants out of: {KEYS}; naive always runs.  [default: all]")
@click.option("--rounds", type=COUNT, default=3, show_default=True, help="In which all variants take turns.")
@click.option("--steps", type=COUNT, default=5, show_default=True, help="Of each variant in a round.")
@click.option("--crop", metavar="PIXELS", type=click.IntRange(min=16), help="A side.  [default: the recipe's]")
@click.option("--batch", metavar="CROPS", type=COUNT, help="[default: the recipe's]")
@click.option("--threads", type=COUNT, default=1, show_default=True, help="CPU threads of every variant.")
@click.option("--plot", metavar="FILE.png", type=click.Path(dir_okay=False, path_type=Path), help="Also draw them.")
@device_option
def main(recipe: str, only: str | None, rounds: int, steps: int, crop: int | None, batch: int | None, threads: int,
         plot: Path | None, device: str) -> None:  # fmt: skip
    """Time the training steps of RECIPE (a TOML file or the name of a bundled one) in variants; print Markdown."""
    if plot:
        check_plot()
        if not plot.parent.is_dir():
            raise UsageError(f"{plot.parent} is no folder; make it before the measurements begin")
    changes = ["data.late_share=0", *(f"data.{key}={n}" for key, n in (("crop", crop), ("batch", batch)) if n)]
    found, place = read_recipe(recipe, changes), pick_device(device)
    variants = read_variants(only, place.type)
    header = {"network": title(recipe, found)} | describe()
    job = {"recipe": recipe, "changes": changes, "device": str(place)}
    settings = Settings(repeats=rounds, warm_up=1, seconds=0, longest=0, threads=threads)
    rows, rates = measure(job, variants, settings, steps)
    emulated = set() if computes_in_bf16(place) else {"bf16"}
    header["matrix product"] = ", ".join(
        f"{name.upper()}{' (emulated)' * (name in emulated)} {rate / 1e9:,.0f} GFLOP/s" for name, rate in rates.items()
    )
    header["settings"] = f"rounds: {rounds}, steps in each: {steps}, before them: 1, CPU threads: {threads}"
    print(markdown(header, rows, step_flops(found), rates, emulated))
    if plot:
        machine = header["GPU" if place.type == "cuda" else "processor"]
        write_plot(plot, f"{header['network']}\n{machine}", rows)


def title(name: str, recipe: Recipe) -> str:
    """The recipe, the size of its network, and the batch."""
    count, crop = count_parameters(build_network(recipe)), recipe.data.crop
    return f"{name}, {count:,} parameters, batches of {recipe.data.batch} crops of {crop}x{crop}"


def measure(job: dict, variants: list[Variant], settings: Settings, steps: int) -> tuple[list[Row], dict[str, float]]:
    """A row for each variant; and for each precision the best operations a second of a matrix product."""
    rows, rates = [], {}
    on_gpu = job["device"].startswith("cuda")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:

        def process(variant: Variant) -> Process:
            whole = job | {"program": "torch", "variant": asdict(variant)}
            return stack.enter_context(Process(whole, settings, Path(folder), "bench.training"))

        product, processes = process(variants[0]), [process(variant) for variant in variants]
        for variant, own in zip(variants, processes, strict=True):
            first = own.ask("load")
            rows.append(Row(variant.name, first["precision"], first["wall_s"], on_gpu))
        for _ in range(settings.repeats):
            for row, own in zip(rows, processes, strict=True):
                row.add(own.ask("steps", steps))
            for precision in dict.fromkeys(row.precision for row in rows):
                rates[precision] = max(rates.get(precision, 0), product.ask("rate", precision)["rate"])
        for row, own in zip(rows, processes, strict=True):
            row.peak_bytes = own.ask("peak")["bytes"]
    return rows, rates


if __name__ == "__main__":
    sys.exit(main())
