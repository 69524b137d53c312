"""The comparison of networks, filters and classical smoothers, on pictures cut small."""

import json
import math

import numpy as np
import pytest
import skimage.data
from compare import tuning
from compare.classical import CLASSICAL, Axis
from compare.measure import Row, mark_front, megabytes
from compare.page import Comparison, markdown, plain, verdicts
from compare.ways import Target, Way, fixed_ways
from hypothesis import given
from hypothesis import strategies as st
from model_zoo.classical import all_in_one, beside_classical
from model_zoo.scores import with_noise
from PIL import Image

from pnen_runtime.errors import UsageError
from pnen_runtime.models import bundled_models
from pnen_runtime.onnx_card import read_onnx_card
from pnen_train.data.filters import filter_image, resolve
from pnen_train.metrics import psnr

QUICK = "fast global smoother,domain transform RF"


@pytest.fixture
def others(tmp_path):
    """A folder with a detail of a picture to tune on."""
    folder = tmp_path / "holdout"
    folder.mkdir()
    Image.fromarray(skimage.data.chelsea()[100:140, 120:180]).save(folder / "chelsea.png")
    return folder


@pytest.fixture
def compare(call, pictures, others):
    """compare(options...) → the finished command."""
    return lambda *words: call("compare_smoothers", "--on", pictures, "--tune-on", others, *words)


@pytest.mark.slow
def test_every_way_to_every_target_is_measured(compare, pictures, tmp_path, row_of):
    files = {option: tmp_path / f"c.{kind}" for option, kind in
             (("--json", "json"), ("--write", "md"), ("--plot", "png"), ("--pictures", "jpg"))}  # fmt: skip
    result = compare("--only", QUICK, "--strengths", "0.02", *(word for pair in files.items() for word in pair))
    assert result.exit_code == 0, result.output
    written, page = json.loads(files["--json"].read_text()), files["--write"].read_text()
    assert [found["filter"] for found in written["targets"]] == ["l0", "wmf", "sd"]
    images = [np.asarray(Image.open(path)) for path in sorted(pictures.iterdir())]
    for found in written["targets"]:
        rows = {row["name"]: row for row in found["rows"]}
        learnt = [name for name in bundled_models() if card_task(name).get("filter") == found["filter"]]
        assert {name for name, row in rows.items() if row["kind"] == "network"} == set(learnt)
        assert {name for name, row in rows.items() if row["kind"] == "classical"} == set(QUICK.split(","))
        assert [row["kind"] for row in found["rows"]].count("opencv") == (found["filter"] != "sd")
        exact, nothing = rows[f"the filter itself ({found['filter']})"], rows["doing nothing"]
        assert exact["psnr"] is None and exact["cpu_seconds"] > 0 and exact["front"] is not nothing["front"]
        assert all(row["parameters"] for row in rows.values() if row["kind"] == "classical")
        targets = [filter_image(image, found["filter"], found["settings"]) for image in images]
        levels = [psnr(image, target) for image, target in zip(images, targets, strict=True)]
        assert nothing["psnr"] == pytest.approx(np.mean(levels))
        fast = rows["fast global smoother"]
        smooth = CLASSICAL["fast global smoother"].smooth
        levels = [psnr(smooth(i, **fast["parameters"]), t) for i, t in zip(images, targets, strict=True)]
        assert fast["psnr"] == pytest.approx(np.mean(levels)) and fast["psnr"] > nothing["psnr"]
        for name in learnt:
            assert rows[name]["psnr"] > nothing["psnr"] and f"`{name}` " in page
    assert row_of(page, "the filter itself (sd)")[0] == "exact"
    assert "![PSNR against CPU seconds](c.png)" in page and "(c.jpg)" in page and str(tmp_path) not in page
    for option in ("--plot", "--pictures"):
        with Image.open(files[option]) as picture:
            assert min(picture.size) > 300 and picture.convert("L").getextrema() != (255, 255)


