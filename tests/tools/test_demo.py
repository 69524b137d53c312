"""The demo's contact sheet; the demo itself is run by `make demo`."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

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


def test_help_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "command", lambda *_: pytest.fail("the demo ran"))
    for words, code in (["--help"], 0), (["--hlep"], 2), ([], 2), (["a", "b"], 2):
        result = CliRunner().invoke(demo.main, words)
        assert result.exit_code == code, result.output
    assert not list(tmp_path.iterdir())
