"""`pnen-train study`: which tile to recommend for a checkpoint."""

from functools import partial
from pathlib import Path

import click

from pnen_runtime.border import border_of
from pnen_runtime.commands import Command
from pnen_runtime.errors import UsageError

from ..checkpoint import load_checkpoint, save_checkpoint
from ..data.targets import SMALLEST, find_images, spread
from ..data.tasks import of_strength, task_of, usual_strength
from ..device import pick_device, put
from ..evaluation.evaluate import network_smoother
from ..evaluation.study import TILES, recommended, study
from ..progress import bar
from .options import check_strength, device, file_to_write, images, model, pairs_of, targets, task_learnt, usable_of


@click.command("study", cls=Command)
@model
@images
@click.option("--limit", metavar="IMAGES", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--strength", "strength_asked", metavar="NUMBER", type=float, help="Of an adjustable network.  [default: "
              "that of the recipe]")  # fmt: skip
@targets
@device
@click.option("--write", is_flag=True, help="Keep the recommended tile in MODEL.pt, and so in every model card.")
def command(
    checkpoint: str,
    images: tuple[Path, ...],
    limit: int,
    strength_asked: float | None,
    targets: Path | None,
    device: str,
    write: bool,
) -> None:
    """Score MODEL.pt on whole images and in tiles of several sizes, and say which tile to recommend.

    The seam is what two grids of tiles, half a step apart, differ by in the mean of a 16x16 block, in levels.
    Adjustable networks are studied at --strength.
    """
    file = file_to_write(checkpoint) if write else None
    found, place = load_checkpoint(checkpoint), pick_device(device)
    network = put(found.model(), place)
    border = border_of(found.training.get("task"))
    task, strength = task_learnt(found.training, targets), None
    if (found.training.get("task") or {}).get("strengths"):
        if strength_asked is not None:
            check_strength(found.training, strength_asked)
        one = of_strength(found.training["task"], strength_asked)
        task, strength = task_of(one), usual_strength(one)
    elif strength_asked is not None:
        raise UsageError("the network knows one strength; leave out --strength")
    paths = usable_of(dict.fromkeys(spread(find_images(images), limit), SMALLEST), targets)
    pairs = pairs_of(task.scored, task.name, paths)
    with bar("tiles", len(TILES)) as advance:
        smoother = partial(network_smoother, network, device=place, strength=strength, border=border)
        rows = study(smoother, pairs, shave=task.shave, progress=advance)
    click.echo(f"tile   step   PSNR dB    SSIM   s/image   seam   ({len(pairs)} images)")
    for row in rows:
        s = row.scores
        click.echo(
            f"{row.tile!s:5} {row.step or '':>5} {s.psnr:9.2f}  {s.ssim:.4f}   {s.seconds:7.2f}  {row.seam:5.2f}"
        )
    best = recommended(rows)
    click.echo(f"recommended: tiles of {best.tile} every {best.step} pixels")
    if file is not None:
        measured = [{"tile": r.tile, "step": r.step, "psnr": r.scores.record()["psnr"], "seconds": r.scores.seconds,
                     "seam": r.seam}
                    for r in rows]  # fmt: skip
        found.training |= {"tile": best.tile, "tile_step": best.step, "tile_study": measured}
        save_checkpoint(file, found)
