"""`pnen-train pictures`: training pictures from photographs."""

from pathlib import Path

import click

from pnen_runtime.commands import Command
from pnen_runtime.errors import UsageError
from pnen_runtime.image import write_image

from ..data.prepare import ONE_NAME, THIRD, training_pictures
from ..data.targets import SMALLEST, by_stem, find_images
from ..progress import bar
from .options import SKIP_BAD, THERE, skip_bad, usable_of


@click.command("pictures", cls=Command)
@click.argument("photographs", nargs=-1, required=True, type=THERE)
@click.argument("folder", metavar="OUT", type=click.Path(file_okay=False, path_type=Path))
@click.option("--sizes", metavar="NUMBER", type=click.IntRange(1, 8), default=2, show_default=True,
              help="In how many sizes each photograph comes.")  # fmt: skip
@click.option("--noisy", metavar="NUMBER", type=click.FloatRange(0, 8), default=THIRD, show_default="a third",
              help="Noisy pieces for each photograph: more of them for a filter that is used on noise.")  # fmt: skip
@click.option("--drawn", metavar="NUMBER", type=click.FloatRange(0, 8), default=THIRD, show_default="a third",
              help="Drawn pictures for each photograph: more of them where flat colour matters.")  # fmt: skip
@click.option("--clean", is_flag=True,
              help="Photographs alone: for networks that take noise away or enlarge.")  # fmt: skip
@skip_bad
def command(
    photographs: tuple[Path, ...],
    folder: Path,
    sizes: int,
    noisy: float,
    drawn: float,
    clean: bool,
    skip_bad: bool,
) -> None:
    """Make training pictures of PHOTOGRAPHS (files or folders) in the new folder OUT.

    The photographs reduced to 512 pixels, and again to two thirds or half of that; noisy pieces of some; and drawn
    pictures: flat colour, gradients, text, line art, screenshots. The bundled networks were trained on such a folder.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder}: expected a new folder, got one that holds something")
    paths = find_images(photographs)
    by_stem(paths, ONE_NAME)
    paths = usable_of(dict.fromkeys(paths, SMALLEST), skip=skip_bad, remedy=SKIP_BAD)
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    mix = {"noisy": 0.0, "drawn": 0.0} if clean else {"noisy": noisy, "drawn": drawn}
    with bar("photographs", len(paths)) as advance:
        for name, picture in training_pictures(paths, advance, sizes=sizes, **mix):
            write_image(folder / f"{name}.png", picture)
            written += 1
    click.echo(f"written: {written} pictures in {folder}")
