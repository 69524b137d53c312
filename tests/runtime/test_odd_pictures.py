"""The command on folders and names that are odd: one picture may fail, nothing else does."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_runtime import ImageError, files, read_image
from pnen_runtime.cli import smooth
from pnen_runtime.commands import printable
from pnen_runtime.files import write_text

GOOD = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8))
SMOOTH = "from pnen_runtime.cli import smooth; smooth()"


def run(*args):
    return CliRunner().invoke(smooth, [str(argument) for argument in args])


def tiff_with(path: Path, **tags: object) -> None:
    GOOD.save(path, "TIFF", **tags)


def png_with_dots(path: Path, per_metre: int) -> None:
    GOOD.save(path, "PNG")
    data, chunk = path.read_bytes(), b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
    head = struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(data[:33] + head + data[33:])


def no_dots(path: Path) -> None:
    """A TIFF whose resolution is 0/0."""
    tiff_with(path, dpi=(72, 72))
    data = bytearray(path.read_bytes())
    for begin in range(len(data) - 8):
        if data[begin : begin + 8] in (struct.pack("<II", 72, 1), struct.pack(">II", 72, 1)):
            data[begin : begin + 8] = bytes(8)
    path.write_bytes(data)


ODD = {
    "torn exif.tif": lambda path: GOOD.save(path, "PNG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12"),
    "no exif.tif": lambda path: GOOD.save(path, "PNG", exif=b"nonsense"),
    "no exif.png": lambda path: GOOD.save(path, "WEBP", exif=b"nonsense", lossless=True),
    "largest resolution.png": lambda path: png_with_dots(path, 2**32 - 1),
    "largest resolution.jpg": lambda path: png_with_dots(path, 2**32 - 1),
    "largest resolution.tif": lambda path: png_with_dots(path, 2**32 - 1),
    "no resolution.tif": no_dots,
    "no resolution.jpg": no_dots,
    "fax.tif": lambda path: GOOD.convert("1").save(path, "TIFF", compression="group4"),
    "deep.webp": lambda path: Image.new("I;16", GOOD.size).save(path, "PNG"),
    f"{'n' * 246}.png": lambda path: GOOD.save(path, "PNG"),
    "red \x1b[31m.png": lambda path: GOOD.save(path, "PNG"),
    os.fsdecode(b"not utf-8 \xff.png"): lambda path: GOOD.save(path, "PNG"),
    "line\nbreak.png": lambda path: GOOD.save(path, "PNG"),
}
BAD = {
    "torn.png": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"),
    "eps.png": lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"),
    "long.webp": lambda path: Image.new("L", (16, 16384)).save(path, "PNG"),
    "long.gif": lambda path: Image.new("L", (16, 65536)).save(path, "PNG"),
    "long.tga": lambda path: Image.new("L", (16, 65536)).save(path, "PNG"),
    "long.avif": lambda path: Image.new("L", (16, 32769)).save(path, "PNG"),
    "alpha.bmp": lambda path: Image.new("RGBA", (20, 20)).save(path, "PNG"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_a_folder_is_smoothed_but_for_the_pictures_that_cannot_be_and_those_are_named(model, tmp_path, encoding):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name, write in {**ODD, **BAD}.items():
        write(source / name)
    (source / "._hidden.png").write_bytes(b"of another system")
    (target / "taken.png").mkdir(parents=True)
    GOOD.save(source / "taken.png")
    environment = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path)), "PYTHONIOENCODING": encoding}
    words = [sys.executable, "-c", SMOOTH, source, target, "--model", model(), "--force", "--threads", "1"]
    done = subprocess.run(words, env=environment, capture_output=True)
    said = done.stderr.decode(encoding)
    assert done.returncode == 1 and "Traceback" not in said and "unexpected" not in said
    failed = said.splitlines()[-1].partition("pictures failed: ")[2].split(", ")
    assert sorted(failed) == sorted([*BAD, "taken.png"])
    assert {path.name for path in target.iterdir()} == {*ODD, "taken.png"}
    for name in ODD:
        assert Image.open(target / name).size == (24, 20)
    assert b"\x1b" not in done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 1 + len(ODD)
    assert all(f"failed {source / name}" in said or f"failed {target / name}" in said for name in failed)


def test_what_the_terminal_would_obey_is_shown_instead():
    assert printable("a\x1b[31m\n\x9b\u202e\udcff é 猫") == "a\\x1b[31m\\n\\x9b\\u202e\\udcff é 猫"


def test_a_card_cannot_write_to_the_terminal(write, card, tmp_path):
    GOOD.save(tmp_path / "in.png")
    evil = write(tmp_path / "evil.onnx", "identity", card(network="\x1b]0;evil\x07", task={"filter": "\x1b[2J"}))
    result = run(tmp_path / "in.png", tmp_path / "out.png", "--model", evil)
    assert result.exit_code == 0 and "\\x1b]0;evil" in result.stdout and "\x1b" not in result.output


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
def test_a_link_that_leads_nowhere_is_not_followed_without_force(model, tmp_path):
    GOOD.save(tmp_path / "in.png")
    link, elsewhere = tmp_path / "out.png", tmp_path / "elsewhere.png"
    link.symlink_to(elsewhere)
    result = run(tmp_path / "in.png", link, "--model", model())
    assert result.exit_code == 2 and "--overwrite" in result.stderr and not elsewhere.exists()
    assert run(tmp_path / "in.png", link, "--model", model(), "--force").exit_code == 0 and elsewhere.exists()


def test_a_folder_that_may_be_written_but_not_read_is_no_failure(tmp_path, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(files.os, "open", refuse)
    write_text(tmp_path / "a.txt", "text")
    assert (tmp_path / "a.txt").read_text() == "text"


@pytest.mark.parametrize("length", [250, 255])
def test_the_longest_names_can_be_written(tmp_path, length):
    for name in ("n" * (length - 4) + ".txt", "n." + "s" * (length - 2)):
        write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"


def test_pictures_of_any_size_are_for_the_command_and_the_api_says_how(model, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    GOOD.save(tmp_path / "in.png")
    with pytest.raises(ImageError, match=r"set PIL.Image.MAX_IMAGE_PIXELS = None"):
        read_image(tmp_path / "in.png")
    result = run(tmp_path / "in.png", tmp_path / "out.png", "--model", model())
    assert result.exit_code == 0 and not result.stderr
