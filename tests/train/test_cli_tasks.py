"""`pnen-train` on denoising and super-resolution: the same commands, the task is in the checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_train.checkpoint import load_checkpoint
from pnen_train.cli import main

TASKS = {"target.noise=25": {"noise": 25}, "target.scale=3": {"scale": 3}}


def call(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(params=TASKS)
def change(request):
    return request.param


@pytest.fixture
def trained(recipe_file, images, tmp_path, change):
    """The run folder of a short run on this task."""
    result = call("run", recipe_file(), images, "--set", change, "--set", "run.tile=whole", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    return tmp_path / "run"


def test_a_task_is_trained_scored_and_studied(trained, images, change):
    record = load_checkpoint(trained / "last.pt").training
    assert (record["task"], record["tile"]) == (TASKS[change], "whole")
    result = call("evaluate", trained / "last.pt", images, "--json", "--write")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    nothing = "doing nothing (noisy)" if "noise" in change else "doing nothing (bicubic)"
    assert list(found) == [nothing, "pnen, tile whole"] and "psnr_floor" in found["pnen, tile whole"]
    assert load_checkpoint(trained / "last.pt").training["scores"]["rows"] == found
    assert (
        call("evaluate", trained / "last.pt", images, "--json").stdout.split("seconds")[0]
        == (result.stdout.split("seconds")[0])
    )
    result = call("study", trained / "last.pt", images, "--limit", 1)
    assert result.exit_code == 0 and "recommended: tiles of" in result.stdout


def test_ready_targets_are_for_smoothing(trained, recipe_file, images, change):
    result = call("evaluate", trained / "last.pt", images, "--targets", images)
    assert result.exit_code == 2 and "ready targets are for smoothing" in result.stderr
    result = call("run", recipe_file(), images, "--set", change, "--targets", images, "--out", trained / "other")
    assert result.exit_code == 2 and "ready targets are for smoothing" in result.stderr


def test_a_finished_run_says_that_it_was_finished(recipe_file, images, tmp_path):
    common = ["run", recipe_file(), images, "--out", tmp_path / "run"]
    assert "written: " in call(*common).stderr
    result = call(*common, "--resume")
    assert result.exit_code == 0
    assert "was finished at step 6 and is as it was; --steps takes it further" in result.stderr
    assert "written: " not in result.stderr


def test_what_is_changed_names_the_run_folder(recipe_file, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = ["--set", "network.scales=[]", "--set", "target.filter=wmf", "--set", "optimiser.steps=1"]
    result = call("run", recipe_file(), images, *changes)
    assert result.exit_code == 0, result.stderr
    assert Path("runs/tiny-none-wmf-1/last.pt").is_file()
    assert call("run", recipe_file(), images, "--set", "data.crop").exit_code == 2


def test_a_network_is_not_told_the_channels_of_its_task(recipe_file, images, tmp_path):
    Image.fromarray(np.full((40, 48), 7, np.uint8)).save(images / "zz.png")
    result = call("run", recipe_file(), images, "--set", "target.noise=5", "--out", tmp_path / "run", "--dry-run")
    assert json.loads(result.stdout)["network"]["image_channels"] == 1
