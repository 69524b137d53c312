"""Runs that learn a user's own function: what they record, what is run of it, and what a new recipe does."""

import json
import math
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_export.record import make_card
from pnen_runtime.info import describe_task
from pnen_train.checkpoint import load_checkpoint, save_checkpoint
from pnen_train.cli import main
from pnen_train.data.own_filter import with_source
from pnen_train.data.own_source import find_function
from pnen_train.training.train import train

pytestmark = pytest.mark.usefixtures("working_folder")
DARKER = "def darker(image):\n    return image / 2\n"
FADED = "def faded(image, strength=0.1):\n    return image * (1 - strength)\n"


def call(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def once(tmp_path_factory, tiny, pairs):
    """A run that learnt a function, and the file of that."""
    folder = tmp_path_factory.mktemp("once")
    (folder / "beside.py").write_text(FADED)
    target = {"function": "beside:faded", "strength": 0.5, "strengths": [0.25, 0.5]}
    recipe = tiny(target=with_source(target, [folder]), optimiser={"steps": 3})
    stacked = [(image, np.stack([image, image])) for image, _ in pairs]
    train(recipe, stacked[:3], stacked[3:], folder / "run", device="cpu")
    return folder


@pytest.fixture
def trained(once, tmp_path):
    """A copy of it in the working folder, with its function in the folder `code`."""
    shutil.copytree(once / "run", tmp_path / "run")
    (tmp_path / "code").mkdir()
    shutil.copy(once / "beside.py", tmp_path / "code")
    return tmp_path / "run"


def test_a_run_learns_the_function_beside_its_recipe_and_goes_on_with_that_source_only(tmp_path, images, recipe_file):
    (tmp_path / "code").mkdir()
    settings = {"function": "near:faded", "strength": 0.5, "strengths": [0.25, 0.5]}
    recipe_file(target=settings).rename(tmp_path / "code" / "tiny.toml")
    file = tmp_path / "code" / "near.py"
    file.write_text(FADED)
    words = "run", "code/tiny.toml", images, "--device", "cpu"
    result = call(*words, "--steps", 3)
    assert result.exit_code == 0, result.stderr
    assert "tensorboard --logdir runs/tiny" in result.stderr and "pnen-export runs/tiny/best.pt" in result.stderr
    file.write_text("raise RuntimeError\n" + FADED)
    changed = call(*words, "--steps", 5, "--resume")
    assert changed.exit_code == 1 and "expected the source of near:faded with which the run began" in changed.stderr
    file.write_text(FADED)
    assert call(*words, "--steps", 5, "--resume").exit_code == 0
    assert load_checkpoint(tmp_path / "runs/tiny/last.pt").step == 5


def test_a_run_records_name_and_source_and_no_path_of_the_machine(trained, tmp_path, images, monkeypatch):
    found = load_checkpoint(trained / "best.pt")
    own = find_function("beside:faded", [tmp_path / "code"])
    assert found.training["task"] == {"function": "beside:faded", "source": own.sha256, "strength": 0.5,
                                      "strengths": [0.25, 0.5]}  # fmt: skip
    card = make_card(found)
    assert card.strength["default"] == 0.5 and card.strength["unit"] == "strength of beside:faded"
    assert describe_task(card) == "beside:faded strength 0.25 to 0.5 (default 0.5)"
    assert str(tmp_path) not in card.to_json()

    missing = call("evaluate", trained / "best.pt", images / "coffee.png", "--device", "cpu")
    assert missing.exit_code == 2 and "expected beside.py in" in missing.stderr
    monkeypatch.chdir(tmp_path / "code")
    for command in ("evaluate", "study"):
        done = call(command, trained / "best.pt", images / "coffee.png", "--device", "cpu")
        assert done.exit_code == 0, done.stderr
    (tmp_path / "code" / "beside.py").write_text("raise RuntimeError\n" + FADED)
    changed = call("evaluate", trained / "best.pt", images / "coffee.png", "--device", "cpu")
    assert (
        changed.exit_code == 2 and "beside.py:2: expected the source of beside:faded that was learnt" in changed.stderr
    )


@pytest.mark.parametrize("source", [None, "0" * 64])
def test_what_a_checkpoint_names_is_not_run(trained, tmp_path, images, source):
    """A file of its function's name in the working folder, whose source is not the one that it was trained with."""
    (tmp_path / "beside.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{FADED}")
    found = load_checkpoint(trained / "best.pt")
    found.training["task"] |= {"source": source}
    if source is None:
        del found.training["task"]["source"]
    save_checkpoint(tmp_path / "other.pt", found)
    make_card(load_checkpoint(tmp_path / "other.pt"))
    for command in ("evaluate", "study"):
        assert call(command, tmp_path / "other.pt", images / "coffee.png", "--device", "cpu").exit_code in (1, 2)
    assert not (tmp_path / "ran").exists()


def test_ready_targets_need_no_function(trained, tmp_path, images):
    found = load_checkpoint(trained / "best.pt")
    found.config["strengths"], found.training["task"] = [], {"function": "nowhere:f"}
    found.weights["entry.weight"] = found.weights["entry.weight"][:, :3].clone()
    save_checkpoint(tmp_path / "one.pt", found)
    done = call("evaluate", tmp_path / "one.pt", images, "--targets", images, "--device", "cpu")
    assert done.exit_code == 0, done.stderr


def test_a_dry_run_reads_the_function_and_does_not_run_it(recipe_file, tmp_path):
    (tmp_path / "mine.py").write_text(f"open('ran', 'w')\n{DARKER}")
    result = call("run", recipe_file(target={"function": "mine:darker"}), "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["target"]["source"] == find_function("mine:darker", [tmp_path]).sha256
    assert not (tmp_path / "ran").exists()
    missing = call("run", recipe_file(target={"function": "mine:lighter"}), "--dry-run")
    assert missing.exit_code == 2 and "got functions darker" in missing.stderr


def test_a_new_recipe_is_commented_and_trains_the_function_of_its_name(tmp_path, images):
    (tmp_path / "my_filter.py").write_text(DARKER.replace("darker", "my_filter"))
    made = call("new", "my-filter")
    assert made.exit_code == 0, made.stderr
    assert "next: pnen-train run my-filter.toml IMAGES" in made.stdout
    assert (tmp_path / "my-filter.toml").read_text().count("#") > 10
    again = call("new", "my-filter")
    assert again.exit_code == 2 and "is there already" in again.stderr
    small = ["--set", "data.crop=16", "--set", "network.channels=8", "--steps", 2, "--out", "out", "--device", "cpu"]
    done = call("run", "my-filter.toml", images, *small)
    assert done.exit_code == 0, done.stderr
    assert math.isfinite(load_checkpoint(tmp_path / "out" / "best.pt").training["validation"]["psnr"])
    assert call("new", "other", "--function", "no function").exit_code == 2


def test_the_picture_at_which_a_function_failed_is_named(tmp_path, images, recipe_file):
    (tmp_path / "mine.py").write_text("def f(image):\n    assert image.shape[0] > 40\n    return image\n")
    Image.fromarray(np.zeros((41, 48, 3), np.uint8)).save(images / "a.png")
    result = call("run", recipe_file(target={"function": "mine:f"}), images, "--device", "cpu")
    assert result.exit_code == 1 and "mine.py:2: f failed: AssertionError" in result.stderr
    assert "astronaut.png" in result.stderr
