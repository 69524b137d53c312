"""`pnen-train`: every subcommand, and one clear line for what is wrong."""

import builtins
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from pnen_train import checkpoint as checkpoints
from pnen_train.checkpoint import load_checkpoint, save_checkpoint
from pnen_train.cli import main
from pnen_train.commands import run
from pnen_train.evaluation.study import TILES
from pnen_train.training.train import Stopped, train


def call(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny, pairs):
    """The best.pt of a short run."""
    folder = tmp_path_factory.mktemp("trained")
    train(tiny(), pairs[:3], pairs[3:], folder, device="cpu")
    return folder / "best.pt"


@pytest.fixture
def model(trained, tmp_path):
    """A copy of it that a test may change."""
    path = tmp_path / "model.pt"
    path.write_bytes(trained.read_bytes())
    return path


def test_a_run_leaves_its_folder_and_says_what_to_do_next(recipe_file, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("run", recipe_file(), images, "--steps", 3, "--seed", 4)
    assert result.exit_code == 0, result.stderr
    assert (
        "3 images, scored on 1 held out of IMAGES, rocket.png to rocket.png, cpu, step 0 of 3, into runs/tiny"
        in result.stderr
    )
    assert "export it with: pnen-export runs/tiny/best.pt" in result.stderr
    idle = json.loads(call("evaluate", tmp_path / "runs/tiny/best.pt", images / "rocket.png", "--json").stdout)
    assert f"doing nothing: PSNR {idle['doing nothing']['psnr']:.2f} dB, SSIM " in result.stderr
    found = load_checkpoint(tmp_path / "runs" / "tiny" / "last.pt")
    assert found.step == 3 and found.training["recipe"]["run"]["seed"] == 4

    again = call("run", recipe_file(), images, "--steps", 3, "--seed", 4)
    assert again.exit_code == 2 and "holds a run already; add --resume" in again.stderr
    more = call("run", recipe_file(), images, "--steps", 5, "--seed", 4, "--resume")
    assert more.exit_code == 0 and load_checkpoint(tmp_path / "runs" / "tiny" / "last.pt").step == 5
    timed = call("run", recipe_file(), images, "--steps", 9, "--seed", 4, "--resume", "--max-time", 1e-6)
    assert timed.exit_code == 0 and load_checkpoint(tmp_path / "runs" / "tiny" / "last.pt").step == 6
    assert timed.stderr.splitlines()[-1] == (
        "time is up, saved: runs/tiny/last.pt; go on with the same command and --resume")  # fmt: skip
    other = call("run", recipe_file(data={"batch": 3}), images, "--steps", 9, "--seed", 4, "--resume")
    assert other.exit_code == 1 and "data.batch is 2, got 3" in other.stderr


def test_ready_targets_serve_training_and_validation_images(recipe_file, images, tmp_path, photo):
    ready, validation = tmp_path / "ready", tmp_path / "validation"
    ready.mkdir()
    validation.mkdir()
    (images / "rocket.png").rename(validation / "rocket.png")
    for name in ("coffee", "astronaut", "chelsea", "rocket"):
        Image.fromarray(255 - photo(name)).save(ready / f"{name}.png")
    result = call("run", recipe_file(), images, "--validation", validation, "--targets", ready, "--out", tmp_path / "r")
    assert result.exit_code == 0, result.stderr
    picture = np.asarray(Image.open(tmp_path / "r" / "pictures" / "0000004.png"))
    np.testing.assert_array_equal(picture[:, -48:], 255 - photo("rocket"))
    (ready / "rocket.png").unlink()
    result = call("run", recipe_file(), images, "--validation", validation, "--targets", ready, "--out", tmp_path / "s")
    assert result.exit_code == 2 and "expected a target named rocket" in result.stderr


def test_dry_run_prints_every_setting_and_does_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("run", "pnen-l0", "--dry-run", "--steps", 7)
    found = json.loads(result.stdout)
    assert found["optimiser"]["steps"] == 7 and found["optimiser"]["patience"] == 5
    assert found["target"] == {"filter": "l0", "strength": 0.02, "kappa": 2.0}
    assert found["network"]["scales"] == [2, 4, 8] and found["parameters"] == 1_877_068
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["pnen-l1", "images"], 2, 'no recipe "pnen-l1"'),
        (["wrong.toml", "images"], 2, 'wrong.toml: unknown setting "crops" in [data]; there are images, crop, batch'),
        (["network.toml", "images"], 2, "network pnen: expected channels of at least 1, got 0"),
        (["tiny.toml"], 2, "expected images to train on, got none; name a folder"),
        (["tiny.toml", "empty"], 2, "empty: expected a folder with images, found none"),
        (["tiny.toml", "nowhere"], 2, "nowhere"),
        (["tiny.toml", "images/coffee.png"], 2, "expected at least 2 images, one to train on and one to score; got 1"),
        (["tiny.toml", "images", "--resume"], 2, "expected a run to resume, found no last.pt"),
        (["tiny.toml", "images", "--device", "gpu0"], 2, "expected a device such as auto"),
        (["tiny.toml", "images", "--device", "cuda:99"], 4, "no device cuda:99"),
        (["tiny.toml", "images", "--seed", "-1"], 2, "--seed"),
        (["tiny.toml", "broken"], 1, "zzz.png"),
        (["large.toml", "images"], 1, "expected at least 64 pixels a side, got 48x40"),
        (["tiny.toml", "images", "--targets", "small"], 1, "expected 48x40 pixels"),
        (["tiny.toml", "images", "--targets", "empty"], 2, "found none"),
    ],
)
def test_bad_input_is_one_line_and_its_exit_code(recipe_file, images, tmp_path, monkeypatch, args, code, line):
    monkeypatch.chdir(tmp_path)
    recipe_file(data={"crops": 1}).rename("wrong.toml")
    recipe_file(network={"channels": 0}).rename("network.toml")
    recipe_file(data={"crop": 64}).rename("large.toml")
    recipe_file()
    for name in ("empty", "broken", "small"):
        (tmp_path / name).mkdir()
    for name in ("coffee", "astronaut", "chelsea", "rocket"):
        Image.new("RGB", (20, 20)).save(tmp_path / "small" / f"{name}.png")
    (tmp_path / "broken" / "zzz.png").write_bytes(b"no picture")
    Image.new("RGB", (20, 20)).save(tmp_path / "broken" / "a.png")
    result = call("run", *args)
    assert result.exit_code == code, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ") and line in last
    assert "Traceback" not in result.stderr


