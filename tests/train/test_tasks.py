"""Denoising and super-resolution: how pictures become inputs and targets, and how results are scored."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from pnen_runtime.bicubic import enlarge, resize
from pnen_runtime.errors import ImageError, UsageError
from pnen_train.data.batches import batch_of, on_device
from pnen_train.data.noise import Noise
from pnen_train.data.targets import find_images
from pnen_train.data.tasks import lower, task_of
from pnen_train.evaluation.evaluate import evaluate, network_smoother
from pnen_train.metrics import psnr


@pytest.fixture
def flat():
    """A grey picture and itself, as denoising trains on."""
    grey = np.full((40, 44, 1), 100, np.uint8)
    return [(grey, grey)]


CPU = torch.device("cpu")


def test_denoising_is_in_the_grey_of_bt601(images, photo):
    pairs = task_of({"noise": 25}).training(find_images([images]), 16, None)
    for path, (image, target) in zip(find_images([images]), pairs, strict=True):
        assert image is target and image.shape == (40, 48, 1)
        expected = np.rint(photo(path.stem) @ [0.299, 0.587, 0.114])
        np.testing.assert_array_equal(image[..., 0], expected)
        pillow = np.asarray(Image.open(path).convert("L")).astype(int)
        assert np.abs(image[..., 0] - pillow).max() <= 1


@given(sigma=st.floats(1, 80), seed=st.integers(0, 99), step=st.integers(0, 999))
@settings(max_examples=20)
def test_training_noise_is_gaussian_of_this_sigma_and_neither_clipped_nor_rounded(sigma, seed, step):
    black = np.zeros((40, 44, 1), np.uint8)
    inputs, targets = batch_of(on_device([(black, black)], CPU), 32, 16, seed, step, noise=Noise(sigma))
    levels = 255 * inputs.double()
    assert inputs.dtype == torch.float32 and not targets.any()
    assert levels.mean().abs() < 5 * sigma / 128 and levels.std() == pytest.approx(sigma, rel=0.03)
    assert (levels**4).mean() / levels.var() ** 2 == pytest.approx(3, rel=0.15)
    assert (levels < 0).float().mean() == pytest.approx(0.5, abs=0.05) and (levels % 1 != 0).float().mean() > 0.9


def test_noise_is_new_in_every_batch_and_the_same_for_the_same_seed_and_step(flat):
    one, same = (batch_of(on_device(flat, CPU), 16, 4, 3, 8, noise=Noise(25))[0] for _ in range(2))
    assert torch.equal(one, same)
    others = [batch_of(on_device(flat, CPU), 16, 4, seed, step, noise=Noise(25))[0] for seed, step in ((3, 9), (4, 8))]
    assert not any(torch.equal(one, other) for other in others)
    assert not torch.equal(one[0], one[1])


def test_noise_leaves_the_choice_of_patches_alone(pairs):
    clean = on_device([(image, image) for image, _ in pairs], CPU)
    plain, noisy = (batch_of(clean, 16, 4, 0, 5, noise=noise) for noise in (None, Noise(25)))
    assert torch.equal(plain[1], noisy[1])
    assert (noisy[0] - plain[0]).std() == pytest.approx(25 / 255, rel=0.1)


def test_test_noise_is_that_of_numpys_seed_0_for_each_set(tmp_path):
    images = [np.full((20, 24, 1), level, np.uint8) for level in (0, 100, 250)]
    sets = [tmp_path / "one", tmp_path / "two", tmp_path / "one"]
    found = Noise(25).on(images, sets)
    np.random.seed(0)  # as the authors' script has it
    first, third = (np.random.normal(0, 25 / 255, (20, 24)) for _ in range(2))
    for (noisy, clean), image, noise in zip(found, images, (first, first, third), strict=True):
        assert clean is image and noisy.dtype == np.float32
        np.testing.assert_allclose(noisy[..., 0], image[..., 0] / 255 + noise, atol=1e-7)


def test_the_noisy_picture_has_the_psnr_that_sigma_says(images):
    task = task_of({"noise": 25})
    scores = evaluate(task.nothing, task.scored(find_images([images]), 16, None), task.shave, quantise=False)
    assert scores.psnr == pytest.approx(20 * math.log10(255 / 25), abs=0.15)  # 20.17 dB


def test_super_resolution_takes_luma_in_studio_swing_and_grey_files_as_they_are(tmp_path):
    white, red = np.full((18, 18, 3), 255, np.uint8), np.zeros((18, 18, 3), np.uint8)
    red[..., 0] = 255
    for name, pixels in (("a", white), ("b", red), ("c", white[..., 0])):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    task = task_of({"scale": 3})
    targets = [target for _, target in task.scored(find_images([tmp_path]), 16, None)]
    assert [int(target[0, 0, 0]) for target in targets] == [235, 81, 255]


@given(height=st.integers(12, 40), width=st.integers(12, 40), scale=st.integers(2, 4), seed=st.integers(0, 9))
@settings(max_examples=20)
def test_inputs_are_lowered_and_enlarged_without_rounding_and_cropped_to_a_multiple(height, width, scale, seed):
    luma = np.random.default_rng(seed).integers(0, 256, (height, width, 1), dtype=np.uint8)
    image, target = lower(luma, scale)
    high, wide = height // scale, width // scale
    np.testing.assert_array_equal(target, luma[: high * scale, : wide * scale])
    np.testing.assert_allclose(image, enlarge(resize(target / 255, high, wide), scale), atol=1e-6)
    assert image.dtype == np.float32


def test_scores_leave_out_the_border_and_count_rounded_and_cut_off_levels():
    target = np.full((30, 30, 1), 100, np.uint8)
    result = np.full((30, 30, 1), 100.4 / 255, np.float32)
    result[:3] = result[-3:] = result[:, :3] = result[:, -3:] = 0
    result[15, 15] = 110.7 / 255
    scores = evaluate(lambda _: result, [(target, target)], 3)
    expected = np.full((24, 24, 1), 100, np.uint8)
    inner = expected.copy()
    inner[12, 12] = 111
    assert scores.psnr == pytest.approx(peak_signal_noise_ratio(expected, inner, data_range=255))
    inner[12, 12] = 110
    assert scores.psnr_floor == pytest.approx(psnr(inner, expected)) and "psnr_floor" in scores.record()
    assert evaluate(lambda _: target, [(target, target // 2)], 3).psnr_floor is None


def test_doing_nothing_for_super_resolution_is_the_bicubic_picture_in_8_bits(images):
    task = task_of({"scale": 3})
    pairs = task.scored(find_images([images]), 16, None)
    rounded = [np.rint(np.clip(255 * image, 0, 255)).astype(np.uint8)[3:-3, 3:-3] for image, _ in pairs]
    expected = np.mean([psnr(image, target[3:-3, 3:-3]) for image, (_, target) in zip(rounded, pairs, strict=True)])
    assert evaluate(task.nothing, pairs, task.shave, quantise=False).psnr == pytest.approx(expected)


class Same(torch.nn.Module):
    def forward(self, x):
        self.seen = x.amin().item(), x.amax().item()
        return (x,)


@pytest.mark.parametrize(("tile", "step"), [("whole", 80), (16, 12)])
def test_a_network_sees_noise_beyond_black_and_white_and_gives_floats(tile, step):
    noisy = np.random.default_rng(0).normal(0.5, 1, (33, 40, 1)).astype(np.float32)
    model = Same()
    result = network_smoother(model, tile, step)(noisy)
    assert model.seen[0] < 0 and model.seen[1] > 1
    np.testing.assert_allclose(result, np.clip(noisy, 0, 1), atol=1e-6)


@pytest.mark.parametrize("target", [{"noise": 25}, {"scale": 3}])
def test_pictures_that_are_too_small_and_ready_targets_are_refused(images, target):
    with pytest.raises(ImageError, match="expected at least 64 pixels a side, got 48x40"):
        task_of(target).training(find_images([images]), 64, None)
    with pytest.raises(UsageError, match="ready targets are for smoothing"):
        task_of(target, images)
