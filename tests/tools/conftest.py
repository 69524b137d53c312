"""Tiny networks as if they had been trained, small pictures, and the tools importable as they are from a shell."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from click.testing import CliRunner
from PIL import Image

from pnen_train.checkpoint import Checkpoint, save_checkpoint
from pnen_train.models import build

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))  # as Python does for a script there

SMALL = {"channels": 8, "stages": 2, "dilations": [1], "key_channels": 4, "value_channels": 4}
L0 = {"filter": "l0", "strength": 0.02, "kappa": 2.0}


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory, monkeypatch):
    """One thread, and a cache that lasts as long as the tests."""
    torch.set_num_threads(1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def call():
    """call("table1", arguments...) → the finished command."""
    return lambda tool, *words: CliRunner().invoke(importlib.import_module(tool).main, [str(word) for word in words])


@pytest.fixture
def pictures(tmp_path):
    """A folder with two details of photographs, 130 and 120 pixels wide and so more than a tile."""
    folder = tmp_path / "BSDS500" / "val"
    folder.mkdir(parents=True)
    for name, width in (("coffee", 130), ("astronaut", 120)):
        Image.fromarray(getattr(skimage.data, name)()[100:140, 120 : 120 + width]).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def grey(tmp_path):
    """A folder named like a set of the paper, with one grey detail of a photograph."""
    folder = tmp_path / "Set12"
    folder.mkdir()
    Image.fromarray(skimage.data.camera()[100:140, 200:310]).save(folder / "01.png")
    return folder


@pytest.fixture
def trained(tmp_path):
    """trained("name", network, seed=0, steps=6, **settings) → a run folder with random weights in last.pt."""

    def make(name, network="pnen", seed=0, steps=6, task=L0, **settings):
        torch.manual_seed(seed)
        model = build(network, settings)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.02 * torch.randn_like(parameter)
        training = {"task": task, "crop": 16, "tile": 64, "tile_step": 48, "images": 3, "device": "cpu",
                    "recipe": {"data": {"batch": 2}, "run": {"seed": seed}}}  # fmt: skip
        path = tmp_path / "runs" / name
        path.mkdir(parents=True)
        resume = {"seconds": 12.4}
        save_checkpoint(path / "last.pt",
                        Checkpoint.of(network, model, step=steps, training=training, resume=resume))  # fmt: skip
        return path

    return make


def cells(output: str, row: str) -> list[str]:
    """The cells of the line of a Markdown table that begins with `row`."""
    line = next(line for line in output.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.fixture(scope="session")
def row_of():
    """row_of(output, row) → the cells of that line of a Markdown table."""
    return cells


@pytest.fixture(scope="session")
def small():
    """Settings of a PNEN of 8 channels."""
    return SMALL


@pytest.fixture(scope="session")
def photo():
    """photo(name, height, width) → a detail of a photograph."""
    return lambda name, height=40, width=48: np.ascontiguousarray(
        getattr(skimage.data, name)()[100 : 100 + height, 120 : 120 + width]
    )
