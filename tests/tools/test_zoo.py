"""Bundling a training: what is measured, what is written, and the pages."""

import json
import shlex
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_zoo import pictures as drawn
from model_zoo.recipes import command
from PIL import Image

from pnen_runtime import Smoother
from pnen_train.checkpoint import load_checkpoint, save_checkpoint
from pnen_train.config import read_recipe
from pnen_train.evaluate import evaluate, network_smoother
from pnen_train.filters import filter_image
from pnen_train.study import TILES

OLD_RECORD = {"cpu", "curve", "seconds"}  # what a model has not that was measured before there were these


@pytest.fixture
def run(trained, small):
    """A run folder of 6 steps, with validations on both sides of its end and a torn line."""
    folder = trained("mine", **small, scales=[8])
    path = folder / "last.pt"
    checkpoint = load_checkpoint(path)
    checkpoint.training["recipe"] = asdict(read_recipe("pnen-l0-small", ["optimiser.steps=6"]))
    save_checkpoint(path, checkpoint)
    rows = [{"step": step, "psnr": 20.0 + step, "seconds": 2.0 * step, "loss": 0.1} for step in (3, 6, 9)]
    (folder / "metrics.jsonl").write_text("\n".join([*map(json.dumps, rows), '{"step": 12, "ps']))
    return folder


@pytest.mark.slow
def test_a_run_becomes_a_bundled_model_with_pages(run, pictures, tmp_path, call, monkeypatch):
    models, docs = tmp_path / "models", tmp_path / "docs"
    models.mkdir()
    docs.mkdir()
    result = call("zoo", "add", "tiny", run, "--on", pictures, "--study-limit", 1, "--into", models,
                  "--trained-on", "my/pictures")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in models.iterdir()) == ["tiny.onnx", "tiny.pt"]
    made, before = load_checkpoint(models / "tiny.pt"), load_checkpoint(run / "last.pt")
    training = made.training
    with Smoother(models / "tiny.onnx") as smoother:
        card = smoother.card
    assert made.resume is None and made.sha256() == before.sha256() == card.weights_sha256
    assert (card.precision, card.target, card.tile, card.tile_step) == (
        "fp32", "ort", training["tile"], training["tile_step"])  # fmt: skip
    assert all(card.training[key] == training[key] for key in ("scores", "tile_study", "curve", "cpu"))

    assert training["curve"] == [{"step": 3, "psnr": 23.0, "seconds": 6.0}, {"step": 6, "psnr": 26.0, "seconds": 12.0}]
    assert training["seconds"] == 12.4 and training["published"]["psnr"] == 33.44
    assert training["reproduce"].startswith("pnen-train run pnen-l0-small my/pictures --validation BSDS500/val")
    assert "--set optimiser.steps=6 --seed 0" in training["reproduce"]
    assert [(row["tile"], row["step"]) for row in training["tile_study"]] == list(TILES)
    assert all(row["cpu_seconds"] > 0 for row in training["tile_study"]) and training["cpu"]["filter_seconds"] > 0
    assert (training["cpu"]["study_images"], training["cpu"]["filter_images"]) == (1, 2)
    images = [np.asarray(Image.open(path)) for path in sorted(pictures.iterdir())]
    pairs = [(image, filter_image(image, "l0", {})) for image in images]
    nothing, network = training["scores"]["rows"].values()
    smooth = network_smoother(before.model(), training["tile"], training["tile_step"])
    for found, wanted in ((nothing, evaluate(lambda image: image, pairs)), (network, evaluate(smooth, pairs))):
        assert found["psnr"] == pytest.approx(wanted.psnr, abs=1e-3)
        assert found["ssim"] == pytest.approx(wanted.ssim, abs=1e-4) and found["images"] == 2

    monkeypatch.setattr(drawn, "PHOTOGRAPHS", ("chelsea",))
    (models / "old.onnx").write_bytes((models / "tiny.onnx").read_bytes())
    without_measurements(models, "old", made)
    for _ in range(2):  # the second time over what is there, with prose of its own
        result = call("zoo", "pages", "--of", models, "--into", docs)
        assert result.exit_code == 0, result.output
        page = (docs / "tiny.md").read_text()
        (docs / "tiny.md").write_text(page.replace("## Intended use", "Mine.\n\n## Intended use", 1))
    names = {path.name for path in docs.iterdir()}
    wanted = {"README.md", "tiny.md", "tiny_curve.png", "tiny_failures.jpg", "old.md", "old_failures.jpg", "zoo.png"}
    assert names == wanted
    assert page.count("## Scores") == page.count("Mine.") == 1 and "![validation PSNR" in page
    assert page.index("<!-- measured -->") < page.index("## Tiles") < page.index("<!-- end -->") < page.index("Mine.")
    assert "CPU s" not in (docs / "old.md").read_text() and "[tiny](tiny.md)" in (docs / "README.md").read_text()
    for name in names:
        if not name.endswith(".md"):
            assert (docs / name).stat().st_size < 300_000
            with Image.open(docs / name) as picture:
                assert min(picture.size) > 200 and picture.convert("L").getextrema() != (255, 255)


def without_measurements(models, name, checkpoint):
    """The same model as it was recorded before there were curves and CPU seconds."""
    training = {key: value for key, value in checkpoint.training.items() if key not in OLD_RECORD}
    training["tile_study"] = [{**row, "seconds": row["cpu_seconds"]} for row in training["tile_study"]]
    save_checkpoint(models / f"{name}.pt", replace(checkpoint, training=training))


@pytest.mark.parametrize("changes", [[], ["optimiser.steps=7", "network.scales=[4, 8]"], ["target.filter=sd"],
                                     ["network.name=resnet", "network.channels=32"],
                                     ["network.name=pnen", "network.channels=32"]])  # fmt: skip
@pytest.mark.parametrize("recipe", ["pnen-l0-small", "pnen-wmf-small"])
def test_the_command_repeats_the_recipe(recipe, changes):
    wanted = read_recipe(recipe, [*changes, "run.seed=3"])
    words = shlex.split(command(asdict(wanted), "BSDS500/train", "BSDS500/val"))
    sets = [value for word, value in pairwise(words) if word == "--set"]
    assert read_recipe(words[2], [*sets, f"run.seed={words[-1]}"]) == wanted
    assert changes or (words[2] == recipe and words[3] == "BSDS500/train" and not sets)


@given(st.integers(0, 20), st.integers(0, 30), st.integers(2, 6))
def test_the_worst_place_is_where_the_error_is(top, left, side):
    error = np.zeros((20 + side, 30 + side))
    error[top : top + side, left : left + side] = 1
    assert drawn.worst_place(error, side) == (top, left)


def test_a_network_without_a_filter_and_a_page_without_markers_are_one_line(trained, grey, tmp_path, call):
    denoiser = trained("grey", "rdn", task={"noise": 25}, image_channels=1, channels=4, dense_layers=1, blocks=1)
    result = call("zoo", "add", "grey", denoiser, "--on", grey, "--into", tmp_path, "--trained-on", "mine")
    assert result.exit_code == 2 and "expected a network that learnt a filter" in result.stderr
    (tmp_path / "l0.md").write_text("# mine\n")
    result = call("zoo", "pages", "--into", tmp_path)
    assert result.exit_code == 2 and "l0.md: expected <!-- measured -->" in result.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = call("zoo", "pages", "--of", empty, "--into", tmp_path)
    assert nothing.exit_code == 2 and "expected bundled models" in nothing.stderr
    assert len(result.stderr.strip().splitlines()) == 1 and (tmp_path / "l0.md").read_text() == "# mine\n"
