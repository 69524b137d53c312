"""What the service gives is, byte for byte, the file that pnen-smooth writes."""

import io

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from pnen_runtime import Smoother
from pnen_runtime.cli import smooth
from pnen_runtime.deep import libvips

from .conftest import file_of, noise


def with_metadata():
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "words", 6  # to be turned
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return file_of(noise(1), "JPEG", exif=exif, icc_profile=profile, dpi=(300, 300))


def deep(mode):
    vips = libvips()
    if vips is None:
        pytest.skip("needs libvips")
    values = np.random.default_rng(3).integers(0, 65536, (24, 32, 3 if mode == "RGB" else 4), np.uint16)
    image = vips.Image.new_from_memory(values.data, 32, 24, values.shape[2], "ushort").copy(interpretation="rgb16")
    return image.pngsave_buffer(bitdepth=16)


def animation():
    return file_of(noise(4), "GIF", save_all=True, append_images=[noise(5), noise(6)], duration=[40, 50, 60], loop=3)


GIVEN = {
    "photo": (with_metadata, ".jpg"),
    "grey": (lambda: file_of(noise(1, mode="L")), ".png"),
    "alpha": (lambda: file_of(noise(1, mode="RGBA")), ".png"),
    "grey and alpha": (lambda: file_of(noise(1, mode="LA")), ".png"),
    "palette": (lambda: file_of(noise(1).quantize(16), transparency=3), ".png"),
    "print": (lambda: file_of(noise(1, mode="CMYK"), "TIFF"), ".tif"),
    "16 bits, grey": (lambda: file_of(Image.fromarray(np.arange(768, dtype=np.uint16).reshape(24, 32) * 80)), ".png"),
    "16 bits, colour": (lambda: deep("RGB"), ".png"),
    "16 bits, alpha": (lambda: deep("RGBA"), ".png"),
    "moving": (animation, ".gif"),
}  # fmt: skip
QUERIES = [
    "", "strength=0.1", "mix=0.5&format=png", "detail=1.5&format=tif", "format=webp&quality=60", "format=JPG&quality=3",
    "model=wmf-fast&format=gif", "model=denoise", "model=denoise&strength=12.5", "model=denoise&strength=auto",
    "model=enlarge2&mix=0.7", "model=enlarge2&format=jpg", "format=tif", "format=png",
]  # fmt: skip


def by_command(data, suffix, query, folder):
    """The bytes of the file that the command writes, or its line on stderr."""
    asked = dict(part.split("=") for part in query.split("&") if part)
    kind = asked.pop("format", "png").lower()
    picture, result = folder / f"in{suffix}", folder / f"out.{kind}"
    picture.write_bytes(data)
    words = [word for name, value in ({"model": "l0-fast"} | asked).items() for word in (f"--{name}", value)]
    done = CliRunner().invoke(smooth, [str(picture), str(result), *words, "--threads", "1"])
    return result.read_bytes() if done.exit_code == 0 else None


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("name", GIVEN)
def test_it_is_the_command_s_file(client, tmp_path, name, query):
    make, suffix = GIVEN[name]
    data = make()
    status, headers, found = client.ask(f"/smooth?{query}", data)
    wanted = by_command(data, suffix, query, tmp_path)
    if wanted is None:  # a format that does not hold such a picture
        assert status == 422 and b"cannot hold" in found
        return
    assert status == 200 and found == wanted, found[:200]
    assert headers["Content-Type"].startswith("image/") and headers["Pnen-Model"] in query + "l0-fast"
    if "model=denoise" in query and "strength=1" not in query:
        assert float(headers["Pnen-Strength"]) >= 0


def test_16_bits_go_through_pipes_too(tmp_path):
    data = deep("RGB")
    done = CliRunner().invoke(smooth, ["-", "-", "--model", "l0-fast", "--threads", "1"], input=data)
    assert done.exit_code == 0 and done.stdout_bytes == by_command(data, ".png", "", tmp_path)
    assert done.stdout_bytes[24] == 16  # bits


@pytest.mark.parametrize("name", ["photo", "16 bits, colour", "moving"])
def test_a_form_is_the_same(client, name):
    data = GIVEN[name][0]()
    head = b'--xyz\r\nContent-Disposition: form-data; name="a"; filename="../../b.jpg"\r\n\r\n'
    kind = {"Content-Type": 'multipart/form-data; boundary="xyz"'}
    form = client.ask("/smooth?mix=0.5", head + data + b"\r\n--xyz--\r\n", kind)
    assert form[0] == 200 and form[2] == client.ask("/smooth?mix=0.5", data)[2]


def test_a_body_without_a_length_is_the_same(client):
    data = file_of(noise(8))
    status, _, found = client.ask("/smooth", iter([data[:100], data[100:]]))
    with Smoother("l0-fast", threads=1) as smoother:
        wanted = np.asarray(smoother.run(noise(8)))
    assert status == 200 and np.array_equal(np.asarray(Image.open(io.BytesIO(found))), wanted)


def test_what_a_format_does_not_take_is_named(client):
    words = PngInfo()
    words.add_text("Title", "a\u00e9")
    status, headers, _ = client.ask("/smooth?format=jpg", file_of(noise(1), pnginfo=words))
    assert status == 200 and "without the text of the original, which JPEG cannot take" in headers["Pnen-Note"]
    assert "Pnen-Note" not in client.ask("/smooth", file_of(noise(1)))[1]
