"""The folder in which the blocks of a page are run, and the commands by which lines are parsed."""

import runpy
import shutil
import sys
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from pnen_export.cli import main as export
from pnen_export.destinations import WHERE
from pnen_runtime.cli import smooth
from pnen_runtime.filters import by_name
from pnen_runtime.models import BUNDLED
from pnen_train import models
from pnen_train.cli import main as train

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
COMMANDS = {"pnen-smooth": smooth, "pnen-train": train, "pnen-export": export}
FOLDERS = ("IN", "photos", "IMAGES", "OTHER_IMAGES")
FILMS = ("in.mp4", "noisy.mov", "small.mkv")


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory, monkeypatch):
    """One thread, and a cache that lasts as long as the tests."""
    torch.set_num_threads(1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def command_of():
    """command_of(words) → the click command that they call, whatever its depth, and the words that are left."""
    tools = {}

    def find(words):
        if words[0] in COMMANDS:
            command, rest = COMMANDS[words[0]], words[1:]
        else:  # python tools/NAME.py
            if words[1] not in tools:
                tools[words[1]] = runpy.run_path(str(ROOT / words[1]), run_name="a tool")["main"]
            command, rest = tools[words[1]], words[2:]
        if command is smooth and rest[:1] in (["inspect"], ["doctor"], ["serve"]):
            from pnen_runtime import doctor, inspecting
            from pnen_runtime.serving import command as serving

            return getattr({"doctor": doctor, "inspect": inspecting, "serve": serving}[rest[0]], rest[0]), rest[1:]
        if words[0] == "pnen-export" and rest[:1] == ["--for"]:
            return getattr(import_module(f"pnen_export.{WHERE[rest[1]]}"), rest[1]), rest[2:]
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            found = command.get_command(click.Context(command), rest[0])
            assert found, f"{words[0]} has no {rest[0]}"
            command, rest = found, rest[1:]
        return command, rest

    return find


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """Photographs, folders of them, clips, and stand-ins for the files that an export would have written."""
    folder, photo = tmp_path_factory.mktemp("workplace"), data.astronaut()[:384:4, 64:448:4]
    noise = np.random.default_rng(0).normal(0, 25, photo.shape)
    pictures = {"photo.jpg": photo, "noisy.jpg": np.clip(photo + noise, 0, 255).astype(np.uint8),
                "small.jpg": photo[::2, ::2], "MASK.png": photo[..., 0]}  # fmt: skip
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / name)
    for name in FOLDERS:
        (folder / name).mkdir()
        for number in range(2):
            Image.fromarray(photo[24 * number : 24 * number + 48]).save(folder / name / f"{number}.png")
    for name in FILMS:
        film(folder / name, photo[:48, :64])
    (folder / "runs" / "soft").mkdir(parents=True)
    for name in ("MODEL.onnx", "MODEL.ort.onnx", "runs/soft/best.ort.onnx", "runs/soft/best.ort.fp16.onnx"):
        shutil.copy(BUNDLED / "l0-fast.onnx", folder / name)
    return folder


def film(path, pixels):
    """Two frames."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], "yuv420p"
        for _ in range(2):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")))
        file.mux(stream.encode(None))


@pytest.fixture
def here(workplace, tmp_path, monkeypatch):
    """A copy of the workplace, which is the working folder."""
    shutil.copytree(workplace, tmp_path / "here")
    for module, name in ((models, "MODELS"), (models, "NETWORK_OF"), (by_name, "FILTERS"), (by_name, "STRENGTH")):
        monkeypatch.setattr(module, name, {**getattr(module, name)})  # pages add to them
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    return tmp_path / "here"
