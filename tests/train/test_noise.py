"""Noise in colour and of a strength that varies: what a denoiser for photographs learns from."""

import numpy as np
import pytest
import torch

from pnen_runtime.errors import UsageError
from pnen_train.commands.options import scored_tasks
from pnen_train.config import read_recipe
from pnen_train.data.batches import batch_of, on_device
from pnen_train.data.noise import Noise
from pnen_train.data.targets import find_images
from pnen_train.data.tasks import of_strength, resolve_target, task_of
from pnen_train.training.state import build_network

TARGET = {"noise": 25, "colour": True, "strengths": [0, 50]}
VARYING = Noise(25, (0.0, 50.0), colour=True)


@pytest.fixture
def middle():
    """Three flat channels far from black and white, as denoising trains on."""
    flat = np.broadcast_to(np.array([110, 128, 146], np.uint8), (64, 64, 3)).copy()
    return on_device([(flat, flat)], torch.device("cpu"))


def test_each_crop_has_the_sigma_that_its_map_says(middle):
    inputs, targets, maps = batch_of(middle, 48, 64, 0, 1, noise=VARYING)
    assert maps.shape == (64, 1, 48, 48) and maps.min() >= 0 and maps.max() <= 50
    added = 255 * (inputs - targets)
    torch.testing.assert_close(added, added.round(), rtol=0, atol=1e-3)  # of 8 bits
    found, wanted = added.pow(2).mean((1, 2, 3)).sqrt(), maps.pow(2).mean((1, 2, 3)).sqrt()
    clean = found == 0
    assert 0.03 < clean.float().mean() < 0.25 and wanted[clean].max() > 5  # whatever their maps say
    assert (found - wanted)[~clean].abs().max() < 0.06 * 50
    of_one = maps.flatten(1).std(1) == 0
    assert 0.3 < of_one.float().mean() < 0.75 and maps.flatten(1)[:, 0].std() > 10


def test_some_crops_are_grey_with_one_noise_in_all_channels(middle):
    inputs, targets, _ = batch_of(middle, 16, 200, 0, 1, noise=VARYING)
    grey = (targets == targets[:, :1]).flatten(1).all(1)
    assert 0.15 < grey.float().mean() < 0.35
    assert torch.equal(inputs[grey], inputs[grey][:, :1].expand(-1, 3, -1, -1))
    assert (255 * targets[grey]).unique().tolist() == [pytest.approx(125)]  # luma of the three
    assert not (inputs[~grey] == inputs[~grey][:, :1]).flatten(1).all(1).any()


def test_scored_pictures_are_of_8_bits_and_grey_ones_stay_grey(tmp_path):
    colour, grey = np.full((40, 44, 3), 128, np.uint8), np.full((40, 44, 3), 90, np.uint8)
    colour[..., 0] = 20
    (first, clean), (second, _) = Noise(25, colour=True).on([colour, grey], [tmp_path, tmp_path])
    assert first.dtype == second.dtype == np.uint8 and clean is colour
    np.testing.assert_array_equal(second, np.repeat(second[..., :1], 3, axis=2))
    draws = np.random.RandomState(0).normal(0, 25 / 255, (40, 44, 3))
    np.testing.assert_array_equal(first, np.clip(np.rint(255 * (colour / 255 + draws)), 0, 255))


def test_an_adjustable_denoiser_is_scored_at_15_25_and_50_and_at_those_asked_for(images):
    tasks = scored_tasks({"task": resolve_target(TARGET)}, None, [])
    assert list(tasks) == [15, 25, 50] and list(scored_tasks({"task": TARGET}, None, [5])) == [5]
    for sigma, task in tasks.items():
        pairs = task.scored(find_images([images]), 16, None)
        error = np.mean([np.mean(np.square(noisy.astype(float) - clean)) for noisy, clean in pairs])
        assert error**0.5 == pytest.approx(sigma, rel=0.15) and task.channels == 3  # clipped, so a little less
    with pytest.raises(UsageError, match="one strength"):
        scored_tasks({"task": {"noise": 25}}, None, [5])


def test_of_one_strength_the_task_is_one_of_fixed_noise():
    assert of_strength(TARGET, 15) == {"noise": 15, "colour": True}
    assert task_of(TARGET).usual == 25 and task_of(of_strength(TARGET)).usual is None


@pytest.mark.parametrize(("setting", "message"), [
    ({"strengths": [0]}, "two numbers from 0 that rise"), ({"strengths": [50, 0]}, "two numbers from 0 that rise"),
    ({"strengths": [0, 5, 50]}, "two numbers"), ({"strengths": [30, 50]}, "to be from 30 to 50"),
    ({"strengths": "all"}, "two numbers"), ({"colour": 1}, "true or false"), ({"color": True}, 'setting "color"'),
])  # fmt: skip
def test_settings_that_make_no_sense_are_named(setting, message):
    with pytest.raises(UsageError, match=message):
        resolve_target({"noise": 25} | setting)


def test_a_recipe_of_it_makes_an_adjustable_network_in_colour():
    network = build_network(read_recipe("denoise"))
    assert network.config.image_channels == 3 and network.config.strengths == (0, 50)
    assert network.config.strength_scale == "linear" and network.config.equivariant
