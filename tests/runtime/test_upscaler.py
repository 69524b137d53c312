"""Super-resolution in the runtime: luma through the network, colour and alpha by bicubic interpolation."""

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pnen_runtime import ImageError, Smoother, Upscaler, UsageError
from pnen_runtime.bicubic import enlarge
from pnen_runtime.cli import smooth
from pnen_runtime.ycbcr import to_rgb, to_ycbcr


class Stand:
    """A grey backend made of a function."""

    name = "stand-in"
    info = "stand-in (given)"

    def __init__(self, card, answer):
        self.card, self.answer, self.closed = card(channels=1, task={"scale": 3}), answer, False

    def run(self, batch):
        return self.answer(batch)

    def close(self):
        self.closed = True


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, True)


def smooth_colours(*shape):
    """A picture that interpolation does not take out of range, so that clipping plays no part."""
    return (64 + enlarge(noise(shape[0] // 4, shape[1] // 4, shape[2]) // 4, 4)).round().astype(np.uint8)


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 1), (20, 24, 2), (20, 24, 3), (20, 24, 4), (2, 20, 24, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float16"])
def test_an_array_comes_back_enlarged_in_its_own_kind(card, shape, dtype):
    image = noise(*shape) if dtype != "uint16" else noise(*shape, dtype=np.uint16)
    image = (image / 255).astype(dtype) if dtype.startswith("float") else image
    large = Upscaler("toy", backend=Stand(card, lambda batch: batch)).run(image)
    batch, rest = (shape[:1], shape[1:]) if len(shape) == 4 else ((), shape)
    assert large.shape == (*batch, 60, 72, *rest[2:]) and large.dtype == image.dtype


@given(channels=st.sampled_from([1, 2, 3, 4]), height=st.integers(2, 8), width=st.integers(2, 8))
@settings(max_examples=20)
def test_with_a_network_that_does_nothing_every_channel_is_bicubic(card, channels, height, width):
    image = smooth_colours(4 * height, 4 * width, channels)
    large = Upscaler("toy", backend=Stand(card, lambda batch: batch)).run(image)
    np.testing.assert_allclose(large, np.clip(enlarge(image, 3), 0, 255), atol=0.51)


def test_the_network_acts_on_luma_alone_and_mix_goes_from_bicubic_to_it(card):
    image = smooth_colours(20, 24, 4)
    upscaler = Upscaler("toy", backend=Stand(card, lambda batch: batch * 0.9))
    plain, full = upscaler.run(image, mix=0), upscaler.run(image)
    before, after = (to_ycbcr(part[..., :3] / 255) for part in (plain, full))
    np.testing.assert_allclose(after[..., 0], 0.9 * before[..., 0], atol=1 / 255)
    np.testing.assert_allclose(after[..., 1:], before[..., 1:], atol=1 / 255)
    np.testing.assert_array_equal(plain[..., 3], full[..., 3])
    np.testing.assert_allclose(plain, enlarge(image, 3), atol=0.51)


def test_pictures_and_paths_give_pictures_with_what_belongs_to_them(card, tmp_path):
    image = Image.fromarray(noise(20, 24, 3))
    image.info["icc_profile"] = b"profile"
    image.save(tmp_path / "small.png")
    with Upscaler("toy", backend=Stand(card, lambda batch: batch)) as upscaler:
        for given_as in (image, tmp_path / "small.png"):
            large = upscaler.run(given_as)
            assert large.size == (72, 60) and large.mode == "RGB" and large.info["icc_profile"] == b"profile"
            np.testing.assert_array_equal(np.asarray(large), upscaler.run(np.asarray(image)))
        assert upscaler.run(image.convert("P")).mode == "RGB" and upscaler.run(image.convert("LA")).mode == "LA"


def test_what_is_too_small_when_enlarged_is_refused(card):
    upscaler = Upscaler("toy", backend=Stand(card, lambda batch: batch))
    assert upscaler.run(noise(6, 6, 3)).shape == (18, 18, 3)
    with pytest.raises(ImageError, match="at least 6 pixels a side, got 5x6"):
        upscaler.run(noise(6, 5, 3))


def test_a_model_for_something_else_is_refused_and_closed(model):
    with pytest.raises(UsageError, match=r"expected a super-resolution model, got .*invert.*; use Smoother"):
        Upscaler(model("invert"))
    smoother = Smoother(model("grey", task={"noise": 25}))
    with pytest.raises(UsageError, match="denoising in grey, σ 25"):
        Upscaler(smoother)


def test_the_command_enlarges_with_a_model_for_super_resolution(model, tmp_path):
    image = smooth_colours(20, 24, 3)
    Image.fromarray(image).save(tmp_path / "small.png")
    path = model("grey", task={"scale": 3})
    result = CliRunner().invoke(
        smooth, [str(tmp_path / "small.png"), str(tmp_path / "large.png"), "--model", str(path)]
    )
    assert result.exit_code == 0, result.stderr
    assert "enlarging 3 times" in result.stdout
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "large.png")), enlarge(image, 3), atol=0.51)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_luma_and_chroma_go_back_to_the_colour(colour):
    np.testing.assert_allclose(to_rgb(to_ycbcr(np.array(colour))), colour, atol=1e-12)


def test_known_colours_have_their_known_luma_and_chroma():
    known = {(1, 1, 1): (235, 128, 128), (0, 0, 0): (16, 128, 128), (1, 0, 0): (81.481, 90.203, 240),
             (0, 0, 1): (40.966, 240, 109.786)}  # fmt: skip
    for colour, expected in known.items():
        np.testing.assert_allclose(255 * to_ycbcr(np.array(colour)), expected, atol=1e-9)


def test_colours_that_nobody_sees_reach_nothing_that_is_seen(card):
    clear = np.zeros((20, 24), bool)
    clear[:7], clear[12:15, 3:20] = True, True
    photo, results = smooth_colours(20, 24, 3), []
    for hidden in (0, 255):
        given_ = np.dstack([np.where(clear[..., None], hidden, photo), np.where(clear, 0, 255)]).astype(np.uint8)
        results.append(Upscaler("toy", backend=Stand(card, lambda batch: batch)).run(given_))
    np.testing.assert_array_equal(*results)
    opaque = results[0][..., 3] == 255
    plain = Upscaler("toy", backend=Stand(card, lambda batch: batch)).run(photo)
    assert np.abs(results[0][opaque][:, :3].astype(int) - plain[opaque]).max() < 40


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16"])
def test_a_tensor_comes_back_as_one(card, dtype):
    torch = pytest.importorskip("torch")
    image = noise(20, 24, 3) if dtype == "uint8" else (noise(20, 24, 3) / 255).astype(dtype)
    upscaler = Upscaler("toy", backend=Stand(card, lambda batch: batch))
    large = upscaler.run(torch.from_numpy(image))
    assert isinstance(large, torch.Tensor) and str(large.dtype) == f"torch.{dtype}"
    np.testing.assert_array_equal(large.numpy(), upscaler.run(image))
