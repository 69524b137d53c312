"""Bundled models: from a finished training to a measured model in the package, and the pages about all of them.

Usage: python tools/zoo.py add l0 runs/l0 --on BSDS500/val --choose-on free/holdout \
           --trained-on 'free/train Kodak24' --licence CC0-1.0
       python tools/zoo.py pages
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from model_zoo.lean import lean
from model_zoo.measure import Pictures, measured, name_of
from model_zoo.origin import LICENCES, Given, origin, refuse_paths
from model_zoo.pages import Model, write_index, write_page
from model_zoo.pictures import failures, other_noise, training_curve, zoo
from paper.runs import TrainedRun

from pnen_export.export import export
from pnen_runtime import Smoother
from pnen_runtime.commands import Group
from pnen_runtime.errors import UsageError
from pnen_runtime.files import replace_when_done, write_bytes
from pnen_runtime.models import BUNDLED as BUNDLED_ONNX
from pnen_train.checkpoint import BUNDLED, Checkpoint, save_checkpoint
from pnen_train.commands.options import FOLDER

PAGES = Path(__file__).parents[1] / "docs" / "models"
COUNT = click.IntRange(min=1)


@click.group(cls=Group)
def main() -> None:
    """Measure a training and bundle it; write the pages of the bundled models."""


@main.command()
@click.argument("name")
@click.argument("run")
@click.option("--on", "scored", required=True, type=FOLDER, help="Photographs to score on.")
@click.option("--choose-on", required=True, type=FOLDER, help="Held-out photographs: tile and step are chosen on them "
              "alone, noise and seams are measured on them.")  # fmt: skip
@click.option("--trained-on", metavar="FOLDERS", required=True, help="Free photographs of which `pnen-train pictures` "
              "made the training pictures, such as 'free/train Kodak24'.")  # fmt: skip
@click.option("--licence", required=True, type=click.Choice(list(LICENCES)), help="Of the weights.")
@click.option("--images", metavar="IMAGES", type=COUNT, help="Score on so many, spread evenly, where the filter takes "
              "long.  [default: all]")  # fmt: skip
@click.option("--limit", metavar="IMAGES", type=COUNT, default=20, show_default=True, help="At strengths other than "
              "its default an adjustable network is scored on so many, spread evenly.")  # fmt: skip
@click.option("--study-limit", metavar="IMAGES", type=COUNT, default=8, show_default=True,
              help="Choose tile and step on so many, spread evenly.")  # fmt: skip
@click.option("--also", "others", multiple=True, type=FOLDER, help="More photographs to score a denoiser or an "
              "enlarger on; repeatable.")  # fmt: skip
@click.option(
    "--note", metavar="TEXT", help="A sentence about the training that its record does not say, for its page."
)
@click.option("--into", type=FOLDER, help="Write NAME.pt and NAME.onnx there.  [default: into the package]")
def add(
    name: str,
    run: str,
    scored: Path,
    choose_on: Path,
    trained_on: str,
    licence: str,
    images: int | None,
    limit: int,
    study_limit: int,
    others: tuple[Path, ...],
    note: str | None,
    into: Path | None,
) -> None:
    """Measure RUN (a run folder, a checkpoint, or a bundled name) and write it as the bundled model NAME."""
    found = TrainedRun.of(run)
    task = found.training.get("task", {})
    if not {"filter", "noise", "scale"} & task.keys():
        raise UsageError(f"{found.path}: expected a network that learnt one of the filters, to take noise away, or to "
                         f"enlarge; got {task or 'one that learnt nothing'}")  # fmt: skip
    if "filter" in task and others:
        raise UsageError("expected --also with a denoiser or an enlarger, which are scored on more sets than one")
    record = origin(found, Given(trained_on, licence, name_of(choose_on))) | ({"note": note} if note else {})
    pictures = Pictures(scored, choose_on, images, others)
    shipped = lean(replace(found.checkpoint, resume=None, training=record))
    with TemporaryDirectory() as place:
        training = measured(record, _exported(shipped, Path(place)), pictures, limit, study_limit)
        refuse_paths(training, name)
        shipped = replace(shipped, training=training)
        graph = _exported(shipped, Path(place)).read_bytes()  # once more, with all that its card now says
    save_checkpoint((into or BUNDLED) / f"{name}.pt", shipped)
    write_bytes((into or BUNDLED_ONNX) / f"{name}.onnx", graph)
    nothing, network = training["scores"]["rows"].values()
    own = training["cpu"].get("filter_seconds")
    click.echo(f"{name}: {network['psnr']:.2f} dB / {network['ssim']:.4f} (doing nothing {nothing['psnr']:.2f} / "
               f"{nothing['ssim']:.4f}) on {network['images']} images in tiles of {training['tile']} every "
               f"{training['tile_step']}, {network['cpu_seconds']:.2f} CPU s an image"
               f"{'' if own is None else f'; the filter itself {own:.2f}'}")  # fmt: skip


def _exported(checkpoint: Checkpoint, folder: Path) -> Path:
    """The proven FP32 file: typed in FP16 it would be 10 % slower on a CPU, which widens everything."""
    (made,) = export(checkpoint, folder, "network", targets=("ort",))
    return made.path


@main.command()
@click.option("--of", "models", type=FOLDER, help="The models in this folder.  [default: those of the package]")
@click.option("--into", type=FOLDER, default=PAGES, help="Pages and pictures go there.  [default: docs/models]")
def pages(models: Path | None, into: Path) -> None:
    """Write the measured part of each bundled model's page, the pictures and the index; needs no data."""
    names = sorted(path.stem for path in (models or BUNDLED_ONNX).glob("*.onnx"))
    if not names:
        raise UsageError(f"{models or BUNDLED}: expected bundled models (NAME.pt and NAME.onnx), found none")
    found = [Model.read(name, models or BUNDLED, models or BUNDLED_ONNX) for name in names]
    for model in found:
        write_page(into / f"{model.name}.md", model)
        if len(curve := model.training.get("curve", ())) > 1:  # one validation is no curve
            _save(training_curve(model.name, curve), into / f"{model.name}_curve.png")
        with Smoother(model.file, threads=1) as smoother:
            _save(failures(smoother), into / f"{model.name}_failures.jpg")
            if "noise" in smoother.card.task:
                _save(other_noise(smoother), into / f"{model.name}_other_noise.jpg")
    if imitating := {model.name: model.training for model in found if "filter" in model.training["task"]}:
        _save(zoo(imitating), into / "zoo.png")
    write_index(into / "README.md", found)
    click.echo(f"written: the pages of {', '.join(names)} in {into}")


def _save(picture: Any, path: Path) -> None:
    """A figure of matplotlib or a picture of Pillow."""
    with replace_when_done(path) as temporary:
        picture.savefig(temporary) if hasattr(picture, "savefig") else picture.save(temporary, quality=78)


if __name__ == "__main__":
    sys.exit(main())
