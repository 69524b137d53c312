"""`pnen-train filter`: a classical filter on images."""

from pathlib import Path

import click

from pnen_runtime.commands import Command, say
from pnen_runtime.errors import UsageError

from ..data.filtering import filter_files
from ..data.filters import STRENGTH
from ..data.targets import find_images
from ..progress import bar
from .options import THERE


@click.command("filter", cls=Command)
@click.argument("name", metavar="FILTER")
@click.argument("source", metavar="IN", type=THERE)
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True,
              help="A setting of the filter, such as strength=0.05.")  # fmt: skip
@click.option("--strength", metavar="NUMBER", type=float, help="The same as --set with the filter's own name for it: "
              "strength of l0 and sd, sigma of wmf.")  # fmt: skip
@click.option("--overwrite", "--force", "force", is_flag=True, help="Make results anew that are there already.")
def command(
    name: str, source: Path, target: Path, settings: tuple[str, ...], strength: float | None, force: bool
) -> None:
    """Apply a classical filter (l0, wmf or sd) to an image or to a folder of images: what networks learn to imitate."""
    paths, folder = find_images([source]), source.is_dir()
    values = dict(map(_setting, settings))
    if strength is not None and name in STRENGTH:
        if STRENGTH[name] in values:
            raise UsageError(f"expected --strength or --set {STRENGTH[name]}=..., got both; leave one out")
        values[STRENGTH[name]] = strength
    with bar(f"filter {name}", len(paths)) as advance:
        written = filter_files(name, values, paths, target, folder=folder, force=force, progress=advance)
    say(f"written: {f'{len(written)} images and filter.json in ' if folder else ''}{target}")


def _setting(text: str) -> tuple[str, float | str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"expected --set NAME=VALUE, got {text}")
    try:
        return key, float(value)
    except ValueError:
        return key, value
