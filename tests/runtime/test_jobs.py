"""Several pictures, folders in folders, pipes, formats: where each result goes, and that nothing is lost."""

import io
import subprocess
import sys
import types

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from skimage import data

import pnen_runtime
from pnen_runtime import ImageError, Smoother, UsageError, read_image, write_image
from pnen_runtime.cli import smooth
from pnen_runtime.jobs import find_jobs
from pnen_runtime.photo import read_frames

PHOTO = data.coffee()[100:164, 200:280]


@pytest.fixture
def tree(tmp_path):
    """photos/a.png, photos/day/b.png, photos/day/night/c.png and a note."""
    root = tmp_path / "photos"
    (root / "day" / "night").mkdir(parents=True)
    for number, name in enumerate(("a.png", "day/b.png", "day/night/c.png")):
        Image.fromarray(PHOTO[:, number:]).save(root / name)
    (root / "day" / "notes.txt").write_text("hello")
    return root


@pytest.fixture
def run(model):
    """run(words..., kind="invert") → the finished command with a toy model."""
    return lambda *words, kind="invert", **more: CliRunner().invoke(
        smooth, [*map(str, words), "-m", str(model(kind)), "--threads", "1"], **more)  # fmt: skip


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_tree_becomes_the_same_tree_and_is_gone_on_with(run, tree, tmp_path):
    out = tmp_path / "out"
    assert run(tree, out).exit_code == 0 and names(out) == ["a.png"]
    done = run(tree, out, "--recursive")
    assert done.exit_code == 0 and names(out) == ["a.png", "day/b.png", "day/night/c.png"]
    assert (
        "skipped 1 of 3: their results are there already" in done.stderr
        and "notes.txt: no picture of a kind" in done.stderr
    )
    for name in names(out):
        np.testing.assert_array_equal(pixels(out / name), 255 - pixels(tree / name))
    (out / "a.png").write_bytes(b"mine")
    assert run(tree, out, "-r").exit_code == 0 and (out / "a.png").read_bytes() == b"mine"
    assert run(tree, out, "-r", "--overwrite").exit_code == 0 and pixels(out / "a.png").shape == PHOTO.shape


def test_results_inside_the_folder_are_not_taken_for_pictures(run, tree):
    out = tree / "day" / "out"
    for _ in range(2):
        assert run(tree, out, "-r", "--overwrite").exit_code == 0
        assert names(out) == ["a.png", "day/b.png", "day/night/c.png"]


def test_several_files_and_folders_go_into_one(run, tree, tmp_path):
    done = run(tree / "a.png", tree / "day", tmp_path / "out")
    assert done.exit_code == 0 and names(tmp_path / "out") == ["a.png", "b.png"]


@pytest.mark.parametrize(("words", "line"), [
    (["photos/a.png", "photos/day/b.png", "photos/a.png"], "several pictures go into a folder, and photos/a.png is a"),
    (["photos/a.png", "other/a.png", "out"], "photos/a.png and other/a.png would both become out/a.png"),
    (["photos", "photos"], "photos/a.png would be overwritten; choose another OUT, or add --overwrite"),
    (["photos", "-"], "expected one picture with -"),
    (["-", "photos"], "photos is a folder; name the file"),
    (["photos/a.png", "out.png", "--detail", "1", "--mix", "0.5"], "expected --detail with a model that smooths"),
    (["photos/a.png", "out.png", "--format", "webp"], "out.png does not end in .webp, as --format says"),
    (["photos/a.png", "out.png", "--quality", "80"], "expected --quality with JPEG, AVIF, WEBP, got PNG"),
])  # fmt: skip
def test_what_cannot_be_is_one_line_and_writes_nothing(run, tree, tmp_path, monkeypatch, words, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").write_bytes((tree / "a.png").read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = run(*words)
    assert done.exit_code == 2 and line in done.stderr, done.stderr
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".onnx"}
    assert after == before


def test_pictures_go_through_pipes(run, tree):
    given = (tree / "a.png").read_bytes()
    done = run("-", "-", input=given)
    assert done.exit_code == 0, done.stderr
    np.testing.assert_array_equal(pixels(io.BytesIO(done.stdout_bytes)), 255 - PHOTO.astype(int))
    assert "toy for" in done.stderr and "- -> -  80x64" in done.stderr
    webp = run(tree / "a.png", "-", "--format", "webp")
    with Image.open(io.BytesIO(webp.stdout_bytes)) as image:
        assert image.format == "WEBP"
    broken = run("-", "-", input=b"no picture")
    assert broken.exit_code == 1 and not broken.stdout_bytes and len(broken.stderr.strip().splitlines()) == 2


def test_a_folder_in_another_format(run, tree, tmp_path):
    assert run(tree, tmp_path / "out", "-r", "--format", "webp").exit_code == 0
    assert names(tmp_path / "out") == ["a.webp", "day/b.webp", "day/night/c.webp"]
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "a.webp"), 255 - PHOTO.astype(int))  # without loss


@pytest.mark.parametrize(("suffix", "level"), [(".webp", np.inf), (".avif", 44), (".jpg", 40)])
def test_what_is_written_by_default_loses_nothing_that_shows(tmp_path, suffix, level):
    sizes = []
    for quality in (None, 60):
        write_image(tmp_path / f"out{suffix}", PHOTO, quality=quality)
        error = np.mean((pixels(tmp_path / f"out{suffix}") - PHOTO) ** 2)
        found = np.inf if error == 0 else 10 * np.log10(255**2 / error)
        assert found >= level if quality is None else found < level
        sizes.append((tmp_path / f"out{suffix}").stat().st_size)
    assert sizes[1] < sizes[0]


