"""`pnen-train evaluate`: the scores of a checkpoint."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from pnen_runtime.border import border_of
from pnen_runtime.commands import Command, say
from pnen_runtime.tiles import BLENDS, Blend, blend_for

from ..checkpoint import load_checkpoint, save_checkpoint
from ..data.targets import SMALLEST, Pair, find_images, spread
from ..data.tasks import shown_by
from ..device import pick_device, put
from ..evaluation.evaluate import evaluate, mean_scores, network_smoother
from ..progress import bar
from .options import (
    TileSize,
    check_tiles,
    device,
    file_to_write,
    images,
    model,
    pairs_of,
    scored_tasks,
    targets,
    usable_of,
)


def _numbers(_ctx: click.Context, _option: click.Parameter, text: str | None) -> list[float]:
    try:
        return [float(part) for part in text.split(",")] if text is not None else []
    except ValueError:
        raise click.BadParameter(f'expected numbers between commas, got "{text}"') from None


@click.command("evaluate", cls=Command)
@model
@images
@targets
@click.option("--tile", type=TileSize(), help="Pixels a side.  [default: what the checkpoint recommends]")
@click.option("--tile-step", metavar="PIXELS", type=click.IntRange(min=1), help="From one tile to the next.")
@click.option("--blend", type=click.Choice(BLENDS), help="How tiles are joined.  [default: what suits the network]")
@click.option("--strengths", "--strength", metavar="NUMBER,...", callback=_numbers, help="Of an adjustable network.  "
              "[default: for L0 0.002,0.004,0.02,0.093,0.2, else its least, usual and most]")  # fmt: skip
@click.option("--limit", metavar="IMAGES", type=click.IntRange(min=1), help="Score so many, spread "
              "evenly.")  # fmt: skip
@device
@click.option("--write", is_flag=True, help="Keep the scores in MODEL.pt, from where they go into every model card.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def command(
    checkpoint: str,
    images: tuple[Path, ...],
    targets: Path | None,
    tile: Any,
    tile_step: int | None,
    blend: Blend | None,
    strengths: list[float],
    limit: int | None,
    device: str,
    write: bool,
    as_json: bool,
) -> None:
    """Score MODEL.pt, or the bundled model of that name, on IMAGES (files or folders), beside doing nothing."""
    file = file_to_write(checkpoint) if write else None
    found, place = load_checkpoint(checkpoint), pick_device(device)
    network = put(found.model(), place)
    own = found.training.get("tile", 96), found.training.get("tile_step", 80)
    tile = own[0] if tile is None else tile
    border = border_of(found.training.get("task"))
    step = tile_step or (own[1] if tile == own[0] else None)
    check_tiles(tile, tile_step)
    paths, rows = find_images(images), {}
    paths = spread(paths, limit or len(paths))
    apart = scored_tasks(found.training, targets, strengths)
    paths = usable_of(dict.fromkeys(paths, SMALLEST), targets)
    for strength, task in apart.items():
        pairs = pairs_of(task.scored, task.name, paths)
        with bar("scoring", len(pairs)) as advance:
            smooth = network_smoother(network, tile, step, blend, place, strength, border)
            smoothed = evaluate(smooth, _watched(pairs, advance), task.shave)
        at = "" if strength is None else f" at {strength:g}"
        rows[f"{task.nothing_name}{at}"] = evaluate(task.nothing, pairs, task.shave, quantise=False)
        rows[f"{found.network}, tile {tile}{at}"] = smoothed
    if len(apart) > 1:
        every = list(rows.values())
        rows |= {"doing nothing, mean": mean_scores(every[::2]), "network, mean": mean_scores(every[1::2])}
    record = {name: scores.record() for name, scores in rows.items()}
    if file is not None:
        found.training["scores"] = {"images": len(pairs), "tile": tile, "tile_step": step,
                                    "blend": blend or blend_for(found.config),
                                    **({"targets": shown_by(targets)} if targets is not None else {}),
                                    "rows": record}  # fmt: skip
        save_checkpoint(file, found)
    against = "" if targets is None else f", against the targets in {targets}"
    if as_json:
        return click.echo(json.dumps(record, indent=1))
    click.echo(f"{'':24} PSNR dB    SSIM   SSIM box7   s/image   ({len(pairs)} images{against})")
    for name, s in rows.items():
        say(f"{name:24} {s.psnr:7.2f}  {s.ssim:.4f}      {s.ssim_box7:.4f}   {s.seconds:7.2f}")


def _watched(pairs: Sequence[Pair], advance: Any) -> Iterator[Pair]:
    """The same pairs, moving a bar."""
    for done, pair in enumerate(pairs):
        advance(done)
        yield pair
