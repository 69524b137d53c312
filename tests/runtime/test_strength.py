"""Strength as a number and as a map, in `Smoother` and in the command; who has one strength says so."""

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pnen_runtime import EngineError, Smoother, UsageError
from pnen_runtime.cli import smooth
from pnen_runtime.info import describe_task, list_models
from pnen_runtime.models import bundled_models

WHITE = np.ones((40, 70, 3), np.float32)


def run(*args):
    return CliRunner().invoke(smooth, [str(argument) for argument in args])


@pytest.mark.parametrize("strength", [0.002, 0.05, 0.2, np.float64(0.1)])
def test_a_number_reaches_every_pixel_of_every_tile(model, strength):
    with Smoother(model("dim")) as smoother:
        np.testing.assert_allclose(smoother.run(WHITE, strength=strength), strength, rtol=1e-6)
        assert "strength 0.002 to 0.2 (default 0.02)" in str(smoother.info)


def test_without_a_strength_the_card_says_which(model):
    with Smoother(model("dim")) as smoother:
        np.testing.assert_allclose(smoother.run(WHITE), 0.02, rtol=1e-6)


@given(seed=st.integers(0, 99), tile=st.sampled_from([16, 24, 32, "whole"]), frames=st.integers(1, 2))
@settings(max_examples=20)
def test_a_map_is_cut_like_the_picture(tmp_path_factory, write, card, seed, tile, frames):
    from .conftest import RANGE

    path = write(tmp_path_factory.mktemp("map") / "dim.onnx", "dim", card(strength=RANGE))
    strength = np.random.default_rng(seed).uniform(0.002, 0.2, (40, 70))
    with Smoother(path, tile=tile) as smoother:
        found = smoother.run(np.broadcast_to(WHITE, (frames, *WHITE.shape)).copy(), strength=strength)
    np.testing.assert_allclose(found, np.broadcast_to(strength[None, ..., None], found.shape), rtol=1e-5)


@pytest.mark.parametrize(("strength", "line"), [
    (0.3, "from 0.002 to 0.2 .a share., got 0.3"), (0, "got 0"), (-1, "got -1"), (np.nan, "got nan"),
    (np.full((40, 70), 0.5), "got 0.5"), (np.full((40, 71), 0.1), "got a map of 71x40; resize it"),
    ("strong", "a number or an .H, W. array"), (np.full((1, 40, 70), 0.1), "a number or an .H, W. array"),
])  # fmt: skip
def test_what_is_no_strength_of_the_model_is_refused(model, strength, line):
    with Smoother(model("dim")) as smoother, pytest.raises(UsageError, match=line):
        smoother.run(WHITE, strength=strength)


def test_a_model_of_one_strength_names_mix_and_takes_its_own(model):
    with Smoother(model("identity", task={"filter": "l0", "strength": 0.02})) as smoother:
        np.testing.assert_allclose(smoother.run(WHITE, strength=0.02), WHITE, atol=1e-6)
        with pytest.raises(UsageError, match="knows one strength .0.02.*blend with mix.*adjustable model"):
            smoother.run(WHITE, strength=0.05)
        with pytest.raises(UsageError, match="knows one strength"):
            smoother.run(WHITE, strength=np.full((40, 70), 0.02))


def test_a_file_whose_card_and_inputs_disagree_is_refused(write, card, tmp_path):
    from .conftest import RANGE

    for kind, made in (("dim", card()), ("identity", card(strength=RANGE))):
        with pytest.raises(EngineError, match="expected float32 NCHW 'image'"):
            Smoother(write(tmp_path / f"{kind}.onnx", kind, made))


def test_the_command_takes_a_number_a_map_and_a_mix(model, tmp_path):
    Image.new("RGB", (70, 40), (200, 100, 255)).save(tmp_path / "in.png")
    mask = np.zeros((40, 70), np.uint8)
    mask[:, 35:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    file = model("dim")

    def result(*options):
        done = run(tmp_path / "in.png", tmp_path / "out.png", "--model", file, "--force", *options)
        assert done.exit_code == 0, done.stderr
        return np.asarray(Image.open(tmp_path / "out.png")).astype(float)

    picture = np.asarray(Image.open(tmp_path / "in.png")).astype(float)
    np.testing.assert_allclose(result("--strength", 0.2), 0.2 * picture, atol=0.51)
    np.testing.assert_allclose(result("--strength", 0.2, "--mix", 0.5), 0.6 * picture, atol=0.51)
    for kind in ("L", "RGB"):  # as most programs save grey
        Image.fromarray(mask).convert(kind).save(tmp_path / "mask.png")
        mapped = result("--strength-map", tmp_path / "mask.png", "--strength", 0.1)
        np.testing.assert_allclose(mapped[:, 35:], 0.1 * picture[:, 35:], atol=0.51)
        np.testing.assert_allclose(mapped[:, :35], 0.002 * picture[:, :35], atol=0.51)


@pytest.mark.parametrize(("kind", "options", "line"), [
    ("dim", ["--strength", "7"], "from 0.002 to 0.2"), ("identity", ["--strength", "0.1"], "knows one strength"),
    ("identity", ["--strength-map", "in.png"], "for adjustable models"),
    ("dim", ["--strength-map", "in.png"], "expected a grey picture"),
    ("dim", ["--strength-map", "small.png"], "got a map of 8x9; resize it"),
])  # fmt: skip
def test_the_command_says_what_does_not_fit(model, tmp_path, monkeypatch, kind, options, line):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (70, 40), (200, 100, 255)).save("in.png")
    Image.new("L", (8, 9)).save("small.png")
    done = run("in.png", "out.png", "--model", model(kind), *options)
    assert done.exit_code == 2 and line in done.stderr and not (tmp_path / "out.png").exists()


def test_the_bundled_models_are_listed_with_what_they_do():
    done = run("--list")
    assert done.exit_code == 0 and done.stdout.startswith(list_models() + "\n")
    for name, line in zip(bundled_models(), list_models().splitlines(), strict=True):
        assert line.startswith(name) and " MB" in line


@pytest.mark.parametrize(("task", "strength", "words"), [
    ({"noise": 25}, None, "denoising in grey, σ 25"),
    ({"noise": 25, "colour": True, "strengths": [0, 50]}, (0, 25, 50), "denoising in colour and grey, σ 0 to 50; by "
     "default as much as the picture seems to have"),
    ({"scale": 2}, None, "enlarging 2 times"),
    ({"filter": "l0", "strength": 0.02, "kappa": 2.0, "strengths": [0.002, 0.02]}, (0.002, 0.02, 0.2),
     "l0 kappa=2.0 strength 0.002 to 0.2 (default 0.02)"),
])  # fmt: skip
def test_a_card_is_told_in_words(card, task, strength, words):
    ends = dict(zip(("least", "default", "most"), strength, strict=True)) if strength else {}
    assert describe_task(card(task=task, strength=ends)) == words
