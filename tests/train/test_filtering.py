"""`filter` on files and folders: every kind of picture, resumable, never mixing settings."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_runtime.cli import smooth
from pnen_runtime.errors import ImageError, UsageError
from pnen_train.cli import main
from pnen_train.data import filtering
from pnen_train.data.filtering import filter_files
from pnen_train.data.filters import FILTERS, STRENGTH, filter_image
from pnen_train.data.targets import find_images


def test_a_file_becomes_the_training_target_of_the_same_pixels(images, tmp_path, photo, maker):
    out = tmp_path / "out.png"
    assert filter_files("l0", {}, [images / "coffee.png"], out, folder=False) == [out]
    np.testing.assert_array_equal(np.asarray(Image.open(out)), maker.target(photo("coffee")))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "I;16", "P", "1"])
def test_every_kind_of_picture_comes_back_as_its_kind(tmp_path, photo, mode):
    rgb = Image.fromarray(photo("coffee"))
    grey = np.asarray(rgb.convert("L"))
    if mode == "I;16":
        source = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        source = rgb.convert("LA" if mode == "LA" else mode)
    if mode in ("LA", "RGBA"):
        source.putalpha(Image.fromarray(grey))
    source.save(tmp_path / "in.png")
    filter_files("l0", {}, [tmp_path / "in.png"], tmp_path / "out.png", folder=False)
    result = Image.open(tmp_path / "out.png")
    assert result.size == rgb.size
    assert result.mode == {"P": "RGB", "1": "L"}.get(mode, mode)
    if mode in ("LA", "RGBA"):
        np.testing.assert_array_equal(np.asarray(result)[..., -1], grey)
    if mode in ("L", "LA", "I;16"):
        expected = filter_image(np.repeat(grey[..., None], 3, 2), "l0", {})[..., 0].astype(int)
        values = np.asarray(result).reshape(40, 48, -1)[..., 0] / (257 if mode == "I;16" else 1)
        assert np.abs(values - expected).max() <= 0.51


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "I;16"])
@pytest.mark.parametrize("name", FILTERS)
def test_both_commands_write_the_same_file(tmp_path, photo, name, mode):
    rgb = Image.fromarray(photo("coffee"))
    grey = np.asarray(rgb.convert("L"))
    source = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else rgb.convert(mode)
    if mode == "RGBA":
        source.putalpha(Image.fromarray(np.where(grey < 100, 0, grey)))
    source.save(tmp_path / "in.png")
    filter_files(name, {STRENGTH[name]: 9.0}, [tmp_path / "in.png"], tmp_path / "a.png", folder=False)
    words = ["--filter", name, "--strength", "9", tmp_path / "in.png", tmp_path / "b.png"]
    assert CliRunner().invoke(smooth, list(map(str, words))).exit_code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_folder_is_filtered_with_a_note_and_goes_on_where_it_stopped(images, tmp_path, photo, monkeypatch):
    out, settings = tmp_path / "out", {"strength": 0.05}
    written = filter_files("l0", settings, find_images([images]), out, folder=True)
    assert [path.name for path in written] == ["astronaut.png", "chelsea.png", "coffee.png", "rocket.png"]
    for path in written:
        np.testing.assert_array_equal(np.asarray(Image.open(path)), filter_image(photo(path.stem), "l0", settings))
    note = json.loads((out / "filter.json").read_text())
    assert (note["filter"], note["strength"], note["kappa"]) == ("l0", 0.05, 2.0) and note["rounding"]

    (out / "chelsea.png").unlink()
    made, own = [], filtering.filter_file
    monkeypatch.setattr(filtering, "filter_file", lambda *args: made.append(args[1].name) or own(*args))
    assert filter_files("l0", settings, find_images([images]), out, folder=True) == written
    assert made == ["chelsea.png"] and (out / "chelsea.png").exists()


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_takes_a_folder_and_its_note_says_what_computed(images, tmp_path, photo, name):
    for path in filter_files(name, {}, find_images([images]), tmp_path / "out", folder=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), filter_image(photo(path.stem), name, {}))
    note = json.loads((tmp_path / "out" / "filter.json").read_text())
    assert note["filter"] == name and note["numpy"] == np.__version__ and ("numba" in note) == (name != "l0")


def test_the_note_names_opencv_where_it_filters_and_results_are_not_mixed(images, tmp_path):
    filter_files("wmf", {"backend": "opencv"}, find_images([images]), tmp_path / "out", folder=True)
    note = json.loads((tmp_path / "out" / "filter.json").read_text())
    assert (note["backend"], note["opencv"]) == ("opencv", cv2.__version__)
    with pytest.raises(UsageError, match="this filter and these settings"):
        filter_files("wmf", {}, find_images([images]), tmp_path / "out", folder=True)


def test_results_of_other_settings_are_never_mixed(images, tmp_path):
    out = tmp_path / "out"
    filter_files("l0", {}, find_images([images]), out, folder=True)
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UsageError, match=r"expected a new folder, or one with a filter.json of this filter"):
        filter_files("l0", {"strength": 0.05}, find_images([images]), out, folder=True)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    for text in ("torn {", "[]", "3"):
        (out / "filter.json").write_text(text)
        with pytest.raises(UsageError, match=r"filter\.json"):
            filter_files("l0", {}, find_images([images]), out, folder=True)


def test_a_folder_of_other_files_is_refused_and_an_empty_one_is_taken(images, tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "holiday" / "coffee.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match="expected a new folder"):
        filter_files("l0", {}, find_images([images]), tmp_path / "holiday", folder=True)
    assert len(filter_files("l0", {}, find_images([images]), tmp_path / "empty", folder=True)) == 4


def test_the_folder_of_the_images_and_names_that_would_collide_are_refused(images, tmp_path):
    with pytest.raises(UsageError, match="another folder than the images'"):
        filter_files("l0", {}, find_images([images]), images, folder=True)
    Image.open(images / "coffee.png").save(images / "coffee.bmp")
    with pytest.raises(UsageError, match=r"coffee.bmp and .*coffee.png have the same name"):
        filter_files("l0", {}, find_images([images]), tmp_path / "out", folder=True)


def test_a_file_is_overwritten_only_by_force_and_never_by_itself(images, tmp_path):
    source, out = images / "coffee.png", tmp_path / "out.png"
    out.write_bytes(b"mine")
    with pytest.raises(UsageError, match="is there already; add --overwrite"):
        filter_files("l0", {}, [source], out, folder=False)
    assert out.read_bytes() == b"mine"
    filter_files("l0", {}, [source], out, folder=False, force=True)
    assert Image.open(out).size == (48, 40)
    before = source.read_bytes()
    (tmp_path / "link.png").symlink_to(source)
    for same in (source, tmp_path / "link.png"):
        with pytest.raises(UsageError, match="another file than the image itself"):
            filter_files("l0", {}, [source], same, folder=False, force=True)
    assert source.read_bytes() == before


def test_a_failure_leaves_the_finished_results_and_no_half_ones(images, tmp_path):
    (images / "zzz.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"zzz\.png"):
        filter_files("l0", {}, find_images([images]), tmp_path / "out", folder=True)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"astronaut.png", "chelsea.png", "coffee.png", "rocket.png", "filter.json"}


def test_a_link_that_leads_nowhere_is_there_already(images, tmp_path):
    for name, words in (("out.png", ["filter", "l0", images / "coffee.png"]), ("mine.toml", ["new"])):
        link, aim = tmp_path / name, tmp_path / "elsewhere" / name
        aim.parent.mkdir(exist_ok=True)
        link.symlink_to(aim)
        target = link.with_suffix("") if words == ["new"] else link
        done = CliRunner().invoke(main, [*map(str, words), str(target)])
        assert done.exit_code == 2 and "is there already" in done.stderr and not aim.exists()
