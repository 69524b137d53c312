"""Targets: made once, kept with their metadata, and bad input named in one line."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from pnen_runtime.errors import ImageError, UsageError
from pnen_train.data import targets
from pnen_train.data.filters import FILTERS, LIBRARIES, filter_image
from pnen_train.data.targets import Maker, find_images, load_pairs, spread
from pnen_train.metrics import psnr, ssim


@pytest.fixture
def never(monkeypatch):
    """From now on a target must not be made again."""

    def forbid():
        monkeypatch.setattr(targets, "filter_image", lambda *_: pytest.fail("the filter ran again"))

    return forbid


def test_a_target_is_the_filtered_image_and_is_made_once(photo, maker, never):
    image = photo("coffee")
    first = maker.target(image)
    np.testing.assert_array_equal(first, filter_image(image, "l0", {}))
    never()
    np.testing.assert_array_equal(Maker.of("l0", {"strength": 0.02}, maker.cache).target(image), first)


def test_other_pixels_shapes_and_settings_have_targets_of_their_own(photo, maker):
    image = photo("coffee", 24, 24)
    for other, by in [(image, maker), (image[::-1], maker), (image.reshape(12, 48, 3), maker),
                      (image, Maker.of("l0", {"strength": 0.05}, maker.cache))]:  # fmt: skip
        other = np.ascontiguousarray(other)
        np.testing.assert_array_equal(by.target(other), filter_image(other, "l0", by.settings))
    assert len(list(maker.cache.rglob("*.png"))) == 4


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_makes_targets_and_says_with_what(photo, tmp_path, name, never):
    image, own = photo("coffee"), Maker.of(name, {}, tmp_path)
    target = own.target(image)
    np.testing.assert_array_equal(target, filter_image(image, name, {}))
    (path,) = tmp_path.rglob("*.json")
    assert json.loads(path.read_text()).items() >= {"filter": name, **own.settings}.items()
    never()
    np.testing.assert_array_equal(own.target(image), target)


def test_a_new_version_of_a_filter_makes_its_targets_again(photo, maker, monkeypatch):
    maker.target(photo("coffee"))
    monkeypatch.setitem(targets.VERSIONS, "l0", 2)
    monkeypatch.setattr(targets, "filter_image", lambda image, *_: image)
    np.testing.assert_array_equal(maker.target(photo("coffee")), photo("coffee"))
    assert len(list(maker.cache.rglob("*.png"))) == 2


def test_every_filter_has_a_version_and_its_libraries():
    assert targets.VERSIONS.keys() == LIBRARIES.keys() == FILTERS.keys()


@pytest.mark.parametrize("damage", ["torn", "empty", "text", "other size", "gone"])
def test_a_damaged_cache_file_is_made_again(photo, maker, never, damage):
    image = photo("coffee")
    target = maker.target(image)
    (path,) = maker.cache.rglob("*.png")
    if damage == "other size":
        Image.fromarray(target[:-1]).save(path)
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"torn": path.read_bytes()[:-40], "empty": b"", "text": b"no picture"}[damage])
    np.testing.assert_array_equal(maker.target(image), target)
    never()
    np.testing.assert_array_equal(maker.target(image), target)


def test_metadata_beside_a_target_says_what_it_is(photo, maker):
    image = photo("astronaut")
    target = maker.target(image)
    (path,) = maker.cache.rglob("*.json")
    found = json.loads(path.read_text())
    assert path.with_suffix(".png").is_file()
    assert (found["filter"], found["strength"], found["kappa"], found["shape"]) == ("l0", 0.02, 2.0, [40, 48, 3])
    assert found["do_nothing_psnr"] == pytest.approx(psnr(image, target))
    assert found["do_nothing_ssim"] == pytest.approx(ssim(image, target))
    assert found["input_sha256"] == hashlib.sha256(image.tobytes()).hexdigest()
    assert found["output_sha256"] == hashlib.sha256(target.tobytes()).hexdigest()
    assert found["rounding"] and found["numpy"] == np.__version__


def test_metadata_of_a_flat_image_is_json_without_infinity(maker):
    maker.target(np.full((20, 20, 3), 9, np.uint8))
    (path,) = maker.cache.rglob("*.json")
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["do_nothing_psnr"] is None


def test_a_second_call_makes_nothing(images, maker, never):
    paths, seen = find_images([images]), []
    first = load_pairs(paths, [maker], progress=lambda *at: seen.append(at))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    never()
    for (image, target), (again, cached) in zip(first, load_pairs(paths, [maker]), strict=True):
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(target, cached)


def test_grey_and_transparent_pictures_are_read_as_rgb(tmp_path, photo, maker):
    image = Image.fromarray(photo("coffee"))
    transparent = image.copy()
    transparent.putalpha(image.convert("L"))
    image.convert("L").save(tmp_path / "grey.png")
    transparent.save(tmp_path / "transparent.png")
    (grey, _), (colour, _) = load_pairs(find_images([tmp_path]), [maker])
    assert grey.shape == colour.shape == (40, 48, 3)
    np.testing.assert_array_equal(colour, photo("coffee"))
    assert (grey == grey[..., :1]).all()


def test_ready_targets_are_found_by_name_whatever_their_suffix(images, tmp_path, photo):
    ready = tmp_path / "ready"
    ready.mkdir()
    for path in find_images([images]):
        Image.fromarray(255 - photo(path.stem)).save(ready / f"{path.stem}.bmp")
        (ready / f"{path.stem}.other.png").write_bytes(b"another name")
    for image, target in load_pairs(find_images([images]), [], ready):
        np.testing.assert_array_equal(target, 255 - image)


SIZE = (48, 40)


def save(path, size):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size).save(path)
    return path


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({"in/a.png": SIZE, "out/b.png": SIZE}, UsageError, "expected a target named a for .*a.png, found none"),
        ({"in/a.png": SIZE, "out/a.png": (40, 48)}, ImageError, "a.png: expected 48x40 pixels.*, got 40x48"),
        ({"in/a.png": SIZE, "in/a.jpg": SIZE, "out/a.png": SIZE}, UsageError, "a target would fit both"),
        ({"in/a.png": SIZE, "out/a.png": SIZE, "out/a.bmp": SIZE}, UsageError, "either could be the target"),
        ({"in/a.png": (15, 40), "out/a.png": (15, 40)}, ImageError, "a.png: expected at least 16 pixels a side"),
    ],
)  # fmt: skip
def test_targets_that_do_not_fit_are_refused(tmp_path, files, error, message):
    for name, size in files.items():
        save(tmp_path / name, size)
    with pytest.raises(error, match=message) as raised:
        load_pairs(find_images([tmp_path / "in"]), [], tmp_path / "out")
    assert "\n" not in str(raised.value)


def test_pictures_of_one_name_in_two_folders_each_have_their_own_target(tmp_path, photo, maker):
    for folder, name in (("one", "coffee"), ("two", "rocket")):
        (tmp_path / folder).mkdir()
        Image.fromarray(photo(name)).save(tmp_path / folder / "same.png")
    (first, a), (second, b) = load_pairs(find_images([tmp_path / "one", tmp_path / "two"]), [maker])
    np.testing.assert_array_equal(first, photo("coffee"))
    np.testing.assert_array_equal(b, filter_image(photo("rocket"), "l0", {}))
    assert not np.array_equal(a, b) and not np.array_equal(first, second)


def test_an_unreadable_picture_is_named(images, maker):
    (images / "broken.png").write_bytes((images / "coffee.png").read_bytes()[:200])
    with pytest.raises(ImageError, match=r"broken\.png"):
        load_pairs(find_images([images]), [maker])


def test_images_are_found_in_order_of_names_without_other_files(tmp_path):
    for name in ("b.PNG", "a.jpg", "c.tif", "d.avif", "notes.txt", "._b.png"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in find_images([tmp_path])] == ["a.jpg", "b.PNG", "c.tif", "d.avif"]
    assert find_images([tmp_path / "c.tif"]) == [tmp_path / "c.tif"]


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="expected a folder with images, found none"):
        find_images([tmp_path])


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 19, 20, 30])
def test_spread_takes_as_many_as_asked_over_the_whole_list(count):
    found = spread(list(range(20)), count)
    assert len(found) == min(count, 20) == len(set(found))
    assert found == sorted(found) and found[0] == 0 and found[-1] >= 20 - 20 / count - 1


@pytest.mark.parametrize("filter", ["l0", "wmf"])
def test_a_cache_that_cannot_be_written_to_costs_time_alone(images, tmp_path, caplog, filter):
    (tmp_path / "file").touch()
    own = Maker.of(filter, {}, tmp_path / "file" / f"cache of {filter}")
    for image, target in load_pairs(find_images([images]), [own]):
        np.testing.assert_array_equal(target, filter_image(image, filter, {}))
    (line,) = caplog.messages
    assert line.startswith(f"the cache {own.cache} cannot be written to (") and "chooses another" in line
