"""The bundled networks: the same weights in every form, and a result that deserves the filter's name."""

import subprocess
import sys

import numpy as np
import pytest
from skimage import data

from pnen_export.parity import compare
from pnen_runtime import Smoother, bundled_models
from pnen_train.checkpoint import BUNDLED, load_checkpoint
from pnen_train.evaluate import network_smoother
from pnen_train.filters import filter_image
from pnen_train.metrics import psnr

MODELS = bundled_models()
PICTURES = {"astronaut": data.astronaut()[:192, 150:400], "coffee": data.coffee()[100:300, 200:460]}


def test_every_bundled_network_comes_as_checkpoint_and_as_onnx():
    assert sorted(path.stem for path in BUNDLED.glob("*.pt")) == MODELS
    assert "l0" in MODELS


@pytest.mark.parametrize("name", MODELS)
def test_bundled_onnx_holds_the_weights_of_the_bundled_checkpoint(name):
    checkpoint = load_checkpoint(name)
    with Smoother(name) as smoother:
        card = smoother.card
    assert card.weights_sha256 == checkpoint.sha256()
    assert (card.tile, card.step) == (checkpoint.training["tile"], checkpoint.training["tile_step"])
    assert card.training["scores"] == checkpoint.training["scores"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("picture", PICTURES)
def test_smoother_gives_what_pytorch_gives(name, picture):
    image = PICTURES[picture].astype(np.float32) / 255
    network = network_smoother(load_checkpoint(name).model(), 96, 80)
    with Smoother(name, tile=96, step=80) as smoother:
        row = compare(smoother.run(image), network(image), "fp32")
    assert row.passed, row


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("picture", PICTURES)
def test_network_is_much_nearer_to_the_filter_than_the_photograph_is(name, picture):
    image = PICTURES[picture]
    checkpoint = load_checkpoint(name)
    settings = dict(checkpoint.training["task"])
    target = filter_image(image, settings.pop("filter"), settings)
    with Smoother(name) as smoother:
        assert psnr(smoother.run(image), target) > psnr(image, target) + 4


def test_flat_areas_become_flat_and_edges_stay():
    noise = np.random.default_rng(0).normal(0, 6, (128, 128, 3))
    image = np.where(np.arange(128)[None, :, None] < 64, 80, 170) + noise
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    with Smoother("l0") as smoother:
        smooth = smoother.run(image).astype(float)
    assert smooth[8:-8, 8:56].std() < image[8:-8, 8:56].std() / 3  # away from the edge: details go
    step = smooth[8:-8, 68:76].mean() - smooth[8:-8, 52:60].mean()
    assert step > 0.95 * 90  # over it: the edge stays


def test_running_a_bundled_network_never_imports_torch():
    code = (
        "import sys, numpy as np\nfrom pnen_runtime import Smoother\n"
        "Smoother('l0').run(np.zeros((40, 50, 3), np.uint8))\n"
        "print(sorted({'torch', 'onnx', 'pnen_train', 'pnen_export'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
