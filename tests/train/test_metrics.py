"""PSNR and SSIM equal scikit-image's, and the formula of Wang et al."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pnen_train.config import Optimiser
from pnen_train.metrics import psnr, ssim, ssim_box7
from pnen_train.training.loss import training_loss


def noisy(image, seed=0):
    return np.clip(image + np.random.default_rng(seed).normal(0, 12, image.shape), 0, 255).astype(np.uint8)


@given(seed=st.integers(0, 99), height=st.integers(1, 30), width=st.integers(1, 30))
def test_psnr_is_that_of_scikit_image(seed, height, width):
    a, b = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    a[0, 0, 0], b[0, 0, 0] = 0, 255
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(b, a, data_range=255), rel=1e-12)


def test_psnr_of_one_level_everywhere_and_of_equal_images(photo):
    image = photo("coffee") // 2
    assert psnr(image + 1, image) == pytest.approx(48.1308, abs=1e-4)  # 20 log10 255
    assert psnr(image, image) == math.inf


def wang(a, b):
    """SSIM of one channel from its formula, on the region where the 11×11 window fits."""
    a, b = a.astype(float), b.astype(float)

    def mean(x):
        return gaussian_filter(x, 1.5, truncate=3.5)

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    full = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return full[5:-5, 5:-5].mean()


@pytest.mark.parametrize("name", ["coffee", "astronaut"])
def test_ssim_is_the_formula_averaged_over_channels(photo, name):
    image = photo(name)
    channels = [wang(noisy(image)[..., c], image[..., c]) for c in range(3)]
    assert ssim(noisy(image), image) == pytest.approx(np.mean(channels), abs=1e-9)
    assert ssim(image, image) == 1


def test_ssim_box7_is_scikit_images_default(photo):
    image = photo("chelsea")
    expected = np.mean([structural_similarity(noisy(image)[..., c], image[..., c]) for c in range(3)])
    assert ssim_box7(noisy(image), image) == pytest.approx(expected, abs=1e-12)
    assert abs(ssim_box7(noisy(image), image) - ssim(noisy(image), image)) > 1e-3  # not the same figure


def test_loss_is_the_sum_of_mean_squares_over_the_exits():
    torch.manual_seed(0)
    *exits, target = torch.rand(4, 2, 3, 8, 8, dtype=torch.float64)
    squares = [((image - target) ** 2).mean().item() for image in exits]
    assert training_loss(exits, target, Optimiser()).item() == pytest.approx(sum(squares), rel=1e-6)
    last = training_loss(exits, target, Optimiser(deep_supervision=False))
    assert last.item() == pytest.approx(squares[-1], rel=1e-6)
