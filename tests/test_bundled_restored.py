"""The bundled denoiser and enlargers: better than the classical ways on photographs, by one call or one command."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from skimage import data
from skimage.restoration import denoise_nl_means

from pnen_runtime import Smoother, Upscaler
from pnen_runtime.bicubic import resize
from pnen_runtime.cli import smooth
from pnen_train.metrics import levels, psnr

PICTURES = {"astronaut": data.astronaut()[:192, 150:400], "coffee": data.coffee()[100:300, 200:460]}


@pytest.mark.parametrize("sigma", [15, 25, 50])
@pytest.mark.parametrize("picture", PICTURES)
def test_the_denoiser_beats_non_local_means_and_estimates_sigma_itself(picture, sigma):
    clean = PICTURES[picture]
    noisy = levels((clean + np.random.default_rng(0).normal(0, sigma, clean.shape)) / 255)
    means = denoise_nl_means(noisy / 255, 5, 6, 0.8 * sigma / 255, sigma=sigma / 255, channel_axis=-1)
    with Smoother("denoise") as smoother:
        told, auto = psnr(smoother.run(noisy, strength=sigma), clean), psnr(smoother.run(noisy), clean)
    assert told > psnr(levels(means), clean) + 1 and auto > told - 0.7


def test_the_denoiser_is_better_where_a_map_says_how_noisy_it_is():
    clean, sigma = PICTURES["astronaut"], np.repeat([[5.0, 40.0]], 125, 1)  # two halves of 250 pixels
    noisy = levels((clean + np.random.default_rng(0).normal(0, 1, clean.shape) * sigma[..., None]) / 255)
    sigma = np.broadcast_to(sigma, clean.shape[:2])
    with Smoother("denoise") as smoother:
        mapped, mean = (psnr(smoother.run(noisy, strength=wanted), clean) for wanted in (sigma, 25))
    assert mapped > mean + 2


@pytest.mark.parametrize("name", ["enlarge2", "enlarge3"])
@pytest.mark.parametrize("picture", PICTURES)
def test_enlargers_beat_bicubic_interpolation(name, picture):
    scale = int(name[-1])
    image = PICTURES[picture][:180, :240]
    small = levels(resize(image / 255, 180 // scale, 240 // scale))
    with Upscaler(name) as upscaler:
        large, bicubic = upscaler.run(small), upscaler.run(small, mix=0.0)
    assert large.shape == image.shape and psnr(large, image) > psnr(bicubic, image) + 0.8


@pytest.mark.parametrize(("name", "spoil"), [
    ("denoise", lambda image: levels((image + np.random.default_rng(0).normal(0, 25, image.shape)) / 255)),
    ("enlarge2", lambda image: levels(resize(image / 255, 96, 124))),
])  # fmt: skip
def test_the_command_improves_a_spoilt_photograph(name, spoil, tmp_path):
    clean = PICTURES["astronaut"][:, :248]
    spoilt, out = tmp_path / "spoilt.png", tmp_path / "out.png"
    Image.fromarray(spoil(clean)).save(spoilt)
    done = CliRunner().invoke(smooth, [str(spoilt), str(out), "--model", name])
    assert done.exit_code == 0, done.output
    with Image.open(spoilt) as before:
        plain = np.asarray(before.resize(clean.shape[1::-1], Image.Resampling.BICUBIC))
    assert psnr(np.asarray(Image.open(out)), clean) > psnr(plain, clean) + 1.5


def test_colours_that_nobody_sees_are_not_taken_for_noise():
    clean, rng, results = data.chelsea()[:120, :160], np.random.default_rng(0), []
    clear = np.zeros((120, 160), bool)
    clear[:, 70:] = True
    for hidden in (np.zeros(clean.shape), rng.integers(0, 256, clean.shape)):
        given = np.dstack([np.where(clear[..., None], hidden, clean), np.where(clear, 0, 255)]).astype(np.uint8)
        with Smoother("denoise") as smoother:
            results.append(smoother.run(given)[~clear])
    np.testing.assert_array_equal(*results)
