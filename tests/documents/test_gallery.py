"""The gallery: its code makes its pictures, and prints the figures that stand beside them."""

import re

import gallery
import numpy as np
import pytest
from documents.blocks import Block
from PIL import Image

from pnen_runtime.errors import ParityError

SECTIONS = list(gallery.sections())


@pytest.mark.parametrize(("block", "printed"), SECTIONS, ids=lambda value: getattr(value, "line", ""))
def test_the_code_beside_a_picture_makes_it(block, printed, tmp_path):
    made = gallery.make(block, printed, tmp_path)
    assert len(made) == 1
    kept, new = (np.asarray(Image.open(path), float) for path in (gallery.PICTURES / made[0].name, made[0]))
    assert np.abs(kept - new).mean() < 3  # levels, for other releases of codecs and libraries


def test_every_picture_is_on_the_page_and_they_are_small():
    shown = set(re.findall(r"\(gallery/(\S+?)\)", gallery.PAGE.read_text("utf-8")))
    kept = [*gallery.PICTURES.iterdir()]
    assert {picture.name for picture in kept} == shown and len(shown) == len(SECTIONS)
    sizes = [picture.stat().st_size for picture in kept]
    assert max(sizes) <= 90_000 and sum(sizes) <= 600_000


@pytest.mark.parametrize("printed", ["a: 20.5 dB\n", "a: 20.5 dB, b: 3 dB\n", "b: 20 dB\n", ""])
def test_figures_that_are_not_those_of_the_page_are_refused(printed, tmp_path):
    block = Block(1, "python", "print('a: 20.1 dB')\n")
    gallery.make(block, "a: 20.0 dB\n", tmp_path)
    with pytest.raises(ParityError, match="expected"):
        gallery.make(block, printed, tmp_path)
