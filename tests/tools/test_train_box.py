"""Boxes of a training: each goes on from the files of the one before, and they end where one run does."""

import importlib
import json
import shutil

import pytest
import torch

from pnen_train.checkpoint import load_checkpoint
from pnen_train.config import read_recipe

RECIPE = """
[network]
name = "pnen"
channels = 8
stages = 2
dilations = [1]
scales = [4]
key_channels = 4
value_channels = 4
[data]
crop = 16
batch = 2
[optimiser]
steps = 5
average = 0.9
[run]
evaluate_every = 2
checkpoint_every = 3
tile = 32
tile_step = 24
"""


@pytest.fixture
def box(call, pictures, tmp_path):
    """box("out", options...) → the finished command, trained on two pictures and scored on copies of them."""
    recipe, scored = tmp_path / "tiny.toml", tmp_path / "scored"
    recipe.write_text(RECIPE)
    scored.mkdir()
    for path in pictures.iterdir():
        shutil.copy(path, scored / f"copy_{path.name}")
    return lambda out, *options: call("train_box", recipe, pictures, "--validation", scored, "--out", tmp_path / out,
                                      "--device", "cpu", "--scored", 1, *options)  # fmt: skip


@pytest.mark.slow
def test_boxes_go_on_from_each_other_and_end_as_one_run_does(box, tmp_path):
    assert box("whole").exit_code == 0
    out, begin, count = "box1", (), 1
    while True:
        result = box(out, *begin, "--max-time", 1e-6)  # over at once: a step each
        assert result.exit_code == 0, result.output
        found = json.loads((tmp_path / out / "box.json").read_text())
        assert (found["step"], found["steps"], found["of"]) == (count, 1, 5)
        if found["step"] == 5:
            break
        count, begin, out = count + 1, ("--begin", tmp_path / out), f"box{count + 1}"
    ours, theirs = (load_checkpoint(tmp_path / name / "last.pt") for name in (out, "whole"))
    assert ours.sha256() == theirs.sha256()
    files = list((tmp_path / out).iterdir())
    assert {path.name for path in files} == {"last.pt", "best.pt", "metrics.jsonl", "box.json", "curve.png"}
    assert found["scores"]["images"] == 1 and found["machine"]["GPU"]
    steps = [json.loads(line)["step"] for line in (tmp_path / out / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 5]


def test_a_box_that_is_not_empty_or_not_a_box_is_refused_before_the_work(box, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    full, empty = box("full"), box("out", "--begin", tmp_path / "scored")
    assert full.exit_code == empty.exit_code == 2
    assert "expected an empty folder for the box" in full.stderr and "expected a box with last.pt" in empty.stderr
    assert not (tmp_path / "out").exists()


def test_a_network_too_large_for_a_box_is_refused_before_the_work(call, pictures, tmp_path):
    result = call("train_box", "rdn", pictures, "--validation", pictures, "--out", tmp_path / "out")
    assert result.exit_code == 2 and "88 MB of weights and 34 parts besides" in result.stderr
    refuse = importlib.import_module("train_box").refuse_what_no_box_holds
    for recipe in ("pnen-l0", "pnen-gpu", "resnet", "djf", "memnet-pnb"):
        refuse(read_recipe(recipe))


@pytest.mark.slow
@pytest.mark.parametrize("fails", ["run", "evaluate"])
def test_what_was_trained_is_packed_when_the_box_is_interrupted_or_its_scoring_fails(box, tmp_path, monkeypatch, fails):
    module = importlib.import_module("train_box")
    call = module.call

    def failing(name, *words):
        if name == "run":
            call(name, *words)
        if name == fails:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "call", failing)
    result = box("broken", "--max-time", 1e-6)
    assert result.exit_code == 130 and json.loads((tmp_path / "broken" / "box.json").read_text())["scores"] is None
    monkeypatch.setattr(module, "call", call)
    assert box("mended", "--begin", tmp_path / "broken").exit_code == 0
    assert load_checkpoint(tmp_path / "mended" / "last.pt").step == 5


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(box):
    result = box("out", "--device", "auto")
    assert result.exit_code == 0 and "no GPU: this trains on the CPU" in result.stderr
