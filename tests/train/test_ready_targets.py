"""What a network learnt from ready targets is recorded as that, and said wherever it is shown or scored."""

import json

import pytest
from click.testing import CliRunner

from pnen_export.record import make_card
from pnen_runtime.info import describe_task
from pnen_train.checkpoint import load_checkpoint
from pnen_train.cli import main


def call(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def run(recipe_file, images, tmp_path):
    """run(ready) → the checkpoint of a run that learnt the targets in this folder, with a recipe that says L0."""

    def train(ready, *words):
        result = call("run", recipe_file(), images, "--targets", ready, "--steps", 1, "--out", tmp_path / "run", *words)
        assert result.exit_code == 0, result.stderr
        return tmp_path / "run" / "last.pt"

    return train


def test_targets_without_a_note_are_recorded_by_their_folder(run, images, tmp_path):
    assert call("filter", "l0", images, tmp_path / "mine").exit_code == 0
    (tmp_path / "mine" / "filter.json").unlink()
    path = run(tmp_path / "mine")
    found = load_checkpoint(path)
    assert found.training["task"] == {"targets": "mine"} and "l0" not in json.dumps(found.training)
    assert describe_task(make_card(found)) == "what the targets in mine show"
    for command in ("evaluate", "study"):
        result = call(command, path, images)
        assert result.exit_code == 2 and "a folder called mine" in result.stderr and "--targets" in result.stderr
    result = call("evaluate", path, images, "--targets", tmp_path / "mine", "--write")
    assert result.exit_code == 0 and f"against the targets in {tmp_path / 'mine'}" in result.stdout
    assert load_checkpoint(path).training["scores"]["targets"] == {"targets": "mine"}
    (tmp_path / "mine").rename(tmp_path / "moved")
    run(tmp_path / "moved", "--steps", 2, "--resume")  # the same pixels
    result = call("run", tmp_path / "tiny.toml", images, "--steps", 3, "--resume", "--out", tmp_path / "run")
    assert result.exit_code != 0


def test_targets_with_a_note_are_recorded_as_what_it_tells(run, images, tmp_path):
    assert call("filter", "l0", images, tmp_path / "mine", "--set", "strength=0.1").exit_code == 0
    path = run(tmp_path / "mine")
    learnt = load_checkpoint(path).training["task"]
    assert (learnt["filter"], learnt["strength"]) == ("l0", 0.1) and "rounding" not in learnt
    ready, made = (json.loads(call("evaluate", path, images, "--json", *words).stdout)
                   for words in (["--targets", tmp_path / "mine"], []))  # fmt: skip
    assert ready["doing nothing"]["psnr"] == made["doing nothing"]["psnr"]


@pytest.mark.parametrize("note", ["torn {", "[]", '{"filter": "mine"}', '{"filter": "l0"}', '{"filter": 3}'])
def test_a_note_of_another_program_is_none(run, images, tmp_path, note):
    assert call("filter", "l0", images, tmp_path / "mine").exit_code == 0
    (tmp_path / "mine" / "filter.json").write_text(note)
    assert load_checkpoint(run(tmp_path / "mine")).training["task"] == {"targets": "mine"}


def test_a_recipe_of_ready_targets_wants_their_folder(recipe_file, images, tmp_path):
    result = call("run", recipe_file(target={"targets": "mine"}), images, "--out", tmp_path / "run")
    assert result.exit_code == 2 and "give them: --targets FOLDER" in result.stderr
