import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pnen_runtime import ImageError, read_image, write_image
from pnen_runtime.image import from_batch, read_rgb, result_mode, take_apart, to_batch

SHAPES = [(20, 17), (20, 17, 1), (20, 17, 3), (20, 17, 4), (2, 20, 17, 3)]
DTYPES = ["uint8", "uint16", "float16", "float32", "float64", ">u2"]
MODES = {"1": "L", "L": "L", "LA": "LA", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB",
         "HSV": "RGB", "LAB": "RGB", "I;16": "I;16", "I": "I;16", "F": "F", "RGBX": "RGB"}  # fmt: skip


def pixels(shape, dtype="uint8"):
    values = np.random.default_rng(0).random(shape)
    return (values if np.dtype(dtype).kind == "f" else values * np.iinfo(dtype).max).astype(dtype)


def copied(image):
    """What an identity network gives."""
    picture = take_apart(image)
    from_batch(to_batch(picture.frames), picture.smooth)
    return picture.finish()


def picture_of(mode):
    if mode in ("I;16", "I"):
        return Image.fromarray(pixels((20, 17), "uint16")).convert(mode)
    if mode == "F":
        return Image.fromarray(pixels((20, 17), "float32"))
    if mode in ("LAB", "HSV", "YCbCr"):
        return Image.frombytes(mode, (17, 20), pixels((20, 17, 3)).tobytes())
    return Image.fromarray(pixels((20, 17, 3))).convert(mode)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_array_comes_back_with_its_shape_type_and_values(shape, dtype):
    image = pixels(shape, dtype)
    before = image.copy()
    back = copied(image)
    assert (back.shape, back.dtype) == (image.shape, image.dtype)
    np.testing.assert_allclose(back, image, rtol=0, atol=1e-6 if image.dtype.kind == "f" else 0)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(("mode", "comes_back"), MODES.items())
def test_a_pil_image_comes_back_in_a_mode_that_is_known_before(mode, comes_back):
    image = picture_of(mode)
    back = copied(image)
    assert back.mode == result_mode(image) == comes_back
    assert back.size == image.size
    expected = image if comes_back in (mode, "I;16") else image.convert(comes_back)
    np.testing.assert_allclose(np.asarray(back), np.asarray(expected), rtol=0, atol=1e-6 if mode == "F" else 0)


