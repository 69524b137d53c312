"""Where a bundled model comes from: free pictures, commands that repeat its training, no path of this machine."""

import shlex
from dataclasses import asdict
from itertools import pairwise

import pytest
from model_zoo.origin import Given, origin, refuse_paths, reproduce, trained_on
from model_zoo.recipes import command
from paper.runs import TrainedRun

from pnen_runtime.errors import UsageError
from pnen_train.checkpoint import load_checkpoint
from pnen_train.config import read_recipe

GIVEN = Given("free/train Kodak24", "CC0-1.0", "free/holdout")
THERE = "/elsewhere/l0/last.pt"


@pytest.mark.parametrize("changes", [[], ["optimiser.steps=7", "network.scales=[4, 8]"], ["target.filter=sd"],
                                     ["network.name=resnet", "network.channels=32"],
                                     ["network.name=pnen", "network.channels=32"]])  # fmt: skip
@pytest.mark.parametrize("recipe", ["pnen-l0-small", "wmf"])
def test_the_command_repeats_the_recipe(recipe, changes):
    wanted = read_recipe(recipe, [*changes, "run.seed=3"])
    words = shlex.split(command(asdict(wanted), "BSDS500/train", "BSDS500/val"))
    sets = [value for word, value in pairwise(words) if word == "--set"]
    assert read_recipe(words[2], [*sets, f"run.seed={words[-1]}"]) == wanted
    assert changes or (words[2] == recipe and words[3] == "BSDS500/train" and not sets)


@pytest.mark.parametrize("text", ["/a/b.pt", "~/b.pt", "C:\\b.pt", "run l0 /data", "start=/a", "see '/a/b'"])
def test_absolute_paths_are_found_and_words_are_not(text):
    with pytest.raises(UsageError, match="no path of this machine"):
        refuse_paths({"recipe": {"optimiser": {"start": text}}}, "mine")
    refuse_paths({"a/b": ["BSDS500/val", "PSNR / SSIM", "Intel(R) Xeon(R)", "2.13.0+cpu", "l0: https", 3]}, "mine")


@pytest.mark.parametrize("name", ["l0", "wmf-fast"])
def test_weights_to_start_with_get_the_bundled_name_that_they_have(trained, small, name):
    run = began_with(trained("mine", **small), load_checkpoint(name).sha256())
    record = origin(run, GIVEN)
    assert record["start"]["weights"] == record["recipe"]["optimiser"]["start"] == name
    assert ("--set optimiser.start=wmf-fast" in record["reproduce"][2]) == (name == "wmf-fast")
    assert run.training["start"]["weights"] == THERE  # the run's own record stays


def test_other_weights_to_start_with_are_refused(trained, small):
    with pytest.raises(
        UsageError, match=r"weights of a bundled model, or of another run .* got other ones \(last.pt\)"
    ):
        origin(began_with(trained("mine", **small), "0"), GIVEN)


def began_with(folder, sha256):
    run = TrainedRun.of(folder)
    recipe = asdict(read_recipe("wmf", [f"optimiser.start={THERE}"]))
    run.training.update(start={"weights": THERE, "sha256": sha256}, recipe=recipe, images=138)
    return run


def test_pictures_that_are_not_free_and_other_numbers_of_them_are_refused():
    learnt, every = {"task": {"filter": "l0"}}, {"recipe": {"data": {}}}
    record = {**learnt, "images": 48, "recipe": {"data": {"images": 48}}}
    assert trained_on(record, ["free/train", "Kodak24"]).startswith("48 of 221 pictures, spread evenly: 83 photographs")
    kodak = trained_on({**learnt, **every, "images": 40}, ["Kodak24"])
    assert kodak == "24 photographs free for any use (Kodak24), 8 noisy pieces of them, 8 drawn pictures"
    twice = trained_on({**learnt, **every, "images": 64}, ["Kodak24"])
    assert twice.startswith("24 photographs free for any use (Kodak24), each in two sizes, 8 noisy pieces of them")
    thrice = trained_on({**learnt, **every, "images": 88}, ["Kodak24"])
    assert thrice.startswith("24 photographs free for any use (Kodak24), each in three sizes, 8 noisy pieces of them")
    more = trained_on({**learnt, **every, "images": 3 * 83 + 2 * 83 + 27}, ["free/train", "Kodak24"])
    assert more.endswith("each in three sizes, 166 noisy pieces of them, 27 drawn pictures")
    drawn = trained_on({**learnt, **every, "images": 2 * 83 + 28 + 2 * 83}, ["free/train", "Kodak24"])
    assert drawn.endswith("each in two sizes, 28 noisy pieces of them, 166 drawn pictures")
    clean = trained_on({"task": {"scale": 2}, **every, "images": 48}, ["Kodak24"])
    assert clean == "24 photographs free for any use (Kodak24), each in two sizes"
    for folders in (["BSDS500/train"], ["free/train", "mine"]):
        with pytest.raises(UsageError, match="expected photographs free for any use"):
            trained_on(record, folders)


def test_the_commands_make_the_pictures_of_every_training():
    def record(images, **optimiser):
        recipe = asdict(read_recipe("wmf", [f"optimiser.{key}={value}" for key, value in optimiser.items()]))
        return {"task": {"filter": "wmf"}, "images": images, "recipe": recipe}

    lines = reproduce(record(442, start="runs/first/best.pt"), [record(221)], GIVEN)
    assert lines[0] == "pnen-train pictures free/train Kodak24 pictures_in_2"
    assert lines[1] == "pnen-train pictures free/train Kodak24 pictures --sizes 3 --noisy 2"
    assert "pictures_in_2 --validation holdout" in lines[3] and lines[3].endswith("--out runs/first")
    assert " pictures --validation holdout" in lines[4]
