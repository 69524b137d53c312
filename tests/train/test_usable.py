"""Pictures that will not do: all are named at once, before any target is made, or left out when asked."""

import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_train.checkpoint import load_checkpoint
from pnen_train.cli import main
from pnen_train.data import targets


def call(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def never(monkeypatch):
    """No target may be made."""
    monkeypatch.setattr(targets.Maker, "make", lambda *_: pytest.fail("a target was made"))


def spoil(folder, torn=(), small=()):
    for name in torn:
        (folder / name).write_bytes(b"no picture")
    for name in small:
        Image.new("RGB", (12, 40)).save(folder / name)


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("place", ["images", "validation"])
def test_all_that_will_not_do_are_named_before_a_target_is_made(recipe_file, images, tmp_path, place):
    (tmp_path / "validation").mkdir()
    (images / "rocket.png").rename(tmp_path / "validation" / "rocket.png")
    spoil(tmp_path / place, ["torn.png", "zzz.jpg"], ["small.png"])
    result = call("run", recipe_file(), images, "--validation", tmp_path / "validation", "--out", tmp_path / "run")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1, result.stderr
    assert "3 of 7 pictures will not do: " in result.stderr
    for name in ("torn.png", "zzz.jpg", "small.png: expected at least 16 pixels a side, got 12x40"):
        assert name in result.stderr
    assert "take them out, or add --skip-bad" in result.stderr and not (tmp_path / "run").exists()


@pytest.mark.usefixtures("never")
def test_of_many_ten_are_named_and_the_rest_counted(recipe_file, images, tmp_path):
    spoil(images, [f"torn{number:02}.png" for number in range(13)])
    result = call("run", recipe_file(), images, "--out", tmp_path / "run")
    assert (
        result.exit_code == 1
        and "13 of 17 pictures" in result.stderr
        and "; and 3 more; take them out" in result.stderr
    )
    assert result.stderr.count("torn") == 10


@pytest.mark.usefixtures("never")
def test_ready_targets_that_are_missing_are_named_together(recipe_file, images, tmp_path):
    ready = tmp_path / "ready"
    ready.mkdir()
    Image.open(images / "rocket.png").save(ready / "rocket.png")
    result = call("run", recipe_file(), images, "--targets", ready, "--out", tmp_path / "run")
    assert result.exit_code == 2 and "3 of 4 pictures will not do" in result.stderr
    for name in ("astronaut", "chelsea", "coffee"):
        assert f"expected a target named {name}" in result.stderr


def test_they_are_left_out_with_a_warning_when_asked(recipe_file, images, tmp_path, caplog):
    spoil(images, ["a.png"], ["b.png"])
    result = call("run", recipe_file(), images, "--out", tmp_path / "run", "--steps", 1, "--skip-bad")
    assert result.exit_code == 0, result.stderr
    assert "left out 2 of 6 pictures: " in caplog.text and "b.png: expected at least 16 pixels" in caplog.text
    assert load_checkpoint(tmp_path / "run" / "last.pt").training["images"] == 3
    again = call("run", recipe_file(), images, "--out", tmp_path / "run", "--steps", 2, "--skip-bad", "--resume")
    assert again.exit_code == 0, again.stderr


def test_where_none_will_do_nothing_is_trained(recipe_file, tmp_path):
    (tmp_path / "images").mkdir()
    spoil(tmp_path / "images", ["a.png", "b.png", "c.png"])
    result = call("run", recipe_file(), tmp_path / "images", "--out", tmp_path / "run", "--skip-bad")
    assert result.exit_code == 2 and "none will do" in result.stderr


def test_training_pictures_are_not_begun_with_a_photograph_that_will_not_do(images, tmp_path):
    spoil(images, ["torn.png", "zzz.png"])
    result = call("pictures", images, tmp_path / "made")
    assert result.exit_code == 1 and "2 of 6 pictures will not do" in result.stderr and not (tmp_path / "made").exists()
    assert call("pictures", images, tmp_path / "made", "--skip-bad", "--clean", "--sizes", 1).exit_code == 0
    assert len(list((tmp_path / "made").iterdir())) == 4


def test_a_crop_must_fit_into_what_a_scale_leaves_of_a_picture(recipe_file, images, tmp_path):
    spoil(images)
    Image.new("RGB", (17, 40)).save(images / "a.png")
    words = ["--set", "target.scale=3", "--set", "data.crop=16", "--out", tmp_path / "run"]
    result = call("run", recipe_file(), images, *words)
    assert result.exit_code == 1 and "a.png: expected at least 18 pixels a side, got 17x40" in result.stderr
