"""What may change when a run goes on, and what is said of it."""

import pytest

from pnen_runtime.errors import CheckpointError
from pnen_train.checkpoint import load_checkpoint, save_checkpoint
from pnen_train.training.train import train


@pytest.fixture
def begun(tmp_path, tiny, pairs):
    """A run of two steps."""
    train(tiny(optimiser={"steps": 2}, run={"evaluate_every": 2}), pairs[:3], pairs[3:], tmp_path, device="cpu")
    return tmp_path


@pytest.mark.parametrize(
    ("key", "value"),
    [("evaluate_every", 1), ("checkpoint_every", 1), ("validation_images", 3), ("tile", 24), ("tile_step", 16)],
)
def test_what_is_not_learnt_from_may_change(begun, tiny, pairs, caplog, key, value):
    recipe = tiny(optimiser={"steps": 4}, run={"evaluate_every": 2, key: value})
    train(recipe, pairs[:3], pairs[3:], begun, device="cpu", resume=True)
    whole = train(tiny(optimiser={"steps": 4}), pairs[:3], pairs[3:], begun / "whole", device="cpu")
    last = load_checkpoint(begun / "last.pt")
    assert last.step == 4 and last.sha256() == whole.sha256()
    assert last.training["recipe"]["run"][key] == value
    assert (last.training["tile"], last.training["tile_step"]) == (recipe.run.tile, recipe.run.tile_step)
    assert ("best.pt is chosen anew" in caplog.text) == (key in ("validation_images", "tile", "tile_step"))
    if key == "tile":
        assert load_checkpoint(begun / "best.pt").step == 4


@pytest.mark.parametrize(("key", "value"), [("seed", 1), ("precision", "auto")])
def test_what_is_learnt_by_may_not(begun, tiny, pairs, key, value):
    with pytest.raises(CheckpointError, match=f"in which run.{key} is"):
        train(tiny(optimiser={"steps": 4}, run={"evaluate_every": 2, key: value}), pairs[:3], pairs[3:], begun,
              device="cpu", resume=True)  # fmt: skip


def test_another_start_is_said_to_have_no_effect(begun, tiny, pairs, caplog):
    save_checkpoint(begun / "start.pt", load_checkpoint(begun / "best.pt"))
    recipe = tiny(optimiser={"steps": 3, "start": str(begun / "start.pt")}, run={"evaluate_every": 2})
    last = train(recipe, pairs[:3], pairs[3:], begun, device="cpu", resume=True)
    assert last.step == 3 and "began with random weights" in caplog.text and "has no effect" in caplog.text
    assert "start" not in last.training and last.training["recipe"]["optimiser"]["start"] == ""
