"""Small real pictures, a recipe of a few steps, and a cache of targets of their own for the tests."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from pnen_train.config import recipe_from
from pnen_train.data.targets import Maker

NAMES = ("coffee", "astronaut", "chelsea", "rocket")
TINY = {
    "network": {"name": "pnen", "channels": 8, "stages": 2, "dilations": [1], "scales": [4], "key_channels": 4,
                "value_channels": 4},
    "data": {"crop": 16, "batch": 2},
    "optimiser": {"steps": 6, "learning_rate": 1e-3},
    "run": {"evaluate_every": 4, "checkpoint_every": 3, "tile": 32, "tile_step": 24},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory, monkeypatch):
    """One thread, and a cache that lasts as long as the tests."""
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def picture(name: str, height: int = 40, width: int = 48) -> np.ndarray:
    """A detail of one of scikit-image's photographs, (height, width, 3) uint8."""
    return np.ascontiguousarray(getattr(skimage.data, name)()[100 : 100 + height, 120 : 120 + width])


def merged(base: dict, changes: dict) -> dict:
    return {key: base.get(key, {}) | changes.get(key, {}) for key in dict.fromkeys((*base, *changes))}


def as_toml(sections: dict) -> str:
    def value(found):
        return str(found).lower() if isinstance(found, bool) else repr(found).replace("'", '"')

    lines = [f"[{name}]\n" + "".join(f"{k} = {value(v)}\n" for k, v in part.items()) for name, part in sections.items()]
    return "\n".join(lines)


@pytest.fixture(scope="session")
def photo():
    """photo(name, height, width) → a real picture."""
    return picture


@pytest.fixture(scope="session")
def tiny():
    """tiny(section={...}) → a recipe for a network of 8 channels and six steps."""
    return lambda **changes: recipe_from(merged(TINY, changes))


@pytest.fixture
def recipe_file(tmp_path):
    """recipe_file(section={...}) → the same as a TOML file."""

    def write(**changes):
        path = tmp_path / "tiny.toml"
        path.write_text(as_toml(merged(TINY, changes)))
        return path

    return write


@pytest.fixture
def images(tmp_path):
    """A folder with four pictures."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in NAMES:
        Image.fromarray(picture(name)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def maker(tmp_path):
    """An L0 target maker with an empty cache."""
    return Maker.of("l0", {}, tmp_path / "targets-cache")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """Four pictures and their L0 targets."""
    own = Maker.of("l0", {}, tmp_path_factory.mktemp("targets"))
    return [(picture(name), own.target(picture(name))) for name in NAMES]


@pytest.fixture
def working_folder(tmp_path, monkeypatch):
    """In a folder of the test's own; modules that it brings are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
