"""Bundled models: from a finished training to a measured model in the package, and the pages about all of them.

Usage: python tools/zoo.py add wmf runs/wmf --on BSDS500/val --trained-on 'BSDS500/train BSDS500/test'
       python tools/zoo.py pages
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from model_zoo.measure import measured
from model_zoo.pages import write_index, write_page
from model_zoo.pictures import failures, training_curve, zoo
from paper.runs import TrainedRun

from pnen_export.export import export
from pnen_runtime import Smoother
from pnen_runtime.commands import Group
from pnen_runtime.errors import UsageError
from pnen_runtime.files import replace_when_done, write_bytes
from pnen_runtime.models import BUNDLED as BUNDLED_ONNX
from pnen_train.checkpoint import BUNDLED, Checkpoint, load_checkpoint, save_checkpoint
from pnen_train.commands.options import FOLDER, THERE, pairs_of
from pnen_train.targets import find_images, spread
from pnen_train.tasks import task_of

PAGES = Path(__file__).parents[1] / "docs" / "models"


@click.group(cls=Group)
def main() -> None:
    """Measure a training and bundle it; write the pages of the bundled models."""


@main.command()
@click.argument("name")
@click.argument("run")
@click.option("--on", "folder", required=True, type=THERE, help="Photographs to score on.")
@click.option("--limit", metavar="IMAGES", type=click.IntRange(min=1), help="Score so many, spread evenly, for a quick "
              "look.  [default: all]")  # fmt: skip
@click.option("--study-limit", metavar="IMAGES", type=click.IntRange(min=1), default=10, show_default=True,
              help="Compare tiles on so many, spread evenly.")  # fmt: skip
@click.option("--trained-on", metavar="FOLDERS", required=True, help="For the record, such as "
              "'BSDS500/train BSDS500/test'.")  # fmt: skip
@click.option("--into", type=FOLDER, help="Write NAME.pt and NAME.onnx there.  [default: into the package]")
def add(
    name: str, run: str, folder: Path, limit: int | None, study_limit: int, trained_on: str, into: Path | None
) -> None:
    """Measure RUN (a run folder, a checkpoint, or a bundled name) and write it as the bundled model NAME."""
    found = TrainedRun.of(run)
    task = found.training.get("task", {})
    if "filter" not in task:
        raise UsageError(
            f"{found.path}: expected a network that learnt a filter, got {task or 'one that learnt nothing'}"
        )
    paths = find_images([folder])
    wanted = task_of(task)
    pairs = pairs_of(wanted.scored, wanted.name, spread(paths, limit or len(paths)))
    lean = replace(found.checkpoint, resume=None)
    with TemporaryDirectory() as place:
        training = measured(
            found,
            _exported(lean, Path(place)),
            pairs,
            spread(pairs, study_limit),
            trained_on,
            "/".join(folder.resolve().parts[-2:]),
        )
        lean = replace(lean, training=training)
        graph = _exported(lean, Path(place)).read_bytes()  # once more, with all that its card now says
    save_checkpoint((into or BUNDLED) / f"{name}.pt", lean)
    write_bytes((into or BUNDLED_ONNX) / f"{name}.onnx", graph)
    nothing, network = training["scores"]["rows"].values()
    click.echo(f"{name}: {network['psnr']:.2f} dB / {network['ssim']:.4f} (doing nothing {nothing['psnr']:.2f} / "
               f"{nothing['ssim']:.4f}) on {len(pairs)} images in tiles of {training['tile']} every "
               f"{training['tile_step']}, {network['cpu_seconds']:.2f} CPU s an image; the filter itself "
               f"{training['cpu']['filter_seconds']:.2f}")  # fmt: skip


def _exported(checkpoint: Checkpoint, folder: Path) -> Path:
    """The proven FP32 file: with FP16 weights it is half as large, and 10 % slower on a CPU, which widens them."""
    (made,) = export(checkpoint, folder, "network", targets=("ort",))
    return made.path


@main.command()
@click.option("--of", "models", type=FOLDER, help="The models in this folder.  [default: those of the package]")
@click.option("--into", type=FOLDER, default=PAGES, help="Pages and pictures go there.  [default: docs/models]")
def pages(models: Path | None, into: Path) -> None:
    """Write the measured part of each bundled model's page, the pictures and the index; needs no data."""
    names = sorted(path.stem for path in (models or BUNDLED).glob("*.pt"))
    if not names:
        raise UsageError(f"{models or BUNDLED}: expected bundled models (NAME.pt and NAME.onnx), found none")
    found = {name: load_checkpoint((models or BUNDLED) / f"{name}.pt") for name in names}
    files = {name: (models or BUNDLED_ONNX) / f"{name}.onnx" for name in names}
    for name, checkpoint in found.items():
        write_page(into / f"{name}.md", name, checkpoint)
        if curve := checkpoint.training.get("curve"):
            _save(training_curve(name, curve), into / f"{name}_curve.png")
        with Smoother(files[name], threads=1) as smoother:
            _save(failures(smoother), into / f"{name}_failures.jpg")
    timed = {name: checkpoint.training for name, checkpoint in found.items() if "cpu" in checkpoint.training}
    if timed:
        _save(zoo(timed), into / "zoo.png")
    sizes = {name: file.stat().st_size for name, file in files.items()}
    write_index(into / "README.md", {name: (found[name], sizes[name]) for name in names}, bool(timed))
    click.echo(f"written: the pages of {', '.join(names)} in {into}")


def _save(picture: Any, path: Path) -> None:
    """A figure of matplotlib or a picture of Pillow."""
    with replace_when_done(path) as temporary:
        picture.savefig(temporary) if hasattr(picture, "savefig") else picture.save(temporary, quality=85)


if __name__ == "__main__":
    sys.exit(main())
