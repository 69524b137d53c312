"""Bundling a denoiser and an enlarger: what is measured of them, beside what, and their pages."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from model_zoo import non_local_means as means
from model_zoo import pictures as drawn
from model_zoo import tiles
from model_zoo.pictures import spoil
from PIL import Image
from skimage import data

from pnen_runtime import Smoother, Upscaler
from pnen_runtime.bicubic import resize
from pnen_runtime.ycbcr import to_ycbcr
from pnen_train.checkpoint import load_checkpoint, save_checkpoint
from pnen_train.config import read_recipe
from pnen_train.data.noise import Noise
from pnen_train.metrics import levels, psnr

FREE = ["--trained-on", "free/train Kodak24", "--licence", "CC0-1.0"]
MADE = 166  # clean pictures of these 83 photographs, in two sizes
DENOISER = {"task": {"noise": 25, "colour": True, "strengths": [0.0, 50.0]}, "strengths": (0, 50),
            "strength_scale": "linear", "contrast_power": 0.0}  # fmt: skip
ENLARGER = {"task": {"scale": 2}, "image_channels": 1}


@pytest.fixture
def add(trained, small, pictures, grey, tmp_path, call, monkeypatch):
    """add(kind) → the record and the folder with the files; few pictures and settings, so that it takes seconds."""
    monkeypatch.setattr(drawn, "PHOTOGRAPHS", ("chelsea",))
    monkeypatch.setattr(tiles, "PHOTOGRAPHS", ())
    monkeypatch.setattr(tiles, "TILES", (("whole", None), (64, 48)))
    monkeypatch.setattr(means, "WAYS", {name: means.Way(way.run, dict.fromkeys(way.tried, (0.6, 0.9)))
                                        for name, way in means.WAYS.items()})  # fmt: skip
    held = tmp_path / "free" / "holdout"
    held.mkdir(parents=True)
    Image.fromarray(data.chelsea()[60:180, :300]).save(held / "chelsea.png")
    models = tmp_path / "models"
    models.mkdir()

    def run(kind, recipe):
        folder = trained("mine", **small, scales=[], grid=2, equivariant=True, **kind)
        checkpoint = load_checkpoint(folder / "last.pt")
        checkpoint.training |= {"recipe": asdict(read_recipe(recipe)), "images": MADE}
        save_checkpoint(folder / "last.pt", checkpoint)
        words = "zoo", "add", "tiny", folder, "--on", pictures, "--also", grey, "--choose-on", held, "--into", models
        result = call(*words, *FREE)
        assert result.exit_code == 0, result.output
        return load_checkpoint(models / "tiny.pt").training, models

    return run


def pages(call, models, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    result = call("zoo", "pages", "--of", models, "--into", docs)
    assert result.exit_code == 0, result.output
    return docs, (docs / "tiny.md").read_text("utf-8")


@pytest.mark.slow
def test_a_denoiser_is_held_against_non_local_means_and_gets_a_page(add, call, pictures, grey, tmp_path):
    record, models = add(DENOISER, "denoise")
    clean = [np.asarray(Image.open(path)) for path in sorted(pictures.iterdir())]
    pairs = Noise(25, colour=True).on(clean, [Path()] * 2)
    with Smoother(models / "tiny.onnx") as smoother:
        made = [smoother.run(noisy, strength=25) for noisy, _ in pairs]
        set12 = np.asarray(Image.open(grey / "01.png"))
        ((noisy, _),) = Noise(25, colour=True).on([set12[..., None].repeat(3, axis=2)], [grey])
        alone = psnr(smoother.run(noisy[..., 0], strength=25), set12)
    before, after = record["scores"]["rows"].values()
    assert before["psnr"] == pytest.approx(np.mean([psnr(*pair) for pair in pairs]))
    assert after["psnr"] == pytest.approx(np.mean([psnr(m, target) for m, target in zip(made, clean, strict=True)]))
    gains = [psnr(m, target) - psnr(*pair) for m, target, pair in zip(made, clean, pairs, strict=True)]
    assert record["scores"]["least_gain"] == pytest.approx(min(gains))
    (other,) = record["others"]
    assert other["on"] == "Set12" and list(other["rows"].values())[1]["psnr"] == pytest.approx(alone)

    rows = record["non_local_means"]["rows"]
    assert [row["sigma"] for row in rows] == [15, 25, 50]
    for row in rows:
        pairs = Noise(row["sigma"], colour=True).on(clean, [Path()] * 2)
        for way in row["ways"]:
            run, settings = means.WAYS[way["name"]].run, way["settings"]
            assert way["psnr"] == pytest.approx(np.mean([psnr(run(noisy, row["sigma"], **settings), target)
                                                         for noisy, target in pairs]))  # fmt: skip
            assert way["psnr"] > np.mean([psnr(*pair) for pair in pairs]) + 1 and way["cpu_seconds"] > 0
        least, mean, most = row["estimated"]
        assert least <= mean <= most and abs(mean - row["sigma"]) < 8 and row["auto"]["psnr"] != row["network"]["psnr"]

    docs, page = pages(call, models, tmp_path)
    names = {"README.md", "tiny.md", "tiny_failures.jpg", "tiny_other_noise.jpg"}
    assert {path.name for path in docs.iterdir()} == names
    titles = ["Scores", "Beside non-local means", "Photographs of another kind", "Seams", "Training", "Tiles",
              "Failures", "Licence"]  # fmt: skip
    places = [page.index(f"\n## {title}\n") for title in titles]
    assert places == sorted(places) and "BM3D" in page and "tiny_other_noise.jpg" in page
    for line in ("    pnen-train evaluate tiny BSDS500/val --strengths 25",
                 "    pnen-train evaluate tiny Set12 --strengths 25",
                 "    pnen-train pictures free/train Kodak24 pictures --clean",
                 "    pnen-train evaluate tiny BSDS500/val --limit 2 --strengths 15,25,50"):  # fmt: skip
        assert line in page.splitlines(), page
    assert "drawn pictures" not in page
    assert "| [tiny](tiny.md) | takes away Gaussian noise of σ 0 to 50 |" in (docs / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_an_enlarger_is_scored_on_luma_and_gets_a_page(add, call, pictures, tmp_path):
    record, models = add(ENLARGER, "enlarge2")
    gains, scores = [], []
    with Upscaler(models / "tiny.onnx") as upscaler:
        for path in sorted(pictures.iterdir()):
            luma = np.rint(255 * to_ycbcr(np.asarray(Image.open(path)) / 255)[..., 0])
            small = resize(luma[..., None] / 255, luma.shape[0] // 2, luma.shape[1] // 2)[..., 0].clip(0, 1)
            inner = np.s_[2:-2, 2:-2]
            large, plain = (levels(upscaler.run(small, mix=mix))[inner] for mix in (1.0, 0.0))
            scores.append(psnr(large, luma[inner]))
            gains.append(scores[-1] - psnr(plain, luma[inner]))
    before, after = record["scores"]["rows"].values()
    assert after["psnr"] == pytest.approx(np.mean(scores), abs=0.05)  # the small picture's bicubic is not clipped there
    assert after["psnr"] - before["psnr"] == pytest.approx(np.mean(gains), abs=0.05)
    assert record["scores"]["least_gain"] == pytest.approx(min(gains), abs=0.05)
    assert "non_local_means" not in record and "strengths" not in record["scores"]
    docs, page = pages(call, models, tmp_path)
    assert "SRCNN 36.66" in page and "    pnen-train evaluate tiny Set12" in page.splitlines()
    assert "| [tiny](tiny.md) | enlarges 2 times |" in (docs / "README.md").read_text("utf-8")
    with Image.open(docs / "tiny_failures.jpg") as picture:
        assert min(picture.size) > 100


def test_a_way_is_tuned_to_what_it_is_shown():
    clean = np.full((20, 20, 3), 100, np.uint8)
    way = means.Way(lambda picture, sigma, h: np.full_like(picture, 100 + sigma * abs(h - 0.5)), {"h": (0.1, 0.5, 1)})
    assert means.tuned(way, [(clean + np.uint8(9), clean)], 20) == {"h": 0.5}


def test_other_noise_is_of_other_kinds():
    clean = np.ascontiguousarray(data.coffee()[:60, :80])
    found = spoil(clean)
    assert len(found) == 3
    for spoilt in found.values():
        assert spoilt.shape == clean.shape and spoilt.dtype == np.uint8 and 15 < psnr(spoilt, clean) < 32
