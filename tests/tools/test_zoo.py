"""Bundling a training: what is measured, what is refused, what is written, and the pages."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_zoo import flat, scores, tiles
from model_zoo import pictures as drawn
from model_zoo.lean import lean
from model_zoo.learnt import ends_of
from model_zoo.origin import Given, origin, refuse_paths
from model_zoo.pages import Model, about
from model_zoo.sections import measurements, training
from paper.runs import TrainedRun
from PIL import Image
from skimage import data

from pnen_export.record import make_card
from pnen_runtime import Smoother
from pnen_runtime.border import border_of
from pnen_runtime.errors import UsageError
from pnen_train.checkpoint import load_checkpoint, save_checkpoint
from pnen_train.config import read_recipe
from pnen_train.data.filters import filter_image
from pnen_train.evaluation.evaluate import evaluate, network_smoother
from pnen_train.evaluation.study import TILES

FREE = ["--trained-on", "free/train Kodak24", "--licence", "CC0-1.0"]
MADE = 138  # pictures of these 83 photographs


@pytest.fixture
def run(trained, small):
    """A run folder of 6 steps, with validations on both sides of its end and a torn line."""
    folder = trained("mine", **small, scales=[], grid=2, equivariant=True)
    change(folder, recipe=asdict(read_recipe("pnen-l0-small", ["optimiser.steps=6"])), images=MADE)
    rows = [{"step": step, "psnr": 20.0 + step, "seconds": 2.0 * step, "loss": 0.1} for step in (3, 6, 9)]
    (folder / "metrics.jsonl").write_text("\n".join([*map(json.dumps, rows), '{"step": 12, "ps']))
    return folder


def change(folder, **record):
    checkpoint = load_checkpoint(folder / "last.pt")
    checkpoint.training |= record
    save_checkpoint(folder / "last.pt", checkpoint)


@pytest.fixture
def held_out(tmp_path):
    """A folder with one detail, 800 pixels wide: it is reduced to 400x120."""
    folder = tmp_path / "free" / "holdout"
    folder.mkdir(parents=True)
    chelsea = np.tile(data.chelsea()[20:260, :400], (1, 2, 1))
    Image.fromarray(chelsea).save(folder / "chelsea.png")
    return folder


@pytest.fixture
def quick(monkeypatch):
    """Few pictures, so that the tests take seconds; what is done with each is the same."""
    monkeypatch.setattr(drawn, "PHOTOGRAPHS", ("chelsea",))
    monkeypatch.setattr(tiles, "PHOTOGRAPHS", ())
    monkeypatch.setattr(flat, "SEEDS", (1000,))
    monkeypatch.setattr(scores, "NOISE", (0, 6))


@pytest.mark.slow
def test_a_run_becomes_a_bundled_model_with_pages(run, pictures, held_out, tmp_path, call, quick):
    models, docs = tmp_path / "models", tmp_path / "docs"
    models.mkdir()
    docs.mkdir()
    result = call("zoo", "add", "tiny", run, "--on", pictures, "--choose-on", held_out, *FREE, "--into", models)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in models.iterdir()) == ["tiny.onnx", "tiny.pt"]
    made, before = load_checkpoint(models / "tiny.pt"), lean(load_checkpoint(run / "last.pt"))
    training = made.training
    with Smoother(models / "tiny.onnx") as smoother:
        card = smoother.card
    assert made.resume is None and made.sha256() == before.sha256() == card.weights_sha256
    assert (card.precision, card.target, card.tile, card.tile_step) == (
        "fp32", "ort", training["tile"], training["tile_step"])  # fmt: skip
    measured = ("scores", "held_out", "tile_study", "noise", "flat", "seam", "curve", "cpu")
    assert all(card.training[key] == training[key] for key in measured)
    refuse_paths(training, "the record")

    assert training["curve"] == [{"step": 3, "psnr": 23.0, "seconds": 6.0}, {"step": 6, "psnr": 26.0, "seconds": 12.0}]
    assert training["seconds"] == 12.4 and training["published"]["psnr"] == 33.44
    assert training["licence"] == "CC0-1.0: any use, no attribution needed"
    assert training["trained_on"] == (
        "83 photographs free for any use (free/train: CC0 and Unsplash licence; Kodak24), 28 noisy pieces of them, "
        "27 drawn pictures")  # fmt: skip
    made = "pnen-train pictures free/train Kodak24 pictures --sizes 1"
    assert training["reproduce"][:2] == [made, "pnen-train pictures free/holdout holdout --sizes 1 --clean"]
    assert training["reproduce"][2].startswith("pnen-train run pnen-l0-small pictures --validation holdout")
    assert "--set optimiser.steps=6 --seed 0" in training["reproduce"][2]
    assert [(row["tile"], row["step"]) for row in training["tile_study"]] == list(TILES)
    assert all(row["cpu_seconds"] > 0 for row in training["tile_study"]) and training["cpu"]["filter_seconds"] > 0

    held = np.asarray(Image.open(held_out / "chelsea.png").reduce(2))
    images = [np.asarray(Image.open(path)) for path in sorted(pictures.iterdir())]
    assert_scored(training["scores"], images, training, before)
    assert_scored(training["held_out"], [held], training, before)
    gains = [network["psnr"] - nothing["psnr"] for nothing, network in
             (training[key]["rows"].values() for key in ("held_out", "scores"))]  # fmt: skip
    assert training["held_out"]["gain_difference"] == pytest.approx(gains[0] - gains[1])
    still, noisy = training["noise"]["rows"]
    assert [still["noise"], noisy["noise"]] == [0, 6] and noisy["psnr"] != still["psnr"]
    assert still["psnr"] == pytest.approx(training["held_out"]["rows"][f"pnen, tile {training['tile']}"]["psnr"])
    assert [row["strength"] for row in (*training["flat"], *training["seam"]["rows"])] == [None, None]
    assert "strengths" not in training["scores"]  # it knows one

    for _ in range(2):  # the second time over what is there, with prose of its own
        result = call("zoo", "pages", "--of", models, "--into", docs)
        assert result.exit_code == 0, result.output
        page = (docs / "tiny.md").read_text()
        (docs / "tiny.md").write_text(page.replace("## Intended use", "Mine.\n\n## Intended use", 1))
    names = {path.name for path in docs.iterdir()}
    assert names == {"README.md", "tiny.md", "tiny_curve.png", "tiny_failures.jpg", "zoo.png"}
    titles = ["Scores", "Photographs of another kind", "Noise", "Flat colour", "Seams", "Training", "Tiles", "Failures",
              "Licence"]  # fmt: skip
    places = [page.index(f"\n## {title}\n") for title in titles]
    assert places == sorted(places) and page.count("## Scores") == page.count("Mine.") == 1
    assert page.index("<!-- measured -->") < places[0] < places[-1] < page.index("<!-- end -->") < page.index("Mine.")
    assert "pnen-train evaluate tiny BSDS500/val\n" in page and "any use, no attribution needed" in page
    assert "this strength alone" in page and "only mixes" not in page and "## Strengths" not in page
    assert "| [tiny](tiny.md) | L0 gradient minimisation | one |" in (docs / "README.md").read_text()
    for name in names:
        if not name.endswith(".md"):
            assert (docs / name).stat().st_size < 300_000
            with Image.open(docs / name) as picture:
                assert min(picture.size) > 200 and picture.convert("L").getextrema() != (255, 255)


def assert_scored(found, images, training, before):
    """The scores are those of PyTorch and of the filter on these images, in the recommended tiles."""
    pairs = [(image, filter_image(image, "l0", {})) for image in images]
    border = border_of(training["task"])
    smooth = network_smoother(before.model(), training["tile"], training["tile_step"], border=border)
    rows = found["rows"].values()
    for row, wanted in zip(rows, (evaluate(lambda image: image, pairs), evaluate(smooth, pairs)), strict=True):
        assert row["psnr"] == pytest.approx(wanted.psnr, abs=1e-3)
        assert row["ssim"] == pytest.approx(wanted.ssim, abs=1e-4) and row["images"] == found["images"] == len(images)
    errors = [(smooth(image).astype(float) - target) ** 2 for image, target in pairs]
    inside = [error[8:-8, 8:-8] for error in errors]
    ratios = [np.sqrt((error.sum() - part.sum()) / (error.size - part.size) / part.mean())
              for error, part in zip(errors, inside, strict=True)]  # fmt: skip
    assert found["border"] == pytest.approx(np.mean(ratios), rel=0.02)


def test_the_page_of_an_adjustable_model_has_its_strengths():
    task = {"filter": "l0", "strength": 0.02, "kappa": 2.0, "strengths": [0.002, 0.02, 0.2]}
    assert ends_of(task) == (0.002, 0.02, 0.2) and ends_of({"filter": "sd"}) == (None,)
    row = {"psnr": 30.0, "ssim": 0.9, "ssim_box7": 0.9, "cpu_seconds": 0.1, "images": 2}
    strengths = {"images": 20, "rows": [{"strength": 0.2, "nothing": row | {"psnr": None}, "network": row}],
                 "mean": {"nothing": row, "network": row}}  # fmt: skip
    scored = {"on": "BSDS500/val", "images": 100, "tile": 256, "tile_step": 192, "border": 1.25, "strengths": strengths,
              "rows": {"doing nothing": row, "pnen, tile 256": row}, "gain_difference": -0.5}  # fmt: skip
    record = {"task": task, "tile": 256, "tile_step": 192, "scores": scored,
              "held_out": scored | {"on": "free/holdout"},
              "cpu": {"processor": "a CPU", "runtime": "a runtime", "filter_seconds": 1.0, "filter_images": 3},
              "noise": {"images": 4, "rows": [{"noise": 6, "nothing": 20.0, "psnr": 30.0}]},
              "flat": [{"strength": 0.2, "centre": 1, "any": 2, "text": 0.25, "screen": None}],
              "seam": {"images": 10, "rows": [{"strength": 0.2, "photographs": 0.5, "sky": 0.1, "gradient": 0.0}]},
              }  # fmt: skip
    page = "\n".join(measurements("l0", record))
    for line in ("    pnen-train evaluate l0 BSDS500/val --strengths 0.02", "| 0.2 | equal | 30.00 | equal | 30.00 |",
                 "    pnen-train evaluate l0 BSDS500/val --limit 20", "| mean | 30.00 | 30.00 | 30.00 | 30.00 |",
                 "| 0.2 | 1 | 2 | 0.25 | - |", "| 0.2 | 0.5 | 0.1 | 0 |"):  # fmt: skip
        assert line in page.splitlines(), page
    assert "1.2 times that of the inside" in page and "-0.50 dB" in page


def test_a_page_says_what_strengths_a_model_knows(trained, small, tmp_path):
    words = {}
    for name, more in (("one", {}), ("every", {"strengths": [0.002, 0.02, 0.2]})):
        task = {"filter": "l0", "strength": 0.02, "kappa": 2.0} | more
        folder = trained(name, **small, scales=[], grid=2, strengths=(0.002, 0.2) if more else (), task=task)
        model = Model(name, load_checkpoint(folder / "last.pt"), folder / "last.pt")
        model.__dict__["card"] = make_card(model.checkpoint)
        words[name] = " ".join(about(model))
        assert "`mix`, from 0 to 1, blends the result with the picture" in words[name]
    assert "with strength 0.02, kappa 2.0, and knows this strength alone" in words["one"]
    assert "from 0.002 to 0.2; 0.02 where none is asked for. The filter's other settings: kappa 2.0." in words["every"]
    assert "--strength" in words["every"] and "--strength" not in words["one"]


@given(st.integers(0, 20), st.integers(0, 30), st.integers(2, 6))
def test_the_worst_place_is_where_the_error_is(top, left, side):
    error = np.zeros((20 + side, 30 + side))
    error[top : top + side, left : left + side] = 1
    assert drawn.worst_place(error, side) == (top, left)


def refused(result, words):
    assert result.exit_code == 2 and words in result.stderr, result.output
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_network_that_learnt_a_function_of_ones_own_is_one_line(run, pictures, held_out, tmp_path, call):
    change(run, task={"function": "soft:soft", "source": "0"})
    options = "--on", pictures, "--choose-on", held_out, "--into", tmp_path
    refused(call("zoo", "add", "tiny", run, *options, *FREE), "expected a network that learnt one of the filters")


def test_more_sets_are_for_networks_that_restore(run, pictures, held_out, grey, tmp_path, call):
    options = "--on", pictures, "--choose-on", held_out, "--into", tmp_path, "--also", grey
    refused(call("zoo", "add", "tiny", run, *options, *FREE), "expected --also with a denoiser or an enlarger")


@pytest.mark.parametrize(("record", "words"), [
    ({"images": 137}, "expected a training on 221 pictures"),
    ({"start": {"weights": "/elsewhere/l0/last.pt", "sha256": "0"}}, "got other ones (last.pt)"),
    ({"extra": {"folders": ["pictures", "--validation /tmp/x"]}}, "got extra.folders = "),
])  # fmt: skip
def test_records_that_cannot_be_shipped_are_one_line(run, pictures, held_out, tmp_path, call, record, words):
    change(run, **record)
    options = "--on", pictures, "--choose-on", held_out, "--into", tmp_path
    refused(call("zoo", "add", "tiny", run, *options, *FREE), words)
    assert not list(tmp_path.glob("tiny.*"))


def test_a_run_that_went_before_is_told_and_repeated(run, trained, small, tmp_path):
    first = trained("first", **small, scales=[], grid=2, equivariant=True)
    second = trained("second", **small, scales=[], grid=2, equivariant=True, seed=1)
    sha = load_checkpoint(first / "last.pt").sha256()
    change(first, recipe=asdict(read_recipe("pnen-l0-small", ["optimiser.steps=9"])), images=MADE + 2 * 83)
    change(second, images=MADE, recipe=asdict(read_recipe("pnen-l0-small", ["optimiser.steps=7"])),
           start={"weights": str(first / "last.pt"), "sha256": sha})  # fmt: skip
    sha = load_checkpoint(second / "last.pt").sha256()
    change(run, start={"weights": str(second / "last.pt"), "sha256": sha})
    record = origin(TrainedRun.of(str(run)), Given("free/train Kodak24", "CC0-1.0", "free/holdout"))
    assert record["recipe"]["optimiser"]["start"] == record["start"]["weights"] == "runs/second/best.pt"
    before, between, last = record["reproduce"][-3:]
    assert "--set optimiser.steps=9" in before and before.endswith("--out runs/first")
    assert record["reproduce"][:2] == ["pnen-train pictures free/train Kodak24 pictures_in_3 --sizes 3",
                                       "pnen-train pictures free/train Kodak24 pictures --sizes 1"]  # fmt: skip
    assert "pnen-l0-small pictures_in_3 " in before and "pnen-l0-small pictures " in last
    assert "--set optimiser.start=runs/first/best.pt" in between and between.endswith("--out runs/second")
    assert "--set optimiser.steps=6" in last and "--set optimiser.start=runs/second/best.pt" in last
    refuse_paths(record, "run")
    (text,) = [part for part in training("mine", replace(load_checkpoint(run / "last.pt"),
               training=record)) if "begun with" in part]  # fmt: skip
    assert (
        f"runs/second/best.pt ({record['start']['step']:,} steps in 0 minutes, begun with those of runs/first/best.pt ("
        in text
    )
    change(run, start={"weights": str(first / "last.pt"), "sha256": "0"})
    with pytest.raises(UsageError, match="another run that is still there"):
        origin(TrainedRun.of(str(run)), Given("free/train Kodak24", "CC0-1.0", "free/holdout"))


def test_the_tile_is_never_chosen_on_what_is_scored(run, pictures, held_out, tmp_path, call):
    (held_out / "copy.png").write_bytes((pictures / "coffee.png").read_bytes())
    options = "--on", pictures, "--choose-on", held_out, "--into", tmp_path
    refused(call("zoo", "add", "tiny", run, *options, *FREE), "expected other photographs to choose the tile on")


def test_pages_of_what_was_not_measured_are_one_line(trained, small, tmp_path, call):
    folder = tmp_path / "models"
    folder.mkdir()
    refused(call("zoo", "pages", "--of", folder, "--into", tmp_path), "expected bundled models")
    (trained("mine", **small) / "last.pt").rename(folder / "old.pt")
    (folder / "old.onnx").touch()
    refused(call("zoo", "pages", "--of", folder, "--into", tmp_path), "old: expected a model measured by")


def test_a_page_without_markers_stays_as_it_is(tmp_path):
    from model_zoo.pages import _put

    (tmp_path / "l0.md").write_text("# mine\n")
    with pytest.raises(UsageError, match="l0.md: expected <!-- measured -->"):
        _put(tmp_path / "l0.md", "fresh", "figures")
    assert (tmp_path / "l0.md").read_text() == "# mine\n"