def test_with_noise_the_target_is_the_filter_of_the_noisy_picture_and_pages_show_it(compare, pictures, tmp_path):
    kept = tmp_path / "comparison_noise.json"
    words = "--only", "bilateral,guided", "--targets", "wmf", "--models", "wmf-fast", "--json", kept
    result = compare(*words, "--noise", 6)
    assert result.exit_code == 0, result.output
    noisy = [with_noise(np.asarray(Image.open(path)), 6, seed) for seed, path in enumerate(sorted(pictures.iterdir()))]
    rows = {row["name"]: row for row in json.loads(kept.read_text())["targets"][0]["rows"]}
    assert rows["doing nothing"]["psnr"] == pytest.approx(np.mean([psnr(i, filter_image(i, "wmf", {})) for i in noisy]))
    with_filter = compare(*words).output
    assert f"{rows['doing nothing']['psnr']:.2f}" not in with_filter

    kept.rename(tmp_path / "comparison.json")
    compare(*words, "--noise", 6)
    whole = "\n".join(all_in_one(tmp_path))
    of_front = {row["name"]: row["front"] for row in json.loads(kept.read_text())["targets"][0]["rows"]}["wmf-fast"]
    alone = json.loads((tmp_path / "comparison.json").read_text())["targets"][0]["rows"]
    for row in alone:
        assert f"{row['psnr']:.2f}" in whole if row["psnr"] else "| the filter itself | exact in " in whole
    assert "| [wmf-fast](wmf-fast.md) | " in whole
    text = "\n".join(beside_classical("wmf-fast", tmp_path))
    best = max(("bilateral", "guided"), key=lambda name: rows[name]["psnr"])
    clean, of_noisy = [line for line in text.splitlines() if line.startswith("| 2 photographs")]
    assert "| 50 | none |" in clean and "| 50 | σ = 6 levels |" in of_noisy and f"| {best}: " in of_noisy
    assert f"| {rows['doing nothing']['psnr']:.2f} | **{rows['wmf-fast']['psnr']:.2f} in " in of_noisy
    assert ("with noise of σ = 6 levels, at strength 50, take " in text) == (not of_front)
    assert f"{rows['bilateral']['psnr']:.2f} in " in of_noisy and beside_classical("sd", tmp_path) == []


def card_task(name):
    from pnen_runtime.models import find_model

    return read_onnx_card(find_model(name)).task


@given(st.floats(-1.5, 4), st.floats(-0.5, 2), st.booleans())
def test_the_search_finds_a_peak_also_beyond_the_first_values(across, along, whole):
    axes = {"a": Axis((1, 10, 100, 1000), 0.01, 1e5), "b": Axis((1, 4, 16), 1, 64, whole=whole)}

    def score(point):
        return -((math.log10(point["a"]) - across) ** 2) - (math.log10(point["b"]) - along) ** 2

    best, level = tuning.search(score, axes)
    assert level == score(best) and 0.01 <= best["a"] <= 1e5 and 1 <= best["b"] <= 64
    assert abs(math.log10(best["a"]) - across) <= 0.3
    wanted = min(max(along, 0), math.log10(64))
    assert abs(math.log10(best["b"]) - wanted) <= 0.3 and (not whole or best["b"] == int(best["b"]))


def test_what_was_tuned_is_not_tuned_again_but_for_other_pictures(photo, tmp_path, monkeypatch):
    maker = Target("l0", 0.02).maker
    maker = type(maker)(maker.filter, maker.settings, tmp_path)
    pairs = [(photo("coffee"), maker.target(photo("coffee")))]
    first, searches = tuning.tuned("guided", maker, pairs), []
    monkeypatch.setattr(tuning, "search", lambda *_: (searches.append(1), ({"radius": 1, "eps": 1.0}, 0.0))[1])
    assert tuning.tuned("guided", maker, pairs) == first and not searches
    other = [(photo("chelsea"), maker.target(photo("chelsea")))]
    assert tuning.tuned("guided", maker, other) == {"radius": 1, "eps": 1.0} and len(searches) == 1


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_classical_smoother_takes_the_ends_of_its_axes(name, photo):
    smoother, picture = CLASSICAL[name], photo("coffee")
    for end in ("least", "most"):
        result = smoother.smooth(picture, **{key: getattr(axis, end) for key, axis in smoother.axes.items()})
        assert result.shape == picture.shape and result.dtype == np.uint8
    assert not np.array_equal(result, picture)


def row(kind, name, level, seconds):
    return Row(Way(kind, name, Target("l0", 0.02)), level, seconds)


