"""How files store their samples: what Pillow takes for something else is read as it is, refused, or named."""

import struct
from contextlib import suppress
from itertools import product

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image
from skimage import data

from pnen_runtime import ImageError, read_image, write_image
from pnen_runtime.cli import smooth
from pnen_runtime.deep import DeepPicture

PHOTO = data.coffee()[100:140, 200:250]
DEEP = PHOTO.astype(np.uint16) * 257
FLOATS = (PHOTO / np.float32(255)).astype(np.float32)
GREY = {"L": PHOTO[..., 1], "I;16": DEEP[..., 1], "F": FLOATS[..., 1]}
ORIENTATION = 274
TURNED = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: np.rot90(np.fliplr(a)),
          6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(np.fliplr(a), -1), 8: np.rot90}  # fmt: skip


@pytest.fixture
def run(model):
    return lambda *words, kind="identity": CliRunner().invoke(
        smooth, [*map(str, words), "-m", str(model(kind)), "--threads", "1"])  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("stored", [*GREY.values(), np.dstack([PHOTO, 255 - PHOTO[..., :1]]), PHOTO])
def test_a_tiff_on_its_side_is_turned_whatever_its_samples(tmp_path, stored, orientation):
    turns = {} if stored.ndim == 2 else {"photometric": "rgb"}
    turns |= {"extrasamples": ["unassalpha"]} if stored.shape[2:] == (4,) else {}
    tifffile.imwrite(tmp_path / "a.tif", stored, extratags=[(ORIENTATION, "H", 1, orientation)], **turns)
    for file in (tmp_path / "a.tif", (tmp_path / "a.tif").read_bytes()):
        np.testing.assert_array_equal(np.asarray(read_image(file)), TURNED[orientation](stored))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", GREY)
def test_where_zero_is_white_it_is_read_as_white_or_refused(tmp_path, mode, order):
    white = {"L": 255, "I;16": 65535, "F": 1}[mode]
    tifffile.imwrite(tmp_path / "a.tif", white - GREY[mode], photometric="miniswhite", byteorder=order)
    if (mode, order) == ("I;16", ">"):
        with pytest.raises(
            ImageError, match="got a TIFF of grey with white at zero, 1 channel of 16 bits; convert it first"
        ):
            read_image(tmp_path / "a.tif")
    else:
        np.testing.assert_allclose(np.asarray(read_image(tmp_path / "a.tif")), GREY[mode], atol=1e-6)


def test_grey_of_12_bits_is_as_light_as_it_was(tmp_path):
    values = np.rint(GREY["F"].astype(float) * 4095).astype(int)
    strip = int("".join(f"{value:012b}" for value in values.ravel()), 2).to_bytes(values.size * 12 // 8, "big")
    tags = ((256, 50), (257, 40), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 40), (279, len(strip)))
    folder = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags) + bytes(4)
    (tmp_path / "a.tif").write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + folder + strip)
    found = np.asarray(read_image(tmp_path / "a.tif"))
    assert found.dtype == np.uint16 and np.abs(found / 65535 - GREY["F"]).max() < 1 / 4095


@pytest.mark.parametrize("stored", [np.dstack([PHOTO, PHOTO]), np.dstack([GREY["L"], GREY["L"]])])
def test_channels_that_are_left_out_are_named(tmp_path, caplog, stored):
    colours = 3 if stored.shape[2] == 6 else 1
    extra = ["unspecified"] * (stored.shape[2] - colours)
    kind = "rgb" if colours == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=kind, planarconfig="contig", extrasamples=extra)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.tif")), np.squeeze(stored[..., :colours]))
    assert f"{len(extra)} more channels than colours and alpha are left out" in caplog.text


@pytest.mark.parametrize(("stored", "line"), [
    ((GREY["L"].astype(int) - 128).astype(np.int8), "expected values from 0 on, got signed ones of 8 bits"),
    ((GREY["I;16"].astype(int) - 32768).astype(np.int16), "expected grey values of 16 bits, got -"),
    (np.dstack([DEEP, DEEP[..., :2]]), "got a TIFF of RGB, 5 channels of 16 bits; convert it first"),
    (DEEP.astype(np.uint32), "got a TIFF of RGB, 3 channels of 32 bits; convert it first"),
    (FLOATS.astype(np.float64), "got a TIFF of RGB, 3 channels of floats of 64 bits; convert it first"),
    (FLOATS[..., 1].astype(np.float64), "got a TIFF of grey, 1 channel of floats of 64 bits; convert it first"),
])  # fmt: skip
def test_samples_that_are_not_known_are_refused_by_what_they_are(run, tmp_path, stored, line):
    tifffile.imwrite(tmp_path / "a.tif", stored, **({"photometric": "rgb"} if stored.ndim == 3 else {}))
    done = run(tmp_path / "a.tif", tmp_path / "out.tif")
    assert done.exit_code == 1 and line in done.stderr and not (tmp_path / "out.tif").exists()


