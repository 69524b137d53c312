"""What a person may do by mistake: no file is lost by it, what fails costs itself alone, all is said at once."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image
from skimage import data

from pnen_runtime import bundled_models
from pnen_runtime.cli import smooth

PHOTO = data.coffee()[100:140, 200:250]


@pytest.fixture
def run(model):
    return lambda *words: CliRunner().invoke(
        smooth, [*map(str, words), "-m", str(model("invert")), "--threads", "1"])  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder, with photos/a.png, photos/a.jpg, photos/b.png, photos/b.webp, photos/c.png."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("a.png", "a.jpg", "b.png", "b.webp", "c.png"):
        Image.fromarray(PHOTO).save(f"photos/{name}")
    return tmp_path


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
@pytest.mark.parametrize(("words", "line"), [
    (["photos/a.jpg", "out.jpg", "--compare", "out.jpg"], "out.jpg is IN or OUT"),
    (["photos/a.jpg", "out.jpg", "--compare", "./photos/../out.jpg"], "out.jpg is IN or OUT"),
    (["photos/a.jpg", "out.jpg", "--compare", "photos/a.jpg"], "photos/a.jpg is IN or OUT"),
    (["photos/a.jpg", "out.jpg", "--compare", "link.jpg"], "link.jpg is IN or OUT"),
    (["photos/a.jpg", "out.jpg", "--compare", "nowhere/b.jpg"], "nowhere is no folder"),
    (["photos/a.jpg", "photos/c.png", "out.jpg"], "out.jpg is a file's name; a folder's is out.jpg/"),
    (["photos", "film.mp4"], "film.mp4 is a file's name; a folder's is film.mp4/"),
])  # fmt: skip
def test_a_name_that_is_a_slip_is_wrong_usage_and_costs_no_file(run, here, words, line, more):
    (here / "link.jpg").symlink_to("photos/a.jpg")
    before = {path: path.read_bytes() for path in here.rglob("*.*") if path.suffix != ".onnx"}
    done = run(*words, *more)
    assert done.exit_code == 2 and line in done.stderr, done.stderr
    assert {path: path.read_bytes() for path in here.rglob("*.*") if path.suffix != ".onnx"} == before


def test_all_results_of_one_name_are_said_at_once(run, here):
    done = run("photos", "out", "--format", "webp")
    assert done.exit_code == 2 and not (here / "out").exists()
    assert "photos/a.jpg and photos/a.png would both become out/a.webp, " in done.stderr
    assert ", photos/b.png and photos/b.webp out/b.webp; smooth them one by one" in done.stderr
    assert "c.webp" not in done.stderr


def test_a_format_is_named_in_any_case(run, here):
    assert run("photos/c.png", "out/", "--format", "WebP").exit_code == 0
    assert Image.open("out/c.webp").format == "WEBP"


def test_a_folder_that_may_not_be_read_costs_itself_alone(run, here, monkeypatch):
    (here / "photos" / "locked").mkdir()
    listed = Path.iterdir

    def refused(folder):
        if folder.name == "locked":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refused)
    for _ in range(2):
        done = run("-r", "photos", "out")
        assert done.exit_code == 1 and "failed photos/locked: Permission denied" in done.stderr
        assert "folders that could not be read: photos/locked" in done.stderr.splitlines()[-1]
        assert len(list((here / "out").iterdir())) == 5
    alone = run("photos/locked", "other")
    assert alone.exit_code == 1 and alone.stderr.splitlines()[-1] == "Error: photos/locked cannot be read"


def test_a_link_to_a_folder_above_the_one_asked_for_is_left_out(run, here):
    (here / "photos" / "day").mkdir()
    Image.fromarray(PHOTO).save("photos/day/d.png")
    (here / "photos" / "day" / "up").symlink_to("..")
    done = run("-r", "photos/day", "out")
    assert done.exit_code == 0 and "up: a link back to a folder that it is in" in done.stderr
    assert [path.name for path in (here / "out").rglob("*")] == ["d.png"]


def test_a_disk_that_takes_no_folder_ends_it_at_once(run, here, monkeypatch):
    def refused(folder, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(folder))

    monkeypatch.setattr(Path, "mkdir", refused)
    done = run("photos", "out")
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1 and "Read-only file system" in done.stderr


def test_a_large_tiff_keeps_its_words(run, here, caplog):
    tifffile.imwrite("a.tif", PHOTO, photometric="rgb", bigtiff=True, extratags=[(315, "s", 0, "a person")])
    assert run("a.tif", "out.tif").exit_code == 0 and not caplog.text
    with Image.open("out.tif") as back:
        assert back.getexif()[315] == "a person"
        np.testing.assert_array_equal(np.asarray(back), 255 - PHOTO)


ONCE_AND_OTHERWISE = [["--mix", "0.5"], ["--repeat", "2"], ["--detail", "1"], ["--strip"], ["-m", "other"]]


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="extended attributes as Linux has them")
@pytest.mark.parametrize("more", ONCE_AND_OTHERWISE, ids=" ".join)
def test_a_folder_done_with_other_settings_is_not_called_done(run, model, here, more):
    more = [str(model("identity")) if word == "other" else word for word in more]
    assert run("photos", "out").exit_code == 0
    try:
        os.setxattr("out/c.png", "user.probe", b"")
    except OSError:
        pytest.skip("a file system without extended attributes")
    again = run("photos", "out")
    assert again.exit_code == 0 and "skipped 5 of 5" in again.stderr
    Path("out/c.png").unlink()
    before = Path("out/b.png").read_bytes()
    done = CliRunner().invoke(smooth, ["photos", "out", "-m", str(model("invert")), "--threads", "1", *more])
    assert done.exit_code == 1 and "got 4 that are there of other settings (invert.onnx); --overwrite" in done.stderr
    assert Path("out/c.png").exists() and Path("out/b.png").read_bytes() == before
    words = ["photos", "out", "-m", str(model("invert")), "--threads", "1", *more]
    assert CliRunner().invoke(smooth, [*words, "--overwrite"]).exit_code == 0
    assert CliRunner().invoke(smooth, words).exit_code == 0


def test_what_others_made_is_left_without_a_failure(run, here):
    (here / "out").mkdir()
    Path("out/c.png").write_bytes(b"mine")
    done = run("photos", "out")
    assert done.exit_code == 0 and Path("out/c.png").read_bytes() == b"mine"


@pytest.mark.parametrize("words", [["--list", "--json"], ["--json", "--list"], ["a.png", "--list", "b.png", "--json"]])
def test_the_list_is_json_where_that_is_asked_for(words):
    done = CliRunner().invoke(smooth, words)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0 and [row["model"] for row in rows if "model" in row] == list(bundled_models())
    assert [row["filter"] for row in rows if "filter" in row] == ["l0", "wmf", "sd"]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("suffix", ["jpg", "bmp"])
def test_clear_pixels_are_refused_in_words_where_the_format_has_none(run, here, mode, suffix):
    image = Image.fromarray(PHOTO)
    image = image.quantize(8) if mode == "P" else image.convert(mode)
    image.save("photos/clear.png", **({"transparency": 3} if mode == "P" else {}))
    done = run("photos/clear.png", "photos/c.png", "out", "--format", suffix)
    assert done.exit_code == 1 and "cannot hold its transparency; write .png, .webp or .tif" in done.stderr
    assert [path.name for path in (here / "out").iterdir()] == [f"c.{suffix}"]
