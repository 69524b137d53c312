"""The bundled networks: the same weights in every form, and a result that deserves the filter's name."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from skimage import data

from pnen_export.parity import compare
from pnen_runtime import Smoother, bundled_models
from pnen_runtime.border import border_of
from pnen_train.checkpoint import BUNDLED, load_checkpoint
from pnen_train.data.filters import filter_image
from pnen_train.data.tasks import of_strength, usual_strength
from pnen_train.evaluation.evaluate import network_smoother
from pnen_train.evaluation.seams import ALLOWED_FLAT, seam
from pnen_train.metrics import psnr

MODELS = bundled_models()
TASKS = {name: load_checkpoint(name).training["task"] for name in MODELS}
SMOOTHERS = [name for name, task in TASKS.items() if "filter" in task]
ENLARGERS = [name for name, task in TASKS.items() if "scale" in task]
ADJUSTABLE = [name for name in SMOOTHERS if TASKS[name].get("strengths")]
PICTURES = {"astronaut": data.astronaut()[:192, 150:400], "coffee": data.coffee()[100:300, 200:460]}


def default_strength(training):
    """What an adjustable network takes where none is asked; None for one of one strength."""
    task = training["task"]
    return usual_strength(task) if task.get("strengths") else None


def fitting(name, image):
    """The picture in as many channels as the network has; what is enlarged is a luma."""
    return image[..., 1:2] if name in ENLARGERS else image


def test_every_bundled_network_comes_as_checkpoint_and_as_onnx():
    checkpoints = sorted(path.stem for path in BUNDLED.glob("*.pt"))
    assert checkpoints == sorted([*MODELS, "l0-two-stages"])  # which others begin with, and nobody runs
    assert SMOOTHERS == ["l0", "l0-fast", "sd", "wmf", "wmf-fast"] and ADJUSTABLE == ["l0", "l0-fast"]
    assert sorted(set(MODELS) - set(SMOOTHERS)) == ["denoise", "enlarge2", "enlarge3"]


@pytest.mark.parametrize("name", MODELS)
def test_bundled_onnx_holds_the_weights_of_the_bundled_checkpoint(name):
    checkpoint = load_checkpoint(name)
    with Smoother(name) as smoother:
        card = smoother.card
    assert card.weights_sha256 == checkpoint.sha256()
    assert (card.tile, card.tile_step) == (checkpoint.training["tile"], checkpoint.training["tile_step"])
    assert card.training["scores"] == checkpoint.training["scores"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("picture", PICTURES)
def test_smoother_gives_what_pytorch_gives(name, picture):
    image = fitting(name, PICTURES[picture]).astype(np.float32) / 255
    checkpoint = load_checkpoint(name)
    strength = default_strength(checkpoint.training)
    border = border_of(checkpoint.training["task"])
    network = network_smoother(checkpoint.model(), 96, 80, strength=strength, border=border)
    with Smoother(name, tile=96, step=80) as smoother:
        row = compare(smoother.run_network(image, strength=strength), network(image), "fp32")
    assert row.passed, row


@pytest.mark.parametrize("name", SMOOTHERS)
@pytest.mark.parametrize("picture", PICTURES)
def test_network_is_much_nearer_to_the_filter_than_the_photograph_is(name, picture):
    image = PICTURES[picture]
    settings = of_strength(load_checkpoint(name).training["task"])
    target = filter_image(image, settings.pop("filter"), settings)
    with Smoother(name) as smoother:
        assert psnr(smoother.run(image), target) > psnr(image, target) + 4


def gradient(image):
    """|Differences along rows| in grey levels, channels averaged: (H, W, 3) → (H, W - 1)."""
    return np.abs(np.diff(image.astype(float), axis=1)).mean(axis=2)


@pytest.mark.parametrize("picture", PICTURES)
def test_where_the_filter_is_flat_details_go_and_where_it_has_edges_they_stay(picture):
    image = PICTURES[picture]
    target = filter_image(image, "l0", {})
    with Smoother("l0") as smoother:
        smoothed = smoother.run(image)
    flat, edges = gradient(target) <= 1, gradient(target) > 30
    assert gradient(smoothed)[flat].mean() < 0.55 * gradient(image)[flat].mean()
    assert gradient(smoothed)[edges].mean() > 0.9 * gradient(target)[edges].mean()


def test_running_a_bundled_network_never_imports_torch():
    code = (
        "import sys, numpy as np\nfrom pnen_runtime import Smoother\n"
        "Smoother('l0').run(np.zeros((40, 50, 3), np.uint8))\n"
        "print(sorted({'torch', 'onnx', 'pnen_train', 'pnen_export'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


@pytest.mark.parametrize("name", MODELS)
def test_card_says_what_the_network_learnt_from_and_how_good_it_is(name):
    with Smoother(name) as smoother:
        card, training = smoother.card, smoother.card.training
    least = {"enlarge2": (1.8, 2.4), "enlarge3": (1.2, 1.7)}.get(
        name, (6, 4)
    )  # dB on the photographs, on held-out ones
    for scores, gain in zip((training["scores"], training["held_out"]), least, strict=True):
        nothing, (network,) = scores["rows"].pop("doing nothing"), scores["rows"].values()
        assert network["psnr"] > nothing["psnr"] + gain and network["ssim"] > nothing["ssim"]
        assert name in SMOOTHERS or scores["least_gain"] > 0  # no picture is worse
    assert training["scores"]["images"] == training["scores"].get("limit", 100) >= 20
    assert card.licence.startswith("CC0-1.0: any use") and "free for any use" in card.trained_on
    assert bool(card.strength) == ("strengths" in training["scores"]) == ("strengths" in card.task)
    own = ("published", "noise", "flat") if name in SMOOTHERS else ("others",)
    for key in ("reproduce", "tile_study", "recipe", "study", "seam", *own):
        assert training[key]


@pytest.mark.parametrize("name", SMOOTHERS)
def test_flat_colour_and_tiles_are_what_the_card_says(name):
    with Smoother(name) as smoother:
        training = smoother.card.training
        strengths = [row["strength"] for row in training["flat"]]
        for row in training["flat"]:
            for colour in ((0, 0, 0), (255, 255, 255), (128, 128, 128), (0, 255, 0)):
                flat = np.full((128, 128, 3), colour, np.uint8)
                change = np.abs(smoother.run(flat, strength=row["strength"]).astype(int) - flat)
                assert change.max() <= row["any"] and change[64, 64].max() <= row["centre"]
    assert strengths == ([None] if default_strength(load_checkpoint(name).training) is None else sorted(strengths))
    assert (training["scores"]["tile"], training["scores"]["tile_step"]) in [
        (row["tile"], row["step"]) for row in training["tile_study"]]  # fmt: skip


@pytest.mark.parametrize("name", ADJUSTABLE)
def test_another_strength_is_the_filters_own(name):
    image = PICTURES["astronaut"]
    wanted = filter_image(image, "l0", {"strength": 0.05})
    with Smoother(name) as smoother:
        asked, usual = psnr(smoother.run(image, strength=0.05), wanted), psnr(smoother.run(image), wanted)
    assert asked > 32 and asked > usual + 2


@pytest.mark.parametrize("name", ADJUSTABLE)
def test_a_map_of_two_strengths_is_both_results_side_by_side(name):
    image, reach = data.rocket()[:256], 140  # pixels that a place of the network sees at most, with room
    strengths = np.full(image.shape[:2], 0.005)
    strengths[:, 320:] = 0.1
    with Smoother(name) as smoother:
        both = smoother.run(image, strength=strengths)
        weak, strong = smoother.run(image, strength=0.005), smoother.run(image, strength=0.1)
    left, right = slice(reach, 320 - reach), slice(320 + reach, 640 - reach)  # beyond the border is the other side
    np.testing.assert_array_equal(both[:, left], weak[:, left])
    np.testing.assert_array_equal(both[:, right], strong[:, right])
    assert np.abs(weak.astype(int) - strong).max() > 20


@pytest.mark.parametrize("name", MODELS)
def test_no_tile_shows_in_a_sky_or_on_a_gradient(name):
    rows = np.linspace(60, 160, 480)[:, None, None]
    gradient = np.broadcast_to(np.rint(rows).astype(np.uint8), (480, 400, 3)).copy()
    gradient, rocket = fitting(name, gradient), fitting(name, data.rocket())
    with Smoother(name) as smoother:
        card = smoother.card
    tile, step = 384, 384 - (card.tile - card.tile_step)  # the card's overlap, in tiles that these pictures need
    with Smoother(name, tile=tile, step=step) as smoother:
        for strength in {card.strength.get("default"), card.strength.get("most")}:

            def run(image, strength=strength):
                return smoother.run_network(image, strength=strength)

            assert seam(run, gradient, tile, step) <= ALLOWED_FLAT
            assert seam(run, rocket, tile, step, even=True) <= ALLOWED_FLAT


def peak_mb(picture, model):
    """Of a process that smooths this picture with the bundled network."""
    code = "from pnen_runtime.cli import smooth; smooth()"
    words = ["--model", model, "--force", "--threads", "1"]  # each thread has stacks and buffers of its own
    command = [sys.executable, "-c", code, picture, picture.with_name("out.png"), *words]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(finished.stdout.rpartition("peak ")[2].split()[0])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_picture_but_by_the_picture_itself(tmp_path):
    small, large = (tmp_path / f"{side}.png" for side in (800, 1600))
    for path in (small, large):
        side = int(path.stem)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
    base = peak_mb(small, "l0")
    assert base < 400  # about 300, most of it for a tile
    assert peak_mb(large, "l0") - base < 100  # input, output, a band of floats, the files' buffers: 8 to 30 MB each
