"""What belongs to a picture beside its pixels: kept where a format takes it, named where not, all gone by --strip."""

import io
import struct

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageCms, PngImagePlugin

from pnen_runtime import Upscaler, read_image, write_image
from pnen_runtime.cli import smooth
from pnen_runtime.image import take_apart
from pnen_runtime.metadata import of_this_size, to_srgb

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKE, COPYRIGHT, ORIENTATION = 271, 33432, 274
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))


def full(path):
    """A picture with everything that its format holds, lying on its side."""
    exif = Image.Exif()
    exif[MAKE], exif[COPYRIGHT], exif[ORIENTATION] = "a camera", "a person", 6
    more = {"exif": exif}
    if path.suffix == ".png":
        words = PngImagePlugin.PngInfo()
        words.add_text("Author", "a person")
        words.add_itxt("Title", "Grüße", lang="de")
        words.add_itxt("XML:com.adobe.xmp", XMP.decode())
        more["pnginfo"] = words
    elif path.suffix == ".tif":
        exif[700] = XMP
    else:
        more["xmp"] = XMP
    PICTURE.save(
        path, dpi=(300, 300), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), **more
    )


def taken(image):
    """As a network gives it back that changes nothing."""
    picture = take_apart(image)
    picture.smooth[...] = picture.frames
    return picture.finish()


@pytest.mark.parametrize("source", [".png", ".tif", ".jpg", ".webp", ".avif"])
@pytest.mark.parametrize("target", [".png", ".tif", ".jpg", ".webp", ".avif"])
def test_what_both_formats_hold_is_kept(tmp_path, source, target, caplog):
    full(tmp_path / f"a{source}")
    write_image(tmp_path / f"b{target}", taken(read_image(tmp_path / f"a{source}")))
    with Image.open(tmp_path / f"b{target}") as back:
        back.load()
        exif = back.getexif()
        assert back.size == (20, 30) and ORIENTATION not in exif
        assert (exif[MAKE], exif[COPYRIGHT]) == ("a camera", "a person")
        assert back.info["icc_profile"]
        xmp = back.getexif()[700] if target == ".tif" else back.info["xmp"]
        assert XMP in (xmp if isinstance(xmp, bytes) else xmp.encode())
        if {source, target} <= {".png", ".tif", ".jpg"}:
            assert back.info["dpi"] == pytest.approx((300, 300), abs=0.5)
    if source == ".png":
        assert ("Author, Title" in caplog.text) == (target != ".png")


def test_words_of_a_png_stay_with_their_language(tmp_path):
    full(tmp_path / "a.png")
    write_image(tmp_path / "b.png", taken(read_image(tmp_path / "a.png")))
    with Image.open(tmp_path / "b.png") as back:
        assert back.text["Author"] == "a person" and back.text["Title"] == "Grüße" and back.text["Title"].lang == "de"


def test_a_tiff_without_a_resolution_gets_none(tmp_path):
    PICTURE.save(tmp_path / "a.tif")
    assert "dpi" not in read_image(tmp_path / "a.tif").info


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp", ".avif"])
def test_strip_leaves_nothing_and_the_colours_as_they_look(model, tmp_path, suffix):
    full(tmp_path / f"a{suffix}")
    arguments = [tmp_path / f"a{suffix}", tmp_path / "b.png", "--strip", "--mix", "0", "-m", model("invert")]
    result = CliRunner().invoke(smooth, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "b.png") as back:
        assert not back.info and not back.getexif()
        was = np.asarray(read_image(tmp_path / f"a{suffix}")).astype(int)
        assert np.abs(np.asarray(back) - was).max() <= 1  # from sRGB to sRGB


def press(nodes):
    """An ICC profile of four inks from the Lab, (16, 3), of each on or off, the first changing slowest."""
    table = bytes(range(256))
    lab = np.rint(nodes * [2.55, 1, 1] + [0, 128, 128]).astype(np.uint8).tobytes()
    matrix = struct.pack(">9i", *(65536 * (k % 4 == 0) for k in range(9)))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + 4 * table + lab + 3 * table
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags, data, place = [], b"", 128 + 4 + 2 * 12
    for name, tag in ((b"A2B0", lut), (b"wtpt", white)):
        tags.append(struct.pack(">4sII", name, place + len(data), len(tag)))
        data += tag + bytes(-len(tag) % 4)
    body = struct.pack(">I", len(tags)) + b"".join(tags) + data
    head = struct.pack(
        ">I4sI4s4s4s12s4s", 128 + len(body), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp"
    )
    return head.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061).ljust(60, b"\0") + body


def of_inks(inks):
    """Lab of shares of ink, (..., 4) in [0, 1], as the profile has them."""
    return np.array([100, 0, 0]) + inks @ np.array([[-20, -15, -10], [-15, 20, 0], [-5, 0, 30], [-40, 0, 0]])


