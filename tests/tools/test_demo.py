"""The demo's contact sheet; the demo itself is run by `make demo`."""

import importlib.util
from pathlib import Path

import numpy as np

PATH = Path(__file__).parents[2] / "tools" / "demo.py"
spec = importlib.util.spec_from_file_location("demo", PATH)
demo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(demo)


def test_sheet_shows_every_picture_in_its_place():
    rows = [[("dark", np.zeros((20, 40, 3), np.uint8)), ("white", np.full((20, 40, 3), 255, np.uint8))]] * 2
    page = np.asarray(demo.sheet(rows, width=40))
    assert page.shape == (2 * (20 + 24), 80, 3)
    for top in (0, 44):
        assert page[top : top + 20, :40].max() == 0
        assert page[top : top + 20, 40:].min() == 255


def test_photographs_of_the_demo_come_with_scikit_image():
    from skimage import data

    for name in demo.PHOTOGRAPHS:
        assert getattr(data, name)().shape[2] == 3