def test_an_image_to_train_on_is_none_to_score(recipe_file, images, tmp_path):
    (tmp_path / "link").symlink_to(images)
    result = call(
        "run", recipe_file(), images, "--validation", tmp_path / "link" / "rocket.png", "--out", tmp_path / "r"
    )
    assert result.exit_code == 2
    assert "rocket.png: expected other images to score than those to train on" in result.stderr


def test_saved_is_said_only_where_the_interrupt_saved(recipe_file, images, tmp_path, monkeypatch):
    for error, said in ((Stopped, True), (KeyboardInterrupt, False)):

        def interrupted(*_, error=error, **__):
            raise error

        monkeypatch.setattr(run, "train", interrupted)
        result = call("run", recipe_file(), images, "--out", tmp_path / "r")
        assert result.exit_code == 130 and ("saved: " in result.stderr) == said


def test_evaluate_prints_scores_beside_doing_nothing_and_writes_them(model, images, caplog):
    result = call("evaluate", model, images, "--json", "--write", "--limit", 3)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert list(found) == ["doing nothing", "pnen, tile 32"]
    assert found["doing nothing"]["images"] == 3
    written = load_checkpoint(model)
    assert written.training["scores"] == {"images": 3, "tile": 32, "tile_step": 24, "blend": "feather", "rows": found}
    assert written.training["task"]["filter"] == "l0"
    table = call("evaluate", model, images, "--tile", "whole", "--blend", "uniform")
    assert "doing nothing" in table.stdout and "pnen, tile whole" in table.stdout and "(4 images)" in table.stdout