PRESS = press(of_inks(np.array([[k >> 3 & 1, k >> 2 & 1, k >> 1 & 1, k & 1] for k in range(16)], float)))


def test_print_colours_are_converted_by_their_profile():
    inks = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)
    image = Image.merge("CMYK", [Image.fromarray(inks[..., k]) for k in range(4)])
    plain = np.asarray(image.convert("RGB")).astype(int)
    image.info["icc_profile"] = PRESS
    lab = np.rint(of_inks(inks / 255) * [2.55, 1, 1] + [0, 128, 128]).astype(np.uint8)
    looks = Image.merge("LAB", [Image.fromarray(lab[..., k]) for k in range(3)])
    goal = ImageCms.createProfile("sRGB")
    expected = np.asarray(ImageCms.profileToProfile(looks, ImageCms.createProfile("LAB"), goal, outputMode="RGB"))
    found = taken(image)
    assert found.mode == "RGB" and "icc_profile" not in found.info
    assert np.abs(np.asarray(found).astype(int) - expected).mean() < 8 < 60 < np.abs(plain - expected).mean()


def test_a_press_is_not_taken_for_ideal_inks():
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    plain = np.asarray(image.convert("RGB")).astype(int)
    image.info["icc_profile"] = PRESS
    assert np.abs(plain - taken(image)).max() > 40


@pytest.mark.parametrize("profile", [b"torn", PRESS, None])
def test_a_profile_that_does_not_fit_costs_no_picture(profile, caplog):
    image = PICTURE.copy()
    image.info["icc_profile"] = profile
    found = to_srgb(image)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(PICTURE))
    assert ("cannot be applied" in caplog.text) == (profile is not None)


def test_grey_and_alpha_stay(tmp_path):
    for mode in ("L", "LA", "RGB", "RGBA"):
        image = PICTURE.convert(mode)
        image.info["icc_profile"] = SRGB if mode.startswith("RGB") else b""
        found = to_srgb(image)
        assert found.mode == mode and "icc_profile" not in found.info
        assert np.abs(np.asarray(found).astype(int) - np.asarray(image)).max() <= 1
    file = io.BytesIO()
    found.save(file, "PNG")
    assert Image.open(file).mode == "RGBA"


def wide():
    """A profile that is plainly not sRGB: red and blue change places."""
    profile = bytearray(SRGB)
    count = struct.unpack_from(">I", profile, 128)[0]
    places = {bytes(profile[132 + 12 * k : 136 + 12 * k]): 132 + 12 * k for k in range(count)}
    profile[places[b"rXYZ"] : places[b"rXYZ"] + 4], profile[places[b"bXYZ"] : places[b"bXYZ"] + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("target", [".gif", ".bmp", ".ppm", ".tga", ".jp2"])
def test_where_a_format_holds_no_profile_colours_stay_and_what_is_lost_is_named(tmp_path, caplog, target):
    exif = Image.Exif()
    exif[MAKE] = "a camera"
    Image.new("RGB", (20, 30), (200, 60, 10)).save(
        tmp_path / "a.jpg", quality=100, icc_profile=wide(), exif=exif, xmp=XMP
    )
    write_image(tmp_path / f"b{target}", taken(read_image(tmp_path / "a.jpg")))
    shown = Image.open(tmp_path / f"b{target}").convert("RGB").getpixel((5, 5))
    assert np.abs(np.subtract(shown, (10, 60, 200))).max() < 12
    assert "its colours are in sRGB now" in caplog.text and caplog.text.count("sRGB") == 1
    assert "without the EXIF data of the original" in caplog.text and "without the XMP" in caplog.text


@pytest.mark.parametrize("target", [".png", ".tif", ".jpg", ".webp", ".avif"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_exif_data_say_the_pixels_that_are_there(tmp_path, target, orientation):
    exif, makers = Image.Exif(), b"notes of a maker"
    exif[ORIENTATION] = orientation
    exif.get_ifd(34665).update({40962: 30, 40963: 20, 37500: makers})
    PICTURE.save(tmp_path / "a.jpg", exif=exif)
    with Upscaler("enlarge2") as upscaler:
        result = upscaler.run(tmp_path / "a.jpg")
    write_image(tmp_path / f"b{target}", result)
    with Image.open(tmp_path / f"b{target}") as back:
        found = back.getexif().get_ifd(34665)
        assert (found[40962], found[40963]) == back.size == ((60, 40) if orientation == 1 else (40, 60))
        assert makers in (tmp_path / f"b{target}").read_bytes() or orientation == 6


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"II*\0\x08\0\0\0\x05\0\x12", b"MM\0*\xff\xff\xff\xff", b"nonsense"]
)
def test_torn_exif_data_are_left_as_they_are(exif):
    assert of_this_size(exif, 3, 2) == exif
