"""The command `pnen-train`."""

import json
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import click
import torch

from pnen_runtime.commands import Group
from pnen_runtime.errors import UsageError

from .checkpoint import load_checkpoint, save_checkpoint
from .config import override, read_recipe
from .evaluate import evaluate, network_smoother
from .models import build, count_parameters
from .progress import bar, console
from .study import TILES, study
from .targets import Maker, find_images, load_pairs
from .train import pick_device, train

FOLDER = click.Path(exists=True, path_type=Path)
MODEL = click.argument("checkpoint", metavar="MODEL.pt")
IMAGES = click.argument("images", nargs=-1, required=True, type=FOLDER)


def pairs_of(paths, maker, targets=None, smallest=16):
    """All pairs, behind a progress bar."""
    with bar(f"{maker.filter} targets", len(paths)) as advance:
        return load_pairs(paths, maker, targets, smallest=smallest, progress=advance)


def tile_of(text: str) -> int | str:
    """ "whole" or a number of pixels."""
    if text != "whole" and not (text.isdigit() and int(text) >= 16):
        raise UsageError(f'expected --tile to be "whole" or at least 16 pixels, got "{text}"')
    return text if text == "whole" else int(text)


@click.group(cls=Group)
def main() -> None:
    """Train networks that imitate edge-preserving smoothing filters, and score them."""


