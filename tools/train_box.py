"""One box of a longer training, on a machine that may be bare and is taken away: targets, train, evaluate, pack.

Usage: python tools/train_box.py RECIPE IMAGES... --validation FOLDER --out BOX --max-time 9
       python tools/train_box.py RECIPE IMAGES... --validation FOLDER --out NEXT --begin BOX --max-time 9
       python tools/train_box.py pnen-gpu IMAGES... --validation FOLDER --out BOX --max-time 5.5 --fit   # a whole run

A box is a folder of at most 8 files, none over 16 MB (for PNEN none over 8 MB), with all that the next one begins with.
What was trained is packed whatever happens after it: an interrupt, a scoring that fails.
"""

import json
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from bench.machine import describe
from model_zoo.pictures import training_curve
from paper.runs import TrainedRun

from pnen_runtime.commands import Command
from pnen_runtime.errors import UsageError
from pnen_runtime.files import replace_when_done, write_text
from pnen_train.checkpoint import load_checkpoint
from pnen_train.cli import main as pnen_train
from pnen_train.config import Recipe, read_recipe
from pnen_train.device import pick_device
from pnen_train.models import count_parameters
from pnen_train.parts import LARGEST
from pnen_train.training.state import build_network

FILES, BYTES = 8, 16_000_000  # what a box may hold
CARRIED = ("last.pt*", "best.pt", "metrics.jsonl")


@click.command(cls=Command)
@click.argument("recipe")
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--validation", required=True, type=click.Path(exists=True, path_type=Path), help="Images to score on.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The box; must be empty.")
@click.option("--begin", type=click.Path(exists=True, file_okay=False, path_type=Path), help="The box before.")
@click.option("--max-time", metavar="MINUTES", type=click.FloatRange(min=0, min_open=True), default=9,
              show_default=True, help="Training ends then; scores and packing come after it.")  # fmt: skip
@click.option("--fit", is_flag=True, help="As for pnen-train run: the whole run ends with --max-time.")
@click.option("--scored", metavar="IMAGES", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--set", "changes", metavar="SECTION.KEY=VALUE", multiple=True, help="As for pnen-train run.")
@click.option("--device", default="auto", show_default=True)
def main(
    recipe: str,
    images: tuple[Path, ...],
    validation: Path,
    out: Path,
    begin: Path | None,
    max_time: float,
    fit: bool,
    scored: int,
    changes: tuple[str, ...],
    device: str,
) -> None:
    """Train RECIPE on IMAGES for --max-time minutes, go on from the box --begin, and leave a box in --out."""
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out}: expected an empty folder for the box, found files; name another --out")
    started, sets = time.monotonic(), [word for change in changes for word in ("--set", change)]
    refuse_what_no_box_holds(read_recipe(recipe, changes))
    if pick_device(device).type == "cpu" and device == "auto":
        click.echo("no GPU: this trains on the CPU", err=True)
    with TemporaryDirectory() as place:
        run = Path(place) / Path(recipe).stem
        run.mkdir()
        for name in carried(begin) if begin else ():
            shutil.copy(name, run)
        if begin and not (run / "last.pt").is_file():
            raise UsageError(f"{begin}: expected a box with last.pt, found none")
        first = TrainedRun.of(run) if begin else None
        try:
            call("run", recipe, *images, "--validation", validation, "--out", run, "--max-time", max_time, *sets,
                 "--device", device, *["--fit"] * fit, *["--resume"] * bool(begin))  # fmt: skip
            call("evaluate", run / "last.pt", validation, "--limit", scored, "--device", device, "--write")
        finally:
            last = run / "last.pt"
            if last.is_file() and (first is None or load_checkpoint(last).step > first.checkpoint.step):
                pack(run, out, summary(TrainedRun.of(run), first, time.monotonic() - started))
                click.echo(f"written: {out}; the next box: the same command with --begin {out} and another --out")


def call(*words: str | Path | float) -> None:
    """A subcommand of `pnen-train`, in this process; it fails as that does."""
    click.echo(f"$ pnen-train {' '.join(map(str, words))}", err=True)
    pnen_train.main([str(word) for word in words], standalone_mode=False)


def refuse_what_no_box_holds(recipe: Recipe) -> None:
    """UsageError, before the work, for a network whose weights, averages and two moments of Adam are too many files."""
    with torch.device("meta"):  # nothing is computed or held
        size = 4 * count_parameters(build_network(recipe))
    parts = -(-3 * size // LARGEST)
    if size > BYTES or parts + len(CARRIED) + 2 > FILES:
        raise UsageError(f"expected a network whose run fits into {FILES} files of {BYTES / 1e6:.0f} MB, got "
                         f"{size / 1e6:.0f} MB of weights and {parts} parts besides; use pnen-train run")  # fmt: skip


def carried(folder: Path) -> list[Path]:
    """The files of a run or a box with which training goes on."""
    return sorted(path for pattern in CARRIED for path in folder.glob(pattern))


def summary(run: TrainedRun, before: TrainedRun | None, seconds: float) -> dict[str, object]:
    """What the box did, on which machine."""
    steps, trained = run.checkpoint.step, run.seconds or 0.0
    if before:
        steps, trained = steps - before.checkpoint.step, trained - (before.seconds or 0.0)
    return {
        "step": run.checkpoint.step,
        "of": run.training["recipe"]["optimiser"]["steps"],
        "fitted": run.training.get("fitted"),
        "steps": steps,
        "steps_per_second": round(steps / trained, 3) if trained else None,
        "training_seconds": round(trained, 1),
        "box_seconds": round(seconds, 1),
        "scores": run.training.get("scores"),
        "machine": describe(),
    }


def pack(run: Path, out: Path, found: dict[str, object]) -> None:
    """Copy what is carried, with box.json and the curve."""
    out.mkdir(parents=True, exist_ok=True)
    for path in carried(run):
        shutil.copy(path, out)
    write_text(out / "box.json", json.dumps(found, indent=1))
    metrics = run / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.is_file() else []
    if rows := [row for row in rows if "psnr" in row]:
        with replace_when_done(out / "curve.png") as temporary:
            training_curve(run.name, rows).savefig(temporary)


if __name__ == "__main__":
    sys.exit(main())