COLOURS = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "separated": 4}
KINDS = {np.uint8: 255, np.uint16: 65535, np.float16: 1, np.float32: 1}  # and white
PLAIN = [(np.uint8, "minisblack", 1), (np.uint16, "minisblack", 1), (np.float32, "minisblack", 1), (np.uint8, "rgb", 3),
         (np.uint8, "miniswhite", 1), (np.uint16, "rgb", 3), (np.uint16, "rgb", 4), (np.float32, "rgb", 3)]  # fmt: skip


def both_ways(path):
    """The pixels as shares of white, where libvips reads the file and where Pillow does."""
    if deep := DeepPicture.read(path):
        yield deep.pages[0] / (65535 if deep.pages[0].dtype == np.uint16 else 1)
    with suppress(ImageError):
        pixels = np.atleast_3d(np.asarray(read_image(path)))
        yield pixels / {"u": 255 if pixels.dtype == np.uint8 else 65535, "i": 65535, "f": 1}[pixels.dtype.kind]


@pytest.mark.parametrize(("kind", "colours", "channels"), [
    stored for stored in product(KINDS, COLOURS, range(1, 6)) if stored[2] >= COLOURS[stored[1]]])  # fmt: skip
def test_samples_are_read_as_they_are_stored_or_refused(tmp_path, kind, colours, channels):
    count, white = COLOURS[colours], KINDS[kind]
    shares = np.dstack([PHOTO, PHOTO[::-1, :, :2]])[..., :channels] / 255
    stored = (np.rint(shares * white) if white > 1 else shares).astype(kind)
    expected = (1 - shares if colours == "miniswhite" else shares)[..., :count]
    for extra, planes, way in product(
        ("unassalpha", "unspecified"), ("contig", "separate"), ({}, {"byteorder": ">"}, {"compression": "zlib"})
    ):
        extras = [extra, *["unspecified"] * 4][: channels - count]
        tifffile.imwrite(tmp_path / "a.tif", stored if planes == "contig" else np.moveaxis(stored, -1, 0).copy(),
                         photometric=colours, planarconfig=planes if channels > 1 else None,
                         extrasamples=extras or None, **way)  # fmt: skip
        found = list(both_ways(tmp_path / "a.tif"))
        for one in found:
            assert one.shape[2] in (count, count + 1), (extra, planes, way)
            np.testing.assert_allclose(one[..., :count], expected, atol=1 / 255, err_msg=str((extra, planes, way)))
            if extra == "unassalpha" and channels == one.shape[2] == count + 1:
                np.testing.assert_allclose(
                    one[..., count], shares[..., count], atol=1 / 255, err_msg=str((planes, way))
                )
        assert found or planes == "separate" or (kind, colours, channels) not in PLAIN, way


def test_what_is_lost_is_not_said_of_a_picture_that_is_refused(run, tmp_path, caplog):
    tifffile.imwrite(
        tmp_path / "a.tif", np.stack([GREY["I;16"]] * 3), photometric="minisblack", planarconfig="separate"
    )
    done = run(tmp_path / "a.tif", tmp_path / "b.jpg")
    assert (
        done.exit_code == 1 and "got a TIFF of grey in planes, 3 channels of 16 bits" in done.stderr and not caplog.text
    )


def test_the_range_of_32_bits_is_told_without_a_sign(run, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((20, 20), 3_990_000_000, np.uint32))
    done = run(tmp_path / "a.tif", tmp_path / "b.tif")
    assert done.exit_code == 1 and "of 32 bits up to 3,990,000,000; scale them first" in done.stderr


@pytest.mark.parametrize("given", [b"", "file"])
def test_an_empty_file_is_called_empty(tmp_path, given):
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match="got an empty file"):
        read_image(given or b"" if given == b"" else tmp_path / "a.jpg")


def deep_ppm(path):
    path.write_bytes(b"P6 50 40 65535\n" + DEEP.astype(">u2").tobytes())