@pytest.mark.parametrize(("mode", "comes_back"), [("P", "RGBA"), ("L", "LA"), ("RGB", "RGBA")])
def test_a_transparent_colour_becomes_alpha(mode, comes_back):
    file = io.BytesIO()
    Image.new(mode, (20, 20)).save(file, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    back = copied(Image.open(file))
    assert back.mode == result_mode(Image.open(file)) == comes_back
    assert np.asarray(back)[..., -1].max() == 0
    assert "transparency" not in back.info


def test_alpha_is_not_smoothed():
    image = pixels((20, 17, 4))
    picture = take_apart(image)
    picture.smooth[...] = 7
    back = picture.finish()
    assert (back[..., :3] == 7).all()
    np.testing.assert_array_equal(back[..., 3], image[..., 3])


def test_grey_comes_back_as_the_luma_of_the_result():
    batch = np.random.default_rng(0).random((1, 3, 20, 17), np.float32)
    grey, colour = np.empty((1, 20, 17, 1), np.uint8), np.empty((1, 20, 17, 3), np.uint8)
    from_batch(batch, grey)
    from_batch(batch, colour)
    pillow = np.asarray(Image.fromarray(colour[0]).convert("L"), int)
    assert np.abs(grey[0, ..., 0] - pillow).max() <= 1  # Pillow rounds the colours first


@settings(max_examples=30)
@given(st.floats(-2, 3, width=32))
def test_values_are_clipped_and_rounded_to_the_nearest_level(value):
    out = np.empty((1, 1, 1, 3), np.uint8)
    from_batch(np.full((1, 3, 1, 1), value, np.float32), out)
    assert abs(int(out[0, 0, 0, 0]) - min(max(255 * value, 0), 255)) <= 0.5001


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((20, 15, 3), np.uint8), "at least 16 pixels a side, got 15x20"),
        (np.zeros((3, 20, 20), np.uint8), "channels come last"),
        (np.zeros((20, 20, 5), np.uint8), r"got shape \(20, 20, 5\)"),
        (np.zeros((0, 20, 20, 3), np.uint8), "got shape"),
        (np.zeros(20, np.uint8), "got shape"),
        (np.zeros((20, 20, 3), np.int32), "got int32"),
        (np.zeros((20, 20, 3), bool), "got bool"),
        (np.zeros((20, 20, 3), complex), "got complex128"),
        (np.full((20, 20, 3), 200.0, np.float32), "divide by 255"),
        (np.full((20, 20, 3), -0.2, np.float32), "scale or repair"),
        (np.full((20, 20, 3), np.nan, np.float32), "got nan"),
        (np.full((20, 20, 3), np.inf, np.float16), "got inf"),
        ([[0]], "got builtins.list"),
        (Image.new("RGB", (15, 40)), "got 15x40"),
        (Image.new("I", (20, 20), 70000), "70000"),
        (Image.new("F", (20, 20), 2.0), "in \\[0, 1\\]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_taken_is_refused_in_one_line(image, says):
    with pytest.raises(ImageError, match=says) as caught:
        take_apart(image)
    assert "\n" not in str(caught.value)


def test_rounding_errors_of_floats_are_let_through():
    picture = take_apart(np.full((20, 20), 1.00001, np.float32))
    assert to_batch(picture.frames).max() == 1


def test_files_are_read_upright_and_keep_profile_and_exif(tmp_path):
    image = Image.fromarray(pixels((20, 30, 3)))
    exif = image.getexif()
    exif[0x0112], exif[0x010F] = 6, "a camera"  # turned by 90 degrees
    image.save(tmp_path / "turned.jpg", exif=exif, icc_profile=b"a profile", quality=95)
    upright = read_image(tmp_path / "turned.jpg")
    assert upright.size == (20, 30)
    for name in ("out.jpg", "out.png", "out.webp"):
        write_image(tmp_path / name, copied(upright))
        back = Image.open(tmp_path / name)
        assert back.info["icc_profile"] == b"a profile"
        assert back.getexif()[0x010F] == "a camera" and 0x0112 not in back.getexif()
        assert back.size == (20, 30)


def test_a_profile_of_other_colours_is_dropped():
    image = picture_of("CMYK")
    image.info["icc_profile"] = b"of a press"
    assert "icc_profile" not in copied(image).info


@pytest.mark.parametrize(("name", "shape", "dtype"), [
    ("a.png", (20, 17), "uint16"), ("a.tif", (20, 17), "uint16"), ("a.png", (20, 17, 1), "uint8"),
    ("a.png", (20, 17, 3), "uint8"), ("a.webp", (20, 17, 4), "uint8"), ("a.PNG", (20, 17, 4), "uint8"),
])  # fmt: skip
def test_files_keep_the_depth(tmp_path, name, shape, dtype):
    image = pixels(shape, dtype)
    write_image(tmp_path / name, image)
    back = np.asarray(copied(read_image(tmp_path / name)))
    assert back.dtype == dtype
    if not name.endswith("webp"):
        np.testing.assert_array_equal(back, image.reshape(back.shape))


def test_read_rgb_gives_three_channels_of_anything(tmp_path):
    write_image(tmp_path / "grey.png", pixels((20, 17)))
    assert read_rgb(tmp_path / "grey.png").shape == (20, 17, 3)


@pytest.mark.parametrize(("name", "mode", "says"), [
    ("a.jpg", "RGBA", "cannot hold"), ("a.jpg", "I;16", "cannot hold"), ("a.xyz", "RGB", "got '.xyz'"),
    ("a", "RGB", "got ''"),
])  # fmt: skip
def test_a_format_that_cannot_hold_the_image_is_refused(tmp_path, name, mode, says):
    with pytest.raises(ImageError, match=says):
        write_image(tmp_path / name, Image.new(mode, (20, 20)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("array", [np.zeros((20, 20, 3), np.int16), np.zeros((20, 20), np.float32)])
def test_an_array_that_no_file_holds_is_refused(tmp_path, array):
    with pytest.raises(ImageError, match="expected uint8"):
        write_image(tmp_path / "a.png", array)


FAR = b"II\x2b\0\x08\0\0\0" + (2**60).to_bytes(8, "little") + bytes(64)  # a BigTIFF whose picture no file can hold


@pytest.mark.parametrize("data", [b"", b"not an image", FAR, None])
def test_a_broken_file_is_an_image_error_that_names_it(tmp_path, data):
    path = tmp_path / "broken.png"
    if data is None:
        write_image(path, pixels((60, 60, 3)))
        data = path.read_bytes()[:500]
    path.write_bytes(data)
    with pytest.raises(ImageError, match="broken.png"):
        read_image(path)


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")


def test_losses_are_logged(tmp_path, caplog):
    frames = [Image.new("L", (20, 20), level) for level in (0, 99)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    read_image(tmp_path / "a.gif")
    assert "first of 2 frames" in caplog.text


def test_sixteen_bit_grey_is_read_as_rgb_by_its_high_byte(tmp_path):
    grey = np.array([[0, 257, 32896, 65535]] * 16, np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "grey.png")[0], [[level] * 3 for level in (0, 1, 128, 255)])
