import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pnen_runtime import EngineError, ImageError, PnenError, Smoother, UsageError, models


class Stand:
    """A backend made of a function."""

    name = "stand-in"
    info = "stand-in (given)"

    def __init__(self, card, answer):
        self.card, self.answer, self.closed = card, answer, 0

    def run(self, batch):
        return self.answer(batch)

    def close(self):
        self.closed += 1


def image(*shape, dtype="uint8"):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, True)


@settings(max_examples=30)
@given(height=st.integers(16, 70), width=st.integers(16, 70))
def test_any_size_comes_back_whole(card, height, width):
    picture = image(height, width, 3)
    np.testing.assert_array_equal(Smoother("toy", backend=Stand(card(), lambda batch: batch)).run(picture), picture)


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 1), (40, 50, 3), (3, 40, 50, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_network_is_what_acts(model, shape, dtype):
    picture = image(*shape, dtype=dtype)
    with Smoother(model("invert")) as smoother:
        np.testing.assert_array_equal(smoother.run(picture), np.iinfo(dtype).max - picture)


def test_alpha_is_not_inverted_and_paths_give_pil_images(model, tmp_path):
    picture = image(40, 50, 4)
    Image.fromarray(picture).save(tmp_path / "a.png")
    with Smoother(str(model("invert"))) as smoother:
        for given_as in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(picture)):
            back = smoother.run(given_as)
            assert isinstance(back, Image.Image)
            seen = picture[..., 3] > 0
            np.testing.assert_array_equal(np.asarray(back)[seen][:, :3], 255 - picture[seen][:, :3])
            np.testing.assert_array_equal(np.asarray(back)[..., 3], picture[..., 3])


def test_a_grey_network_takes_grey_only(model):
    smoother = Smoother(model("grey"))
    np.testing.assert_array_equal(smoother.run(image(40, 50)), image(40, 50))
    with pytest.raises(ImageError, match="grey"):
        smoother.run(image(40, 50, 3))


@given(mixes=st.lists(st.floats(0, 1), min_size=2, max_size=4).map(sorted))
@settings(max_examples=20)
def test_more_mix_is_more_change(card, mixes):
    smoother = Smoother("toy", backend=Stand(card(), lambda batch: 1 - batch))
    picture = image(33, 47, 3).astype(int)
    changes = [np.abs(smoother.run(picture.astype(np.uint8), mix=s) - picture) for s in mixes]
    assert all((less <= more).all() for less, more in pairwise(changes))


def test_mix_goes_from_the_image_to_the_result(model):
    smoother, picture = Smoother(model("flat")), image(40, 50, 3)
    np.testing.assert_array_equal(smoother.run(picture, mix=0), picture)
    assert smoother.run(picture, mix=1).max() == 0
    np.testing.assert_allclose(smoother.run(picture, mix=0.5), picture / 2, atol=0.51)
    with pytest.raises(UsageError, match="mix"):
        smoother.run(picture, mix=1.5)


@pytest.mark.parametrize(("settings", "tiles"), [({}, 2 * 4), ({"tile": "whole"}, 1), ({"tile": 40, "step": 40}, 2),
                                                 ({"step": 32}, 2 * 3)])  # fmt: skip
def test_tiles_are_the_cards_unless_asked_otherwise(card, settings, tiles):
    seen, steps = [], []

    def look(batch):
        seen.append(batch.shape[2:])
        return batch

    smoother = Smoother("toy", backend=Stand(card(), look), **settings)
    smoother.run(image(40, 80, 3), progress=lambda *at: steps.append(at))
    assert len(seen) == tiles and len(set(seen)) == 1
    assert steps[-1] == (tiles, tiles)


def test_progress_runs_once_over_all_frames(model):
    steps = []
    Smoother(model(tile="whole")).run(image(3, 20, 20, 3), progress=lambda *at: steps.append(at))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_memory_limits_the_tile_and_that_is_logged(model, caplog):
    smoother = Smoother(model(tile="whole", config={"channels": 64, "scales": [2]}, target="onnx"), memory=20)
    with caplog.at_level(logging.WARNING, "pnen"):
        np.testing.assert_array_equal(smoother.run(image(100, 120, 3)), image(100, 120, 3))
    assert "of the 20 MB allowed" in caplog.text
    assert "whole image" in str(smoother.info)