def test_detail_is_the_picture_and_what_smoothing_takes_away(run, model, tree, tmp_path):
    assert run(tree / "a.png", tmp_path / "out.png", "--detail", "0.5", kind="flat").exit_code == 0
    wanted = np.clip(1.5 * PHOTO.astype(float), 0, 255)  # the flat model gives black, so all is detail
    np.testing.assert_allclose(pixels(tmp_path / "out.png"), wanted, atol=0.51)
    assert run(tree / "a.png", tmp_path / "same.png", "--detail", "0", kind="flat").exit_code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "same.png"), PHOTO)
    with Smoother(model("flat")) as smoother:
        for wrong in ({"detail": -1}, {"detail": np.nan}, {"detail": 1, "mix": 0.5}):
            with pytest.raises(UsageError, match="expected detail from 0 on"):
                smoother.run(PHOTO, **wrong)


def test_bytes_and_file_objects_are_pictures(model, tree):
    data = (tree / "a.png").read_bytes()
    with Smoother(model("invert")) as smoother:
        for given in (data, bytearray(data), io.BytesIO(data), (tree / "a.png").open("rb")):
            np.testing.assert_array_equal(np.asarray(smoother.run(given)), 255 - PHOTO)
    with pytest.raises(ImageError, match="the picture: expected an image"):
        read_image(b"no")


def test_the_package_is_the_command():
    done = subprocess.run([sys.executable, "-m", "pnen_runtime", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == f"python -m pnen_runtime {pnen_runtime.__version__}\n"


def test_links_in_circles_are_left_out(run, tree, tmp_path):
    for name in ("loop", "again"):
        (tree / "day" / name).symlink_to(tree)
    done = run("--recursive", tree, tmp_path / "out")
    assert done.exit_code == 0 and names(tmp_path / "out") == ["a.png", "day/b.png", "day/night/c.png"]
    assert "loop: a link back to a folder that it is in" in done.stderr


def test_a_picture_that_is_too_large_or_does_not_fit_its_map_costs_itself_alone(run, tree, tmp_path, monkeypatch):
    def read(path, *words):
        if path.name == "b.png":
            raise MemoryError
        return read_frames(path, *words)

    monkeypatch.setattr("pnen_runtime.one_picture.read_frames", read)
    done = run("--recursive", tree, tmp_path / "out")
    assert done.exit_code == 1 and names(tmp_path / "out") == ["a.png", "day/night/c.png"]
    assert "b.png: not enough memory" in done.stderr and "1 of 3 pictures failed: b.png" in done.stderr
    Image.new("L", (80, 64)).save(tmp_path / "mask.png")  # of the first picture's size
    done = run("--recursive", tree, tmp_path / "mapped", "--strength-map", tmp_path / "mask.png", kind="dim")
    assert done.exit_code == 1 and names(tmp_path / "mapped") == ["a.png"] and "2 of 3 pictures failed" in done.stderr


def test_a_file_where_a_folder_is_needed_costs_the_pictures_of_that_folder(run, tree, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "day").write_text("a note")
    done = run("--recursive", tree, tmp_path / "out")
    assert done.exit_code == 1 and "a.png" in names(tmp_path / "out")
    assert done.stderr.count("its folder cannot be made") == 2 and (tmp_path / "out" / "day").read_text() == "a note"


def test_more_threads_than_cores_are_no_more(caplog):
    with Smoother("l0-fast", threads=100_000) as smoother:
        assert smoother.run(PHOTO).shape == PHOTO.shape
    assert "100000 threads are asked for" in caplog.text


@pytest.mark.parametrize("size", ["9" * 5000 + "x2", "9" * 400 + "x2", "2x0", "x", "2"])
def test_a_size_of_raw_frames_is_a_size(run, size):
    assert run("-", "-", "--raw", size, input=b"").exit_code == 2


def test_a_name_that_ends_in_a_slash_is_a_folder(run, tree, tmp_path):
    assert run(tree / "a.png", f"{tmp_path}/new/").exit_code == 0
    assert run("-o", f"{tmp_path}/other/", tree / "a.png", "--format", "webp").exit_code == 0
    assert names(tmp_path / "new") == ["a.png"] and names(tmp_path / "other") == ["a.webp"]


def test_photos_that_are_only_read_become_jpegs_and_what_is_missing_is_a_failure(run, tree, tmp_path):
    (tree / "IMG_2.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tree / "gone.png").symlink_to(tree / "nowhere")
    done = run(tree, tmp_path / "out")
    assert done.exit_code == 1 and names(tmp_path / "out") == ["a.png"] and "IMG_2.heic" in done.stderr
    assert "gone.png: a link that leads nowhere" in done.stderr
    read = find_jobs([tree], tmp_path / "out")
    assert (tree / "IMG_2.heic", tmp_path / "out" / "IMG_2.jpg") in read


def test_a_heic_photo_is_read_where_the_plug_in_is(tmp_path, monkeypatch):
    called = []
    module = types.ModuleType("pillow_heif")
    module.register_heif_opener = lambda: called.append(1)
    monkeypatch.setitem(sys.modules, "pillow_heif", module)
    (tmp_path / "a.heic").write_bytes(b"nothing")
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.heic")
    assert called