@main.command()
@click.argument("recipe")
@IMAGES
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/RECIPE]")
@click.option("--validation", multiple=True, type=FOLDER, help="Images to score on; without it some of IMAGES are held out.")
@click.option(
    "--targets", type=FOLDER, help="Ready targets, named as their inputs; without it the recipe's filter makes them (and keeps them)."
)
@click.option("--steps", metavar="STEPS", type=click.IntRange(min=1), help="Instead of the recipe's.")
@click.option("--seed", type=int, help="Instead of the recipe's.")
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", metavar="CORES", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--dry-run", is_flag=True, help="Print all settings and stop.")
def run(recipe, images, out, validation, targets, steps, seed, device, threads, resume, dry_run) -> None:
    """Train the network of RECIPE (a TOML file or a name) on the pictures in IMAGES."""
    name, recipe = Path(recipe).stem, override(read_recipe(recipe), steps=steps, seed=seed)
    model = build(recipe.network["name"], {key: value for key, value in recipe.network.items() if key != "name"})
    maker = Maker.of(recipe.target.filter, recipe.target.settings)
    if dry_run:
        return click.echo(json.dumps(asdict(recipe) | {"parameters": count_parameters(model)}, indent=1))
    if threads:
        torch.set_num_threads(threads)
    out = out or Path("runs") / name
    if resume and not (out / "last.pt").exists():
        raise UsageError(f"{out}: expected a run to resume, found no last.pt; start without --resume")
    if not resume and (out / "last.pt").exists():
        raise UsageError(f"{out}: holds a run already; add --resume to go on with it, or choose another --out")
    paths, scored = find_images(images), find_images(validation)
    if not validation:
        held_out = max(1, min(recipe.run.validation_images, len(paths) // 10))
        if len(paths) < 2:
            raise UsageError(f"{images[0]}: expected at least 2 images, one to train on and one to score; got {len(paths)}")
        paths, scored = paths[:-held_out], paths[-held_out:]
    pairs = pairs_of(paths, maker, targets, recipe.data.crop)
    held = pairs_of(scored[:: max(1, len(scored) // recipe.run.validation_images)], maker, None if validation else targets)
    console.print(
        f"{name}: {count_parameters(model):,} parameters, {len(pairs)} images, scored on {len(held)}, {pick_device(device)}, into {out}"
    )
    started, first = perf_counter(), None

    def watch(step: int, loss: float, psnr: float) -> None:
        nonlocal first
        first = step - 1 if first is None else first
        advance(step, loss=loss, psnr=psnr, rate=(step - first) / (perf_counter() - started))

    def report(step: int, scores) -> None:
        console.print(f"step {step}: PSNR {scores.psnr:.2f} dB, SSIM {scores.ssim:.4f}, {perf_counter() - started:.0f} s", highlight=False)

    with bar(name, recipe.optimiser.steps, "loss {loss:.5f}  PSNR {psnr:.2f}  {rate:.1f} it/s") as advance:
        train(recipe, pairs, held, out, device=device, resume=resume, watch=watch, report=report)
    console.print(f"written: {out / 'last.pt'}, {out / 'best.pt'}; export it with: pnen-export {out / 'best.pt'}", soft_wrap=True)


@main.command("evaluate")
@MODEL
@IMAGES
@click.option("--targets", type=FOLDER, help="Ready targets; without it the filter that the network learnt makes them.")
@click.option("--tile", help='Pixels, or "whole".  [default: what the checkpoint recommends]')
@click.option("--tile-step", metavar="PIXELS", type=click.IntRange(min=1), help="From one tile to the next.")
@click.option("--blend", type=click.Choice(["feather", "uniform"]), default="feather", show_default=True)
@click.option("--limit", metavar="IMAGES", type=click.IntRange(min=1), help="Score the first ones only.")
@click.option("--device", default="auto", show_default=True)
@click.option("--write", is_flag=True, help="Put the scores into the checkpoint, from where they go into every model card.")
@click.option("--json", "as_json", is_flag=True)
def evaluate_command(checkpoint, images, targets, tile, tile_step, blend, limit, device, write, as_json) -> None:
    """Score MODEL.pt, or the bundled model of that name, beside doing nothing."""
    found = load_checkpoint(checkpoint)
    tile = found.training["tile"] if tile is None else tile_of(tile)
    step = tile_step or (found.training["tile_step"] if tile == found.training["tile"] else None)
    task = found.training["task"]
    paths = find_images(images)[:limit]
    pairs = pairs_of(paths, Maker.of(task["filter"], {k: v for k, v in task.items() if k != "filter"}), targets)
    place = pick_device(device)
    smooth = network_smoother(found.model().to(place, memory_format=torch.channels_last), tile, step, blend, device=place)
    with bar("scoring", len(pairs)) as advance:
        scored = evaluate((lambda image: smooth(image)), watched(pairs, advance))
    rows = {"doing nothing": evaluate(lambda image: image, pairs), f"{found.network}, tile {tile}": scored}
    record = {name: asdict(scores) for name, scores in rows.items()}
    if write:
        found.training["scores"] = {"images": str(len(pairs)), "tile": tile, "tile_step": step, "blend": blend, "rows": record}
        save_checkpoint(Path(checkpoint), found)
    if as_json:
        return click.echo(json.dumps(record, indent=1))
    click.echo(f"{'':24} PSNR dB    SSIM   SSIM box7   s/image   ({len(pairs)} images)")
    for name, scores in rows.items():
        click.echo(f"{name:24} {scores.psnr:7.2f}  {scores.ssim:.4f}      {scores.ssim_box7:.4f}   {scores.seconds:7.2f}")


def watched(pairs, advance):
    """The same pairs, moving a bar."""
    for done, pair in enumerate(pairs):
        advance(done)
        yield pair


@main.command("filter")
@click.argument("name", metavar="FILTER")
@click.argument("source", metavar="IN", type=FOLDER)
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="A setting of the filter, such as strength=0.05.")
def filter_command(name, source, target, settings) -> None:
    """Apply a classical filter (l0) to an image or to a folder of images: what networks learn to imitate."""
    from .filtering import filter_files

    parsed = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        try:
            parsed[key] = float(value)
        except ValueError:
            raise UsageError(f"expected --set NAME=NUMBER, got {setting}") from None
    paths = find_images([source])
    with bar(f"filter {name}", len(paths)) as advance:
        written = filter_files(name, parsed, paths, target, folder=source.is_dir(), progress=advance)
    click.echo(f"written: {written[0] if len(written) == 1 else f'{len(written)} images and filter.json in {target}'}")


@main.command("study")
@MODEL
@IMAGES
@click.option("--limit", metavar="IMAGES", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--write", is_flag=True, help="Put the recommended tile into the checkpoint, from where it goes into every model card.")
def study_command(checkpoint, images, limit, device, write) -> None:
    """Measure whole images against tiles of several sizes with MODEL.pt, and say which tile to recommend."""
    found, paths = load_checkpoint(checkpoint), find_images(images)
    task = found.training["task"]
    pairs = pairs_of(
        paths[:: max(1, len(paths) // limit)][:limit], Maker.of(task["filter"], {k: v for k, v in task.items() if k != "filter"})
    )
    place = pick_device(device)
    with bar("tiles", len(TILES)) as advance:
        rows = study(found.model().to(place, memory_format=torch.channels_last), pairs, device=place, progress=advance)
    click.echo(f"tile   step   PSNR dB    SSIM   s/image   ({len(pairs)} images)")
    for row in rows:
        click.echo(f"{row.tile!s:5} {row.step or '':>5} {row.scores.psnr:9.2f}  {row.scores.ssim:.4f}   {row.scores.seconds:7.2f}")
    best = recommended(rows)
    click.echo(f"recommended: tiles of {best.tile} every {best.step} pixels")
    if write:
        found.training |= {"tile": best.tile, "tile_step": best.step, "tile_study": [
            {"tile": row.tile, "step": row.step, "psnr": row.scores.psnr, "seconds": row.scores.seconds} for row in rows]}  # fmt: skip
        save_checkpoint(Path(checkpoint), found)
