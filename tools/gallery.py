"""Make the gallery's pictures by the code on its page: python tools/gallery.py."""

import re
import shutil
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from io import StringIO
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from documents.blocks import Block, blocks_of

from pnen_runtime.commands import Command
from pnen_runtime.errors import ParityError

PAGE = Path(__file__).parents[1] / "docs" / "gallery.md"
PICTURES = PAGE.with_suffix("")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def sections() -> Iterator[tuple[Block, str]]:
    """The page's blocks of Python, each with what it prints."""
    blocks = blocks_of(PAGE)
    for block, after in zip_longest(blocks, blocks[1:]):
        if block.language == "python":
            yield block, after.text if after and after.language == "text" else ""


def make(block: Block, printed: str, folder: Path) -> list[Path]:
    """Run a block in a folder: the pictures of the gallery that it wrote.

    ParityError where it prints something else than the page says: other words, or numbers more than 0.2 off.
    """
    told, before = StringIO(), {*folder.iterdir()}
    with chdir(folder), redirect_stdout(told):
        exec(compile("\n" * (block.line - 1) + block.text, str(PAGE), "exec"), {"__name__": "gallery"})
    found, wanted = ([*map(float, NUMBER.findall(text))] for text in (told.getvalue(), printed))
    same = NUMBER.sub("", told.getvalue()) == NUMBER.sub("", printed)
    if not same or any(abs(one - other) > 0.2 for one, other in zip(found, wanted, strict=True)):
        where = f"{PAGE.name}:{block.line}"
        raise ParityError(f"{where}: expected {printed!r} to be printed, got {told.getvalue()!r}; correct the page")
    shown = set(re.findall(r"\(gallery/(\S+?)\)", PAGE.read_text("utf-8")))
    return sorted(path for path in {*folder.iterdir()} - before if path.name in shown)


@click.command(cls=Command)
def main() -> None:
    """Run the blocks of docs/gallery.md and keep their pictures in docs/gallery."""
    with TemporaryDirectory() as folder:
        for block, printed in sections():
            for picture in make(block, printed, Path(folder)):
                shutil.move(picture, PICTURES / picture.name)
                print(f"{PICTURES.name}/{picture.name}: {(PICTURES / picture.name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