def test_where_a_network_loses_it_says_so_and_what_to_take():
    rows = [row("nothing", "doing nothing", 26.0, 0.0), row("exact", "the filter itself (l0)", math.inf, 0.5),
            row("classical", "guided", 25.0, 0.01), row("classical", "bilateral", 31.0, 0.2),
            row("network", "near", 34.0, 0.6), row("network", "mine", 30.0, 0.3),
            row("network", "good", 33.0, 0.4)]  # fmt: skip
    mark_front(rows)
    assert [found.way.name for found in rows if found.front] == ["the filter itself (l0)", "bilateral", "good"]
    found = Comparison(Target("l0", 0.02), rows, ["old knows λ = 0.1 only"])
    text = "\n".join(verdicts(found))
    assert "`near` loses (34.00 dB in 0.600 s): take the filter itself (l0) instead (exact in 0.500 s)." in text
    assert "`mine` loses (30.00 dB in 0.300 s): take bilateral instead (31.00 dB in 0.200 s)." in text
    assert "`good` is on the front" in text and "Left out: old knows λ = 0.1 only." in text
    assert all(text in markdown({}, [found]) for text in verdicts(found))
    lines = plain(found).splitlines()
    assert lines[0] == "L0, λ = 0.02" and lines[2].startswith("doing nothing") and lines[3].startswith("guided")


def test_models_of_other_filters_settings_or_strengths_are_left_out(monkeypatch):
    from compare import ways

    def card(task, **strength):
        return type("Card", (), {"task": task, "strength": strength})

    l0 = {"filter": "l0", "strength": 0.02, "kappa": 2.0}
    cards = {"one": card(l0), "any": card(l0 | {"strengths": [0.01, 0.1]}, least=0.01, most=0.1, default=0.02),
             "slow": card(l0 | {"kappa": 1.05}), "noise": card({"noise": 25}), "none": card({})}  # fmt: skip
    monkeypatch.setattr(ways, "find_model", lambda name: name)
    monkeypatch.setattr(ways, "read_onnx_card", cards.get)
    kept = {level: fixed_ways(Target("l0", level), list(cards)) for level in (0.02, 0.1, 0.2)}
    names = {level: [way.name for way in found if way.kind == "network"] for level, (found, _) in kept.items()}
    assert names == {0.02: ["one", "any"], 0.1: ["any"], 0.2: []}
    assert kept[0.2][1] == ["one knows λ = 0.02 only", "any knows λ = 0.01 to 0.1",
                            "slow learnt the filter with other settings (kappa 1.05)"]  # fmt: skip
    assert Target("wmf").maker.settings == resolve("wmf", {})


def test_memory_is_that_of_the_picture():
    class Allocates:
        def ready(self):
            from contextlib import nullcontext

            return nullcontext(lambda picture: np.ones(picture.size * 8).sum())

    for side in (600, 1200):  # both of a size that the allocator gets from the system, and gives back to it
        found, made = megabytes(Allocates(), np.zeros((side, side, 3), np.uint8)), 8 * 8 * 3 * side**2 / 1e6
        if found is None:
            pytest.skip("this system does not tell")
        assert made - 24 < found < made + 60  # Linux counts pages by processor, and some MB late


@pytest.mark.parametrize(("words", "told"), [
    (["--targets", "l0,l1"], "expected targets out of l0, wmf, sd, got l1"),
    (["--targets", ","], "expected at least one target"),
    (["--strengths", "0.02,-1"], "expected strengths above 0 between commas, got '-1'"),
    (["--strengths", "nan"], "expected strengths above 0 between commas, got 'nan'"),
    (["--only", "median"], "expected classical smoothers out of bilateral, guided"),
    (["--models", "nowhere"], "no model 'nowhere'"),
    (["--plot", "nowhere/plot.png"], "nowhere is no folder"),
])  # fmt: skip
def test_wrong_usage_is_one_line(compare, words, told):
    result = compare(*words)
    assert result.exit_code == 2 and told in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_pictures_that_are_scored_are_not_tuned_on(compare, pictures, others):
    same = np.asarray(Image.open(pictures / "coffee.png"))
    Image.fromarray(same).save(others / "another.bmp")
    result = compare("--images", 1)  # also those of the folder that are not drawn
    assert result.exit_code == 2 and "another.bmp: expected pictures that are not scored" in result.stderr
    with pytest.raises(UsageError, match="coffee.png; tune on others"):
        tuning.pieces([others / "another.bmp"], [pictures / "coffee.png"])


def test_the_centre_is_tuned_on_of_a_reduced_picture(tmp_path):
    picture = np.zeros((1024, 2048, 3), np.uint8)
    picture[508:516, 1020:1028] = 255
    Image.fromarray(picture).save(tmp_path / "large.png")
    (piece,) = tuning.pieces([tmp_path / "large.png"], [])
    assert piece.shape == (256, 256, 3) and piece[127:129, 127:129].min() == 255 and piece.mean() < 1
