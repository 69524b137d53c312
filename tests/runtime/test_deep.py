"""16-bit colour and floats stay what they are, with their metadata; nothing else goes through libvips."""

import sys

import numpy as np
import pytest
import pyvips
from click.testing import CliRunner
from PIL import Image, ImageCms
from skimage import data

from pnen_runtime import BackendMissing, ImageError, deep, read_image, write_image
from pnen_runtime.cli import smooth

PHOTO = data.coffee()[100:140, 200:250]
FINE = (PHOTO.astype(np.uint16) * 257 + np.arange(50, dtype=np.uint16)[:, None] % 200).clip(0, 65535).astype(np.uint16)
ALPHA = np.dstack([FINE, np.linspace(0, 65535, 50).astype(np.uint16)[None].repeat(40, 0)])
FLOATS = (FINE / np.float32(65535)).astype(np.float32)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def run(model):
    return lambda *words, kind="invert": CliRunner().invoke(
        smooth, [*map(str, words), "-m", str(model(kind)), "--threads", "1"])  # fmt: skip


def pixels(path):
    return pyvips.Image.new_from_file(str(path)).numpy()


@pytest.mark.parametrize(("suffix", "array"), [
    (".png", FINE), (".png", ALPHA), (".tif", FINE), (".tif", ALPHA), (".tiff", FINE), (".tif", FLOATS),
])  # fmt: skip
def test_every_bit_goes_through_the_command(run, tmp_path, suffix, array):
    write_image(tmp_path / f"in{suffix}", array)
    np.testing.assert_array_equal(pixels(tmp_path / f"in{suffix}"), array)
    done = run(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")
    assert done.exit_code == 0 and not done.stderr and ("in 16 bits" in done.stdout) == (array.dtype == np.uint16)
    wanted = array.copy()
    seen = array[..., 3] > 0 if array.shape[2] == 4 else np.ones(array.shape[:2], bool)
    wanted[seen, :3] = (1 if array.dtype == np.float32 else 65535) - array[seen][:, :3]
    np.testing.assert_allclose(pixels(tmp_path / f"out{suffix}"), wanted, atol=1e-6)


def test_metadata_stay_and_the_picture_is_turned_upright(run, tmp_path):
    image = pyvips.Image.new_from_memory(FINE.tobytes(), 50, 40, 3, "ushort").copy(
        interpretation="rgb16", xres=4, yres=4
    )
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", PROFILE)
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.set_type(pyvips.GValue.gstr_type, "png-comment-0-Title", "coffee")
    for suffix in (".png", ".tif"):
        image.write_to_file(str(tmp_path / f"in{suffix}"))
        assert run(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", kind="identity").exit_code == 0
        found = pyvips.Image.new_from_file(str(tmp_path / f"out{suffix}"))
        assert found.get("icc-profile-data") == PROFILE and found.xres == pytest.approx(4, abs=0.01)
        turned = pyvips.Image.new_from_file(str(tmp_path / f"in{suffix}")).autorot().numpy()
        np.testing.assert_array_equal(found.numpy(), turned)
    assert Image.open(tmp_path / "out.png").text["Title"] == "coffee"


def test_a_format_that_cannot_hold_it_gets_8_bits_and_a_word(run, tmp_path, caplog):
    for name, array in (("fine.png", FINE), ("floats.tif", FLOATS)):  # floats in a PNG: 16 bits, below
        write_image(tmp_path / name, array)
        caplog.clear()
        done = run(tmp_path / name, tmp_path / "out.jpg", "--overwrite", kind="identity")
        assert done.exit_code == 0 and "8 bits" in caplog.text
        difference = np.abs(np.asarray(Image.open(tmp_path / "out.jpg")).astype(int) - PHOTO)
        assert difference.mean() < 3


@pytest.mark.parametrize(("name", "array", "line"), [
    ("out.jpg", FINE, "cannot hold uint16 in colour; write .tif"),
    ("out.png", FLOATS, "cannot hold float32 in colour; write .tif"),
])  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(tmp_path, name, array, line):
    with pytest.raises(ImageError, match=line):
        write_image(tmp_path / name, array)
    assert not list(tmp_path.iterdir())


def test_torn_files_are_one_line(run, tmp_path):
    for suffix in (".png", ".tif"):
        write_image(tmp_path / f"in{suffix}", FINE)
        whole = (tmp_path / f"in{suffix}").read_bytes()
        (tmp_path / f"in{suffix}").write_bytes(whole[: len(whole) // 2])
        done = run(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")
        assert done.exit_code == 1 and f"in{suffix}: " in done.stderr and not (tmp_path / f"out{suffix}").exists()


def test_floats_beyond_white_are_refused(run, tmp_path):
    write_image(tmp_path / "in.tif", 3 * FLOATS)
    done = run(tmp_path / "in.tif", tmp_path / "out.tif")
    assert done.exit_code == 1 and "in.tif: expected float32 values in [0, 1]" in done.stderr


def test_other_pictures_never_meet_libvips(tmp_path, monkeypatch):
    monkeypatch.setattr(deep, "libvips", lambda: pytest.fail("asked for"))
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    Image.fromarray(FINE[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg")
    for path in tmp_path.iterdir():
        assert deep.DeepPicture.read(path) is None


def test_without_libvips_it_is_said_what_is_lost(run, tmp_path, monkeypatch, caplog):
    write_image(tmp_path / "in.png", FINE)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    done = run(tmp_path / "in.png", tmp_path / "out.png", kind="identity")
    assert done.exit_code == 0 and 'pip install "pyvips[binary]"' in caplog.text
    assert read_image(tmp_path / "out.png").mode == "RGB"
    with pytest.raises(BackendMissing, match="needs libvips"):
        write_image(tmp_path / "more.png", FINE)


def test_torn_files_are_failures(run, tmp_path):
    for suffix, array in ((".png", FINE), (".tif", FINE), (".tif", FLOATS)):
        write_image(tmp_path / f"in{suffix}", array)
        data = (tmp_path / f"in{suffix}").read_bytes()
        (tmp_path / f"in{suffix}").write_bytes(data[: len(data) * 2 // 3])
        done = run(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")
        assert done.exit_code == 1 and not (tmp_path / f"out{suffix}").exists(), done.output


def test_grey_with_alpha_keeps_its_bits(run, tmp_path):
    grey = np.dstack([FINE[..., 0], np.full(FINE.shape[:2], 30_000, np.uint16)])
    write_image(tmp_path / "in.png", grey)
    assert run(tmp_path / "in.png", tmp_path / "out.png", "--mix", "0").exit_code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), grey)


def test_inks_of_16_bits_are_not_taken_for_colours(run, tmp_path):
    inks = np.random.default_rng(0).integers(0, 65536, (40, 50, 4), np.uint16)
    image = pyvips.Image.new_from_memory(inks.tobytes(), 50, 40, 4, "ushort").copy(interpretation="cmyk")
    image.tiffsave(str(tmp_path / "in.tif"))
    done = run(tmp_path / "in.tif", tmp_path / "out.tif", "--mix", "0")
    if done.exit_code == 0:
        found = pixels(tmp_path / "out.tif")
        plain = 255 * (1 - inks[..., :3] / 65535) * (1 - inks[..., 3:] / 65535)
        assert found.shape[2] == 3 and np.abs(found - plain).mean() < 3


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_upright_pictures_say_so_and_strip_leaves_nothing(run, tmp_path, suffix):
    image = pyvips.Image.new_from_memory(FINE.tobytes(), 50, 40, 3, "ushort").copy(interpretation="rgb16")
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", "a camera")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    (image.pngsave if suffix == ".png" else image.tiffsave)(str(tmp_path / f"in{suffix}"))
    assert run(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", "--mix", "0").exit_code == 0
    back = Image.open(tmp_path / f"out{suffix}")
    assert back.size == (40, 50) and back.getexif().get(274, 1) == 1
    assert run(tmp_path / f"in{suffix}", tmp_path / f"bare{suffix}", "--mix", "0", "--strip").exit_code == 0
    bare = Image.open(tmp_path / f"bare{suffix}")
    assert "icc_profile" not in bare.info and "exif" not in bare.info and 271 not in bare.getexif()
    kept, plain = pixels(tmp_path / f"out{suffix}").astype(int), pixels(tmp_path / f"bare{suffix}")
    assert np.abs(kept - plain).max() < 0.01 * 65535  # from sRGB to sRGB


def test_floats_become_16_bits_in_a_png_and_that_is_said(run, tmp_path, caplog):
    write_image(tmp_path / "in.tif", FLOATS)
    done = run(tmp_path / "in.tif", tmp_path / "out.png", "--compare", tmp_path / "both.png", kind="identity")
    assert done.exit_code == 0 and "rounded to 16 bits" in caplog.text and "in 16 bits" in done.stdout
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), FINE)
    assert np.asarray(Image.open(tmp_path / "both.png")).std() > 10


@pytest.mark.parametrize(("array", "turn"), [(FINE, 1), (ALPHA, 1), (FLOATS, 1), (FINE, 6)])
def test_pages_go_through_one_by_one(run, tmp_path, array, turn):
    height, width, bands = array.shape
    kind = "float" if array.dtype == np.float32 else "ushort"
    pages = [array, array[::-1], array[:, ::-1]]
    image = pyvips.Image.new_from_memory(np.concatenate(pages).tobytes(), width, 3 * height, bands, kind)
    image = image.copy(interpretation="scrgb" if kind == "float" else "rgb16")
    image.set_type(pyvips.GValue.gint_type, "orientation", turn)
    image.tiffsave(str(tmp_path / "in.tif"), page_height=height)
    done = run(tmp_path / "in.tif", tmp_path / "out.tif")
    assert done.exit_code == 0 and "3 frames" in done.stdout, done.stderr
    found = pyvips.Image.new_from_file(str(tmp_path / "out.tif"), n=-1)
    assert found.get("n-pages") == 3 and found.format == kind
    white = 1 if kind == "float" else 65535
    for page, was in zip(found.pagesplit(), pages, strict=True):
        upright = np.rot90(was, -1) if turn == 6 else was
        seen = upright[..., 3] > 0 if bands == 4 else np.ones(upright.shape[:2], bool)
        np.testing.assert_allclose(page.numpy()[seen][:, :3], white - upright[seen][:, :3], atol=1e-6)


def test_of_several_pages_a_png_gets_the_first_and_a_word(run, tmp_path, caplog):
    image = pyvips.Image.new_from_memory(np.concatenate([FINE, FINE]).tobytes(), 50, 80, 3, "ushort")
    image.copy(interpretation="rgb16").tiffsave(str(tmp_path / "in.tif"), page_height=40)
    assert run(tmp_path / "in.tif", tmp_path / "out.png", kind="identity").exit_code == 0
    assert "only the first of 2 frames" in caplog.text
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), FINE)


def test_pages_of_several_sizes_are_read_in_8_bits_with_a_word(run, tmp_path, caplog):
    first, second = tmp_path / "1.tif", tmp_path / "2.tif"
    write_image(first, FINE)
    write_image(second, np.ascontiguousarray(FINE[:30]))
    _join([first, second], tmp_path / "in.tif")
    done = run(tmp_path / "in.tif", tmp_path / "out.tif", kind="identity")
    assert done.exit_code == 0 and "as 8 bits" in caplog.text and "pages of one size" in caplog.text
    assert "2 frames" in done.stdout


def _join(files, out):
    import tifffile

    with tifffile.TiffWriter(out) as writer:
        for file in files:
            writer.write(tifffile.imread(file), photometric="rgb", compression="none")


def test_planes_that_pillow_misreads_are_rounded_from_what_libvips_reads(run, tmp_path, caplog):
    import tifffile

    tifffile.imwrite(tmp_path / "in.tif", np.moveaxis(FINE, -1, 0).copy(), photometric="rgb", planarconfig="separate")
    for out in ("out.png", "out.webp"):
        done = run(tmp_path / "in.tif", tmp_path / out, kind="identity")
        assert done.exit_code == 0, done.output
    assert "rounded to 8 bits" in caplog.text
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), FINE)
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "out.webp")), FINE / 257, atol=0.51)
