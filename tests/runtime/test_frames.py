"""Animations and files of several pages: every frame, with its time."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_runtime import read_image
from pnen_runtime.cli import smooth
from pnen_runtime.photo import read_frames

ANIMATED, TIMES = (".gif", ".webp", ".png", ".avif"), [100, 200, 300, 400]


def frames(mode):
    """A square that moves over greys; where the mode has alpha, the top is clear and black."""
    made = []
    for number in range(4):
        pixels = np.full((32, 48, 4), 255, np.uint8)
        pixels[..., :3] = 40 + 30 * number
        pixels[10:26, 4 + 8 * number : 20 + 8 * number, 0] = 250
        pixels[:8] = 0 if mode == "RGBA" else 255
        made.append(Image.fromarray(pixels).convert(mode))
    return made


def write(path, mode):
    first, *rest = frames(mode)
    more = {} if path.suffix == ".tif" else {"duration": TIMES, "loop": 2}
    if path.suffix == ".webp":
        more["lossless"] = True
        more["kmax"] = 1
    first.save(path, save_all=True, append_images=rest, disposal=2, **more)


def run(*words):
    result = CliRunner().invoke(smooth, [*map(str, words), "--threads", "1"])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("target", ANIMATED)
@pytest.mark.parametrize("source", ANIMATED)
def test_an_animation_stays_one(model, tmp_path, source, target, mode):
    write(tmp_path / f"a{source}", mode)
    given = read_frames(tmp_path / f"a{source}", "GIF")
    assert len(given) == 4
    result = run(tmp_path / f"a{source}", tmp_path / f"b{target}", "-m", model("invert"))
    assert "4 frames" in result.stdout
    with Image.open(tmp_path / f"b{target}") as back:
        assert back.n_frames == 4 and (back.info.get("loop") == 2 or ".avif" in (source, target))
        for number, frame in enumerate(given):
            back.seek(number)
            back.load()
            assert back.info["duration"] == TIMES[number]
            was, found = (np.asarray(image.convert("RGBA")).astype(int) for image in (frame, back))
            np.testing.assert_array_equal(found[..., 3], was[..., 3])
            seen, lossless = was[..., 3] > 0, target in (".webp", ".png")
            error = np.abs(found - (255 - was))[..., :3][seen]
            assert error.max() <= (0 if lossless else 30) and error.mean() < 3  # palettes and AVIF


def test_pages_stay_pages_and_become_no_animation(model, tmp_path, caplog):
    write(tmp_path / "a.tif", "RGB")
    run(tmp_path / "a.tif", tmp_path / "b.tif", "-m", model("invert"))
    with Image.open(tmp_path / "b.tif") as back:
        assert back.n_frames == 4
        for number, page in enumerate(frames("RGB")):
            back.seek(number)
            np.testing.assert_array_equal(np.asarray(back), 255 - np.asarray(page))
    run(tmp_path / "a.tif", tmp_path / "b.gif", "-m", model("invert"))
    assert Image.open(tmp_path / "b.gif").n_frames == 1 and "only the first of 4 frames" in caplog.text


def test_a_format_of_one_picture_and_a_program_get_the_first_frame(model, tmp_path, caplog):
    write(tmp_path / "a.webp", "RGB")
    run(tmp_path / "a.webp", tmp_path / "b.jpg", "-m", model("invert"))
    assert "only the first of 4 frames" in caplog.text
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.webp")), np.asarray(frames("RGB")[0]))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("suffix", [".tif", ".png", ".gif", ".webp"])
def test_what_is_cut_off_is_never_a_shorter_one(model, tmp_path, suffix, share, caplog):
    write(tmp_path / f"a{suffix}", "RGB")
    data = (tmp_path / f"a{suffix}").read_bytes()
    (tmp_path / f"a{suffix}").write_bytes(data[: int(len(data) * share)])
    words = [str(tmp_path / f"a{suffix}"), str(tmp_path / f"b{suffix}"), "-m", str(model("invert"))]
    result = CliRunner().invoke(smooth, words)
    failed = result.exit_code == 1 and not (tmp_path / f"b{suffix}").exists()
    assert failed or (suffix == ".gif" and "as if it were cut off" in caplog.text), result.output


def test_a_transparent_gif_keeps_its_colours(model, tmp_path):
    colours = np.stack(np.meshgrid([0, 80, 160, 240], [0, 80, 160, 240], [0, 80, 160, 240]), -1).reshape(8, 8, 3)
    pixels = np.dstack([colours.repeat(5, 0).repeat(5, 1), np.full((40, 40), 255)]).astype(np.uint8)
    pixels[:5, :5, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    run(tmp_path / "a.png", tmp_path / "b.gif", "-m", model("invert"), "--mix", "0")
    found = np.asarray(Image.open(tmp_path / "b.gif").convert("RGBA"))
    seen = pixels[..., 3] > 0
    np.testing.assert_array_equal(found[seen], pixels[seen])
    assert (found[~seen][:, 3] == 0).all()
