"""Pictures whose pixels are sound and whose metadata are not: they are read, and the loss is told."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from pnen_runtime import ImageError, read_image, write_image
from pnen_runtime.image import take_apart

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(kind, body):
    def write(path):
        PICTURE.save(path, "PNG")
        data = path.read_bytes()
        path.write_bytes(data[:33] + chunk(kind, body) + data[33:])

    return write


def with_tag(tag, kind, count, value):
    """A TIFF with one more tag whose value lies in its entry."""

    def write(path):
        PICTURE.save(path, "TIFF")
        data = path.read_bytes()
        (begin,) = struct.unpack_from("<I", data, 4)
        (entries,) = struct.unpack_from("<H", data, begin)
        old = [data[begin + 2 + 12 * k : begin + 14 + 12 * k] for k in range(entries)]
        entry = struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        kept = sorted(
            [*(one for one in old if one[:2] != entry[:2]), entry], key=lambda one: struct.unpack("<H", one[:2])
        )
        listed = struct.pack("<H", len(kept)) + b"".join(kept) + bytes(4)
        path.write_bytes(data[:4] + struct.pack("<I", len(data)) + data[8:] + listed)

    return write


TORN = {
    "long text.png": with_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000))),
    "much text.png": with_chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(70_000_000))),
    "long profile.png": with_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2_000_000))),
    "unknown compression.png": with_chunk(b"zTXt", b"a\0\7nothing"),
    "profile of unknown compression.png": with_chunk(b"iCCP", b"a\0\7nothing"),
    "short pHYs.png": with_chunk(b"pHYs", b"\0"),
    "short gAMA.png": with_chunk(b"gAMA", b"\0"),
    "short cHRM.png": with_chunk(b"cHRM", b"\0"),
    "short sRGB.png": with_chunk(b"sRGB", b""),
    "short tRNS.png": with_chunk(b"tRNS", b"\0"),
    "short acTL.png": with_chunk(b"acTL", b"\0"),
    "orientation in letters.tif": with_tag(274, 2, 2, b"6"),
    "resolution in letters.tif": with_tag(282, 2, 2, b"7"),
    "XMP in letters.tif": with_tag(700, 2, 3, b"ab"),
    "XMP in numbers.tif": with_tag(700, 3, 1, b"ab"),
}


@pytest.mark.parametrize("name", TORN)
def test_the_picture_counts(tmp_path, name, caplog):
    TORN[name](tmp_path / name)
    image = read_image(tmp_path / name)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), PIXELS)
    for suffix in (".png", ".tif", ".jpg"):
        write_image(tmp_path / f"out{suffix}", take_apart(image).finish())
        read_image(tmp_path / f"out{suffix}")


@pytest.mark.parametrize(("kind", "value"), [(12, 1.5), (5, 2.5)])
@pytest.mark.parametrize("tag", [315, 33432])
def test_descriptions_of_another_kind_are_left_out(tmp_path, tag, kind, value, caplog):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[tag] = kind
    tags[tag] = value
    PICTURE.save(tmp_path / "a.tif", tiffinfo=tags)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.tif")), PIXELS)


@pytest.mark.parametrize(("tag", "kind"), [(259, 2), (262, 2), (258, 5)])
def test_what_says_how_pixels_are_stored_is_never_guessed(tmp_path, tag, kind):
    with_tag(tag, kind, 1, b"1")(tmp_path / "a.tif")
    try:
        found = np.asarray(read_image(tmp_path / "a.tif"))
    except ImageError:
        return
    np.testing.assert_array_equal(found, PIXELS)


def test_torn_pixels_stay_a_failure(tmp_path):
    with_chunk(b"zTXt", b"a\0\7nothing")(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("tags", [
    {256: 9, 257: 9, 258: 16, 262: 1, 277: 1}, {262: 5}, {339: 3}, {338: 1}, {284: 2}, {266: 2}, {259: 7}, {273: 5},
])  # fmt: skip
def test_what_an_editor_noted_of_its_own_file_does_not_reach_the_new_one(tmp_path, mode, tags):
    exif = Image.Exif()
    exif[271] = "a maker"
    for tag, value in tags.items():
        exif[tag] = value
    PICTURE.convert(mode).save(tmp_path / "a.png", exif=exif)
    image = read_image(tmp_path / "a.png")
    write_image(tmp_path / "a.tif", image)
    with Image.open(tmp_path / "a.tif") as back:
        assert back.mode == mode and back.getexif()[271] == "a maker"
        np.testing.assert_array_equal(np.asarray(back), np.asarray(PICTURE.convert(mode)))
