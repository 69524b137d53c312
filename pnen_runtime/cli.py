"""pnen-smooth: smooth, denoise or enlarge a picture or a folder of pictures."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
from click.shell_completion import CompletionItem

from .backends.options import backend_options
from .card import Card
from .commands import printable, say
from .errors import ImageError, PnenError, UsageError
from .files import drop_abandoned
from .filters.command import filtering, list_filters, rows_of_filters
from .image import full_scale, read_image, take_apart
from .info import list_models, rows_of_models
from .jobs import STANDARD, find_jobs, in_and_out, to_be_done
from .made_with import made_otherwise, made_with, note
from .models import bundled_models
from .one_picture import NO_MORE, smooth_file
from .other_commands import WithOthers
from .photo import take_any_size
from .repeated import Repeated
from .saving import Saved, saving
from .smoother import MEMORY_MB, Smoother
from .strength import estimates, from_mask, wanted_strength
from .telling import Teller, telling
from .upscaler import Upscaler
from .video_file import is_video

log = logging.getLogger("pnen")


def parse_tile(text: str) -> int | Literal["whole"]:
    """`--tile`: a number of pixels, or "whole"."""
    if text == "whole":
        return "whole"
    if not text.isdecimal():
        raise click.BadParameter(f'expected a number of pixels or "whole", got {text!r}')
    return int(text)


def parse_strength(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float | str | None:
    """`--strength`: a number, or "auto"."""
    if text is None or text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f'expected a number, or "auto" with a denoiser, got {text!r}') from None


def complete_model(ctx: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """For shells: names of bundled models, and files."""
    names = [CompletionItem(name) for name in bundled_models() if name.startswith(begun)]
    return names or [CompletionItem(begun, type="file")]


def print_models(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    """`--list`, with `--json` a line of JSON for each."""
    if asked and not ctx.resilient_parsing:
        if ctx.params.get("as_json"):
            lines = [json.dumps(row) for row in (*rows_of_models(), *rows_of_filters())]
        else:
            lines = [*list_models().splitlines(), *list_filters().splitlines()]
        for line in lines:
            say(line)
        ctx.exit()


@click.command(cls=WithOthers, context_settings={"auto_envvar_prefix": "PNEN_SMOOTH"})
@click.argument("words", metavar="IN... OUT", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("-o", "--out", "--output", "out", metavar="OUT", type=click.Path(allow_dash=True),
              help="OUT, where all other names are to be IN; a name that ends in / is a folder.")  # fmt: skip
@click.option("-m", "--model", metavar="NAME|PATH", default="l0", show_default=True, shell_complete=complete_model,
              help="A bundled model or a model file.")  # fmt: skip
@click.option(
    "--tile", metavar="PIXELS|whole", type=parse_tile, help="Tile size instead of the one that the model recommends."
)
@click.option(
    "--tile-step", "--step", "step", metavar="PIXELS", type=click.IntRange(min=1), help="From one tile to the next."
)
@click.option("--strength", metavar="NUMBER|auto", callback=parse_strength, help="Of an adjustable model, in the unit "
              "of what it imitates: for L0 its λ, 0.002 to 0.2; for a denoiser σ in 8-bit levels, 0 to 50.  [default: "
              "the model's; of a denoiser auto, estimated from each picture]")  # fmt: skip
@click.option("--strength-map", "mask", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A grey picture of the same size: the weakest where it is black, --strength where it is "
              "white.")  # fmt: skip
@click.option("--mix", metavar="0..1", type=click.FloatRange(0, 1), default=1.0, show_default=True,
              help="0 leaves the picture as it is, 1 is the model's full effect.")  # fmt: skip
@click.option("--detail", metavar="0..10", type=click.FloatRange(0, 10), help="Bring details out instead: "
              "the picture, and so many times what smoothing would take away.")  # fmt: skip
@click.option("--repeat", metavar="TIMES", type=click.IntRange(1, 100), default=1, show_default=True,
              help="Smooth the result again, so many times in all.")  # fmt: skip
@backend_options
@click.option("--threads", metavar="THREADS", type=click.IntRange(min=1), help="CPU threads.  [default: all]")
@click.option(
    "--memory",
    metavar="MB",
    type=click.IntRange(min=1),
    default=MEMORY_MB,
    show_default=True,
    help="Memory that one tile may take.",
)
@click.option(
    "--rebuild",
    is_flag=True,
    help="Build an engine that does not fit here again, from the ONNX file beside it.",
)
@click.option(
    "--allow-host-code",
    is_flag=True,
    help="Run the native code that a version-compatible engine brings: only where you trust its maker.",
)
@click.option("-r", "--recursive", is_flag=True, help="Folders in folders too; OUT becomes the same tree.")
@click.option("--overwrite", "--force", is_flag=True, help="Make results anew that are there already.")
@saving
@telling
@filtering
@click.option("--list", is_flag=True, expose_value=False, callback=print_models,
              help="List the bundled models and the filters, and exit.")  # fmt: skip
def smooth(
    words: tuple[str, ...],
    out: str | None,
    model: str,
    strength: float | str | None,
    mask: Path | None,
    mix: float,
    detail: float | None,
    repeat: int,
    recursive: bool,
    overwrite: bool,
    saved: Saved,
    teller: Teller,
    exact: Any,
    **settings: Any,
) -> None:
    """Smooth the picture IN, or many pictures and those of folders, and write OUT.

    OUT is a file, or for several pictures a folder, where they keep their names; a picture that is there already is
    skipped, so the same command goes on where it stopped. - is standard input or output. What a model was trained for
    is what it does: one for super-resolution enlarges.

    Each option has an environment variable too: PNEN_SMOOTH_MODEL, PNEN_SMOOTH_THREADS, ...

    pnen-smooth inspect FILE says what a model file holds, pnen-smooth doctor what runs here and what is in the way.
    """
    take_any_size()
    sources, target, folder = in_and_out(words, out)
    single = len(sources) == 1 and not sources[0].is_dir()
    if saved.raw and (sources, target) != ((STANDARD,), STANDARD):
        raise UsageError("--raw takes frames from standard input to standard output; give - - as IN and OUT")
    unread: list[Path] = []
    jobs = find_jobs(sources, target, folder=folder, recursive=recursive, suffix=saved.suffix, unread=unread)
    jobs, there = to_be_done(jobs, single, overwrite)
    saved.for_all(jobs, overwrite=overwrite)
    teller.err, failed = target == STANDARD, []
    with exact or Smoother(model, **settings) as smoother:
        teller.begins(smoother.info)
        wanted: dict[str, Any] = {"mix": mix} | ({} if detail is None else {"detail": detail})
        enlarges = "scale" in smoother.card.task
        if detail is not None and (enlarges or mix != 1 or repeat > 1):
            raise UsageError("expected --detail with a model that smooths, and without --mix and --repeat")
        if enlarges and (repeat > 1 or strength is not None or mask is not None):
            raise UsageError("expected neither --repeat nor --strength with a model that enlarges")
        runs: Any = Upscaler(smoother) if enlarges else Repeated(smoother, repeat) if repeat > 1 else smoother
        if mask is not None:
            wanted["strength"] = read_strength_map(mask, strength, smoother.card)
        elif estimates(smoother.card, strength):
            wanted["strength"] = "auto"
        elif strength is not None:
            wanted["strength"] = wanted_strength(smoother.card, strength, 0, 0)
        made = made_with(
            f"--filter {smoother.card.network}" if exact else Path(model).name, smoother.card, wanted, repeat, saved
        )
        many, rooms = len(jobs) > 1, set()
        film = saved.raw or any(is_video(picture) for picture, _ in jobs)
        with teller.bar("pictures" if many or (exact and not film) else "frames" if film else "tiles") as show:
            for number, (picture, output) in enumerate(jobs, 1):
                try:
                    if output.parent not in rooms:
                        make_room(output)
                        rooms.add(output.parent)
                    done = smooth_file(runs, picture, output, wanted, saved, None if many else show)
                    note(output, made)
                    teller.done(done)
                except (ImageError, MemoryError, UsageError) as error:
                    teller.failed(picture, error, alone=single)
                    if single:
                        raise
                    failed.append(picture.name)
                if many and show:
                    show(number, len(jobs))
    lines = [f"{len(failed)} of {len(jobs)} pictures failed: {', '.join(map(printable, failed))}"] if failed else []
    if unread:
        lines.append(f"folders that could not be read: {', '.join(printable(str(folder)) for folder in unread)}")
    if lines := [*lines, *made_otherwise(there, made)]:
        raise PnenError("; ".join(lines))


def make_room(output: Path) -> None:
    """Make the folder of a result; ImageError where it cannot be, OSError where no other can be either."""
    if output == STANDARD:
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in NO_MORE:
            raise
        raise ImageError(f"{output}: its folder cannot be made: {error.strerror}") from error
    drop_abandoned(output.parent)


def read_strength_map(mask: Path, strength: float | str | None, card: Card) -> np.ndarray:
    """(H, W) strengths from a grey picture, for a model of this card."""
    most = wanted_strength(card, strength, 0, 0)
    if most is None:
        raise UsageError("--strength-map is for adjustable models, and this one has one strength")
    if not isinstance(strength, float):
        log.warning("%s: white is a strength of %g, the model's default; --strength says another", mask, most)
    picture = take_apart(read_image(mask), minimum_side=1).frames[0]
    if (picture != picture[..., :1]).any():  # editors save grey as RGB
        raise UsageError(f"{mask}: expected a grey picture as --strength-map, got a coloured one; convert it first")
    return from_mask(picture[:, :, 0] / full_scale(picture.dtype), float(most), card)