def deep_inks(path):
    inks = np.asarray(Image.fromarray(PHOTO).convert("CMYK")).astype(np.uint16) * 257
    tifffile.imwrite(path, inks, photometric="separated")


def deep_avif(path):
    pyvips = pytest.importorskip("pyvips")
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(DEEP).data, 50, 40, 3, "ushort")
    path.write_bytes(image.copy(interpretation="rgb16").heifsave_buffer(bitdepth=10, compression="av1"))


def deep_jp2(path):
    Image.fromarray(PHOTO).save(path)
    data = path.read_bytes()
    begin = data.index(b"\xff\x4f\xff\x51") + 42  # the depth of each component, less 1
    path.write_bytes(data[:begin] + b"".join(b"\x0f" + data[begin + 3 * k + 1 : begin + 3 * k + 3] for k in range(3))
                     + data[begin + 9 :])  # fmt: skip


@pytest.mark.parametrize(("name", "write"), [
    ("a.ppm", deep_ppm), ("a.tif", deep_inks), ("a.avif", deep_avif), ("a.jp2", deep_jp2),
    ("a.png", lambda path: write_image(path, DEEP)),
])  # fmt: skip
def test_bits_that_are_lost_are_named(tmp_path, caplog, name, write):
    write(tmp_path / name)
    assert np.asarray(read_image(tmp_path / name)).dtype == np.uint8
    assert f"{name}: colour of more than 8 bits is read as 8 bits" in caplog.text


@pytest.mark.parametrize("name", ["a.ppm", "a.tif", "a.avif", "a.jp2", "a.png", "a.jpg", "a.webp"])
def test_where_none_are_lost_nothing_is_said(tmp_path, caplog, name):
    Image.fromarray(PHOTO).save(tmp_path / name)
    read_image(tmp_path / name)
    assert not caplog.text


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png", ".gif", ".avif", ".bmp"])
@pytest.mark.parametrize("shape", ["colour", "grey"])
def test_floats_beyond_white_are_refused_in_every_format(run, tmp_path, suffix, shape):
    beyond = 4 * FLOATS - np.float32(0.5)
    tifffile.imwrite(tmp_path / "a.tif", beyond if shape == "colour" else beyond[..., 1],
                     photometric="rgb" if shape == "colour" else "minisblack")  # fmt: skip
    done = run(tmp_path / "a.tif", tmp_path / f"out{suffix}")
    assert done.exit_code == 1 and "expected float32 values in [0, 1], got" in done.stderr
    assert not (tmp_path / f"out{suffix}").exists()


@pytest.mark.parametrize(("suffix", "white"), [(".jpg", 255), (".webp", 255), (".bmp", 255), (".png", 65535)])
@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_grey_is_rounded_with_a_word_where_the_format_has_fewer_bits(run, tmp_path, caplog, mode, suffix, white):
    tifffile.imwrite(tmp_path / "a.tif", GREY[mode])
    assert run(tmp_path / "a.tif", tmp_path / f"out{suffix}", kind="invert").exit_code == 0
    found = np.asarray(Image.open(tmp_path / f"out{suffix}").convert("L" if white == 255 else "I"))
    assert np.abs(found.astype(int) - (white - np.rint(GREY["L"] / 255 * white))).mean() < 1.5 * white / 255
    assert ("rounded to" in caplog.text) == (white == 255 or mode == "F")


@pytest.mark.parametrize("more", [[], ["--strip"]], ids=["", "strip"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_colour_without_a_resolution_gets_none(run, tmp_path, suffix, more):
    for source in (".png", ".tif"):
        tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb")
        write_image(tmp_path / "a.png", DEEP)
        done = run(tmp_path / f"a{source}", tmp_path / f"out{suffix}", "--overwrite", *more)
        assert done.exit_code == 0 and "in 16 bits" in done.stdout
        for path in (tmp_path / "a.png", tmp_path / f"out{suffix}"):
            with Image.open(path) as image:
                assert not {282, 283, 296} & set(image.getexif()) and (suffix == ".tif" or "dpi" not in image.info)
        found = read_image(tmp_path / f"out{suffix}")
        assert np.abs(np.asarray(found).astype(int) - PHOTO).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_colour_keeps_its_resolution(run, tmp_path, suffix):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb", resolution=(300, 300), resolutionunit="INCH")
    assert run(tmp_path / "a.tif", tmp_path / f"out{suffix}").exit_code == 0
    assert Image.open(tmp_path / f"out{suffix}").info["dpi"] == pytest.approx((300, 300), abs=0.5)
