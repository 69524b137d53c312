"""Saving: what comes back is what was given, or nothing is written; a full disk, and metadata that no format takes."""

import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pnen_runtime import ImageError, read_image, write_image
from pnen_runtime.encode import FORMATS, check_format, encode
from pnen_runtime.photo import OPENED

MODES = (
    "1",
    "L",
    "LA",
    "P",
    "RGB",
    "RGBA",
    "I;16",
    "I",
    "F",
    "PA",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "RGBX",
    "La",
    "RGBa",
)
LIMITED = {"webp": 16383, "gif": 65535, "tga": 65535, "avif": 32768, "jpg": 65500}


def picture(mode: str) -> Image.Image:
    """A soft ramp with a corner that is clear, another one that is half so, where the mode has alpha."""
    ramp = np.broadcast_to(np.arange(0, 240, 6, dtype=np.uint8), (32, 40))
    if mode in ("I;16", "I"):
        return Image.fromarray(ramp.astype(np.uint16) * 257).convert(mode)
    if mode == "F":
        return Image.fromarray(np.float32(ramp / 255))
    alpha = np.full((32, 40), 255, np.uint8)
    alpha[:8, :8] = 0
    image = Image.fromarray(np.dstack([ramp] * 3 + [alpha])).convert("RGB")
    if mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        plain = image.convert("LA" if mode in ("LA", "La") else "RGBA")
        plain.putalpha(Image.fromarray(alpha))
        return plain.convert(mode) if mode != "PA" else plain.convert("P").convert("PA")
    return image.convert(mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_written_comes_back_or_nothing_is_written(tmp_path, suffix, mode):
    path, image = tmp_path / f"a{suffix}", picture(mode)
    if mode not in FORMATS[suffix].modes:
        assert mode not in ("L", "RGB"), "every format holds these"
        with pytest.raises(ImageError, match="cannot hold"):
            write_image(path, image)
        assert not list(tmp_path.iterdir())
        return
    write_image(path, image)
    back = Image.open(path)
    assert back.format == FORMATS[suffix].name
    as_values = (lambda i: i) if mode in ("I;16", "I", "F") else (lambda i: i.convert("RGBA"))
    was, found = (np.asarray(as_values(part)).astype(float) for part in (image, back))
    if was.ndim == 3 and (was[..., 3] == 0).any():
        assert (found[..., 3] == was[..., 3]).all()
        was, found = (part[was[..., 3] > 0] for part in (was, found))
    assert was.shape == found.shape
    assert np.abs(was - found).mean() <= (8 if mode in ("1", "P") or suffix == ".gif" else 2.5)  # palettes are rough


def test_half_transparency_in_a_gif_is_told(tmp_path, caplog):
    image = picture("RGBA")
    write_image(tmp_path / "a.gif", image)
    assert not caplog.text
    image.putalpha(100)
    write_image(tmp_path / "a.gif", image)
    assert "half-transparent" in caplog.text


@pytest.mark.parametrize(("suffix", "side"), LIMITED.items())
def test_sides_that_a_format_lacks_are_told_before_the_work(tmp_path, suffix, side):
    path = tmp_path / f"a.{suffix}"
    for size in ((side, 16), (16, side)):
        encode(path, Image.new("RGB", size))
        longer = tuple(length + (length == side) for length in size)
        with pytest.raises(ImageError, match=rf"cannot hold {longer[0]}x{longer[1]}, but {side:,} pixels a side"):
            check_format(path, "RGB", *longer)
        with pytest.raises(ImageError, match="cannot hold"):
            write_image(path, Image.new("RGB", longer))
    assert not path.exists()


WRITE = """
import resource, sys
from PIL import Image
from pnen_runtime import write_image
image = Image.effect_noise((600, 600), 90).convert("RGB")  # does not become small
Image.init()
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    write_image(sys.argv[1], image)
except OSError as error:
    sys.exit(7 if error.filename == sys.argv[1] else 8)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits as POSIX has them")
@pytest.mark.parametrize("suffix", [s for s in FORMATS if s not in (".jfif", ".jpe", ".jpeg", ".j2k", ".tiff", ".pgm")])
def test_a_file_that_does_not_fit_on_the_disk_is_an_error_and_no_file(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    done = subprocess.run([sys.executable, "-c", WRITE, path])  # .jp2 went on for ever
    assert done.returncode == 7
    assert not list(tmp_path.iterdir())


def with_exif(data: bytes) -> dict:
    return {"exif": b"Exif\0\0" + data}


BROKEN = {
    "torn EXIF": with_exif(b"II*\0\x08\0\0\0\x05\0\x12"),
    "EXIF that is none": with_exif(b"nonsense"),
    "EXIF with a foreign type": with_exif(b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 271, 99, 4, 4) + bytes(4)),
    "EXIF too long": with_exif(b"II*\0" + bytes(70000)),
    "resolution 0/0": {"dpi": (float("nan"), float("nan"))},
    "resolution without end": {"dpi": (float("inf"), 72)},
    "the largest resolution": {"dpi": (2**32 - 1, 2**32 - 1)},
    "a resolution of text": {"dpi": "fine"},
    "fax compression": {"compression": "group4"},
    "a background of a palette": {"background": 77},
    "a profile of text": {"icc_profile": "sRGB"},
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("suffix", [".avif", ".bmp", ".gif", ".jp2", ".jpg", ".png", ".ppm", ".tga", ".tif", ".webp"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_metadata_that_cannot_be_kept_costs_no_picture(tmp_path, suffix, kind, mode):
    image = picture(mode)
    image.info |= BROKEN[kind]
    write_image(tmp_path / f"a{suffix}", image)
    back = read_image(tmp_path / f"a{suffix}").convert(mode)
    assert np.abs(np.asarray(back).astype(float) - np.asarray(image)).mean() < 2


def test_what_is_dropped_is_told(tmp_path, caplog):
    image = picture("RGB")
    image.info |= BROKEN["EXIF that is none"] | {"icc_profile": b"kept"}
    write_image(tmp_path / "a.tif", image)
    assert "without the EXIF data" in caplog.text and caplog.text.count("WARNING") == 1
    assert Image.open(tmp_path / "a.tif").info["icc_profile"] == b"kept"


def test_a_picture_with_broken_exif_is_read(tmp_path, caplog):
    picture("RGB").save(tmp_path / "a.png", exif=BROKEN["torn EXIF"]["exif"])
    image = read_image(tmp_path / "a.png")
    assert image.size == (40, 32)


def test_a_lossless_tiff_stays_compressed_and_a_lossy_one_is_not_lossy_again(tmp_path):
    for compression, kept in (("tiff_lzw", "tiff_lzw"), ("jpeg", "raw"), ("group4", "raw")):
        mode = "1" if compression == "group4" else "RGB"
        picture(mode).save(tmp_path / "in.tif", compression=compression)
        image = read_image(tmp_path / "in.tif").convert("L" if mode == "1" else mode)
        write_image(tmp_path / "out.tif", image)
        back = Image.open(tmp_path / "out.tif")
        assert back.info["compression"] == kept
        np.testing.assert_array_equal(np.asarray(back), np.asarray(image))


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".eps"])
def test_only_formats_that_are_named_are_opened(tmp_path, suffix, monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **_: started.append(words))
    (tmp_path / f"a{suffix}").write_bytes(EPS)
    with pytest.raises(ImageError, match="expected an image, got something else"):
        read_image(tmp_path / f"a{suffix}")
    assert not started


@pytest.mark.parametrize("name", ["ICO", "PCX", "DDS", "QOI", "SGI", "IM", "ICNS"])
def test_other_formats_of_pillow_are_not_opened(tmp_path, name):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png", name)
    with pytest.raises(ImageError, match="expected an image, got something else"):
        read_image(tmp_path / "a.png")
    assert name not in OPENED


def test_every_format_that_is_written_is_opened():
    assert {kind.name for kind in FORMATS.values()} <= set(OPENED)


def test_a_heic_photo_gets_a_hint(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(ImageError, match="pip install pillow-heif"):
        read_image(tmp_path / "a.heic")