def test_a_limit_takes_pictures_spread_evenly(model, images):
    paths = sorted(images.iterdir())
    assert len(paths) == 4
    limited, named = (call("evaluate", model, *words, "--json") for words in ((images, "--limit", 2), paths[::2]))
    rows = [{key: row["psnr"] for key, row in json.loads(result.stdout).items()} for result in (limited, named)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("tile", ["0", "15", "-4", "all", "1.5"])
def test_a_tile_that_is_none_is_wrong_usage(model, images, tile):
    result = call("evaluate", model, images, "--tile", tile)
    assert result.exit_code == 2 and "at least 16 pixels" in result.stderr


def test_study_recommends_a_tile_and_writes_it(model, images):
    result = call("study", model, images, "--limit", 2, "--write")
    assert result.exit_code == 0, result.stderr
    assert "(2 images)" in result.stdout and "recommended: tiles of " in result.stdout
    record = load_checkpoint(model).training
    assert (record["tile"], record["tile_step"]) in TILES
    assert [(row["tile"], row["step"]) for row in record["tile_study"]] == list(TILES)
    assert f"recommended: tiles of {record['tile']} every {record['tile_step']} pixels" in result.stdout


def test_a_bundled_model_is_scored_by_name_but_never_written_to(trained, images, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "BUNDLED", trained.parent)
    monkeypatch.chdir(tmp_path)
    assert call("evaluate", "best", images, "--limit", 1).exit_code == 0
    for command in ("evaluate", "study"):
        result = call(command, "best", images, "--write")
        assert result.exit_code == 2 and "copy the bundled model first" in result.stderr


def test_a_checkpoint_that_names_no_filter_is_scored_on_ready_targets_only(model, images):
    found = load_checkpoint(model)
    found.training = {}
    save_checkpoint(model, found)
    result = call("evaluate", model, images)
    assert result.exit_code == 1 and "does not say which filter it learnt" in result.stderr
    assert call("evaluate", model, images, "--targets", images).exit_code == 0


@pytest.mark.parametrize("command", ["evaluate", "study"])
def test_what_is_no_checkpoint_is_one_line(tmp_path, images, command):
    torch.save({"weight": torch.ones(1)}, tmp_path / "bare.pt")
    result = call(command, tmp_path / "bare.pt", images)
    assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "bare state dict" in result.stderr
    assert call(command, "nowhere.pt", images).exit_code == 2


def test_filter_takes_a_file_or_a_folder(images, tmp_path):
    result = call("filter", "l0", images, tmp_path / "out", "--set", "strength=0.05")
    assert result.exit_code == 0 and f"written: 4 images and filter.json in {tmp_path / 'out'}" in result.stdout
    result = call("filter", "l0", images / "coffee.png", tmp_path / "one.jpg")
    assert result.exit_code == 0 and result.stdout == f"written: {tmp_path / 'one.jpg'}\n"
    result = call("filter", "wmf", images, tmp_path / "fast", "--set", "backend=opencv", "--set", "radius=4")
    assert result.exit_code == 0 and '"radius": 4' in (tmp_path / "fast" / "filter.json").read_text()
    again = ["filter", "l0", images / "coffee.png", tmp_path / "one.jpg"]
    assert call(*again).exit_code == 2 and call(*again, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["l1", "images", "out"], 'unknown filter "l1"; there are l0'),
        (["l0", "images", "out", "--set", "strength"], "expected --set NAME=VALUE, got strength"),
        (["l0", "images", "out", "--set", "strength=much"], "expected a number from 0 for strength of filter l0"),
        (["wmf", "images", "out", "--set", "radius=2.5"], "expected a whole number from 0 for radius of filter wmf"),
        (["wmf", "images", "out", "--set", "backend=fast"], "expected one of exact, opencv for backend of filter wmf"),
        (["sd", "images", "out", "--set", "steps=0"], "expected at least 1 step, got 0"),
        (["l0", "images", "out", "--set", "lambda=1"], 'unknown setting "lambda"'),
        (["l0", "images", "out", "--set", "kappa=1"], "kappa above 1"),
        (["l0", "images", "images"], "expected another folder than the images'"),
    ],
)
def test_a_filter_that_cannot_be_is_wrong_usage(images, tmp_path, monkeypatch, args, line):
    monkeypatch.chdir(tmp_path)
    result = call("filter", *args)
    assert result.exit_code == 2 and line in result.stderr and result.stderr.count("\n") == 1


def test_help_lists_the_subcommands_without_importing_them_and_an_unknown_one_is_refused():
    code = "import sys; sys.modules['torch'] = None; from pnen_train.cli import main; main(['--help'])"
    help = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("run", "evaluate", "study", "filter", "models"):
        assert f"  {name} " in help and call(name, "--help").exit_code == 0
    assert call("train").exit_code == 2


def test_a_missing_package_says_what_to_install(monkeypatch):
    own = builtins.__import__

    def without_torch(name, *args, **settings):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return own(name, *args, **settings)

    monkeypatch.delitem(sys.modules, "pnen_train.commands.study", raising=False)
    monkeypatch.delitem(sys.modules, "pnen_train.device", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_torch)
    result = call("study", "--help")
    assert result.exit_code == 4
    assert "pnen-train study needs torch; install it with: pip install torch" in result.stderr