def test_info_is_one_line_that_says_what_runs_and_why(model):
    path = model(task={"filter": "l0", "lambda": 0.02}, precision="fp16")
    line = str(Smoother(path, threads=1).info)
    for part in (str(path), "toy for l0 lambda=0.02", "fp16 (ort)", "onnxruntime-cpu", "1 CPU thread",
                 "the file is ONNX", "tiles of 32 at step 20 (recommended by the card)"):  # fmt: skip
        assert part in line
    assert "\n" not in line


def test_several_threads_may_run_one_smoother(model):
    smoother = Smoother(model("invert"), threads=1)
    pictures = [np.random.default_rng(seed).integers(0, 256, (40 + seed, 60, 3), np.uint8) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for picture, back in zip(pictures, pool.map(smoother.run, pictures), strict=True):
            np.testing.assert_array_equal(back, 255 - picture)


def test_after_close_nothing_runs(model, card):
    smoother = Smoother(model())
    smoother.close()
    smoother.close()
    for use in (lambda: smoother.run(image(20, 20, 3)), lambda: smoother.info):
        with pytest.raises(PnenError, match="closed"):
            use()
    backend = Stand(card(), lambda batch: batch)
    with Smoother("toy", backend=backend):
        pass
    assert backend.closed == 1


def test_values_that_are_not_numbers_never_pass(model):
    with pytest.raises(EngineError, match="not numbers"):
        Smoother(model("nan")).run(image(20, 20, 3))


@pytest.mark.parametrize("settings", [{"tile": 8}, {"step": 99}, {"blend": "magic"}, {"memory": 0}, {"backend": "gpu"}])
def test_a_wrong_setting_is_refused_at_once(model, settings):
    with pytest.raises(UsageError, match="expected"):
        Smoother(model(), **settings)


def test_a_bundled_model_is_found_by_name_and_a_file_goes_first(model, tmp_path, monkeypatch):
    path = model("invert")
    monkeypatch.setattr(models, "BUNDLED", tmp_path)
    assert models.bundled_models() == ["invert"]
    assert models.find_model("invert") == path
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").write_bytes(b"a file")
    assert models.find_model("other").is_file()
    with pytest.raises(UsageError, match="no model 'l9': there is no such file, and the bundled models are: invert"):
        Smoother("l9")


def test_a_list_comes_back_as_a_list(model):
    picture, shown = image(20, 24, 3), []
    with Smoother(model("invert")) as smoother:
        first, second = smoother.run(
            [picture, Image.fromarray(picture)], progress=lambda done, total: shown.append(done)
        )
        assert isinstance(second, Image.Image) and shown == [1, 2]
        np.testing.assert_array_equal(first, 255 - picture)
        np.testing.assert_array_equal(second, first)


def test_what_is_like_an_array_is_taken_and_a_tensor_comes_back_as_one(model):
    picture = image(20, 24, 3)
    with Smoother(model("invert")) as smoother:
        smooth = smoother.run(torch.from_numpy(picture))
        assert isinstance(smooth, torch.Tensor)
        np.testing.assert_array_equal(smooth, 255 - picture)
        grey = smoother.run(np.asmatrix(picture[..., 0]))
        assert type(grey) is np.ndarray
        np.testing.assert_array_equal(grey, smoother.run(picture[..., 0]))
        with pytest.raises(ImageError, match="without a mask"):
            smoother.run(np.ma.masked_equal(picture, 0))
        with pytest.raises(ImageError, match=r"expected an array, got torch.Tensor that cannot be one: .*grad"):
            smoother.run(torch.rand(20, 24, 3, requires_grad=True))


def test_a_network_that_enlarges_points_to_what_does(model):
    with Smoother(model("grey", task={"scale": 3})) as smoother, pytest.raises(UsageError, match=r"Upscaler\(.*\).run"):
        smoother.run(image(20, 24, 1))


def test_it_says_what_it_is_and_stays_in_its_process(model):
    smoother = Smoother(model("invert"))
    assert str(smoother.info) in repr(smoother)
    with pytest.raises(PnenError, match="cannot go to another process"):
        pickle.dumps(smoother)
    smoother.close()
    assert repr(smoother).endswith("closed>")


@settings(max_examples=20)
@given(height=st.integers(16, 300), width=st.integers(16, 300))
def test_the_plan_says_how_many_tiles_and_then_how_long(card, height, width):
    with Smoother("toy", backend=Stand(card(), lambda batch: batch), tile=64, step=48) as smoother:
        before, seen = smoother.plan(height, width), []
        smoother.run(image(height, width, 3), progress=lambda done, total: seen.append(total))
        after = smoother.plan(height, width)
    assert set(seen) == {before.tiles} and before.seconds is None and after.seconds > 0
    assert before.gpu_bytes is None and before.host_bytes > 2 * 3 * height * width
    assert "s" not in str(before).split(",")[-1] and str(after).endswith(" s")
    assert (before.tile, before.step) == (64, 48) and after.tiles == before.tiles


def test_a_larger_picture_takes_more_but_its_network_no_more_than_a_tile(card):
    with Smoother("toy", backend=Stand(card(), lambda batch: batch)) as smoother:
        small, large = smoother.plan(1000, 1000), smoother.plan(10_000, 10_000)
    assert 90 < large.tiles / small.tiles < 110 and large.host_bytes < 2e9


def test_warming_up_runs_each_size_without_estimating_anything(card):
    shapes = []
    with Smoother("toy", backend=Stand(card(), lambda batch: (shapes.append(batch.shape), batch)[1])) as smoother:
        smoother.warmup((20, 30), (30, 16))
    assert shapes == [(1, 3, 20, 30), (1, 3, 30, 16)]


def test_lack_of_memory_takes_smaller_tiles_and_says_so(card, caplog):
    def answer(batch):
        if max(batch.shape) > 100:
            raise MemoryError(f"a tile of {batch.shape[3]}x{batch.shape[2]} was too much")
        return 1 - batch

    given_ = image(300, 200, 3)
    with Smoother("toy", backend=Stand(card(), answer), tile=256) as smoother:
        np.testing.assert_array_equal(smoother.run(given_), 255 - given_)
        assert "too much; going on with tiles of 128" in caplog.text and "tiles of 64" in caplog.text
        caplog.clear()
        smoother.run(given_)
        assert not caplog.text and smoother.plan(300, 200).tile == 64  # it is not tried again
    never = Stand(card(), lambda batch: answer(np.zeros((1, 3, 999, 999))))
    with Smoother("toy", backend=never, tile=256) as smoother, pytest.raises(MemoryError):
        smoother.run(given_)


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_colours_that_nobody_sees_reach_nothing_that_is_seen(card, kind):
    def blurred(batch):
        return (batch + np.roll(batch, 5, 2) + np.roll(batch, 5, 3)) / 3

    rng, clear = np.random.default_rng(0), np.zeros((40, 48), bool)
    clear[:13], clear[20:27, 5:30] = True, True
    photo, results = image(40, 48, 3), []
    for hidden in (0, 255, rng.integers(0, 256, photo.shape, np.uint8)):
        colours = np.where(clear[..., None], hidden, photo)
        given_ = np.dstack([colours, np.where(clear, 0, 200)]).astype("uint8")
        given_ = given_ if kind == "uint8" else (given_ / 255).astype(kind)
        with Smoother("toy", backend=Stand(card(), blurred)) as smoother:
            results.append(smoother.run(given_))
        np.testing.assert_array_equal(results[-1][clear], given_[clear])  # and is as it was
    for found in results[1:]:
        np.testing.assert_array_equal(found[~clear], results[0][~clear])
    assert (results[0][~clear][:, :3] != photo[~clear]).any()
