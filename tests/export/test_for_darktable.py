"""Files for darktable, read and fed as its published sources do: config.json, names, sizes, sRGB in tiles."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner

from pnen_export import for_darktable, other_ends
from pnen_export.cli import main
from pnen_runtime import Smoother
from pnen_runtime.errors import ParityError
from pnen_runtime.models import BUNDLED
from pnen_runtime.onnx_card import read_onnx_card

LADDER = (2048, 1536, 1024, 768, 512, 384, 256)


def run(*words):
    return CliRunner().invoke(main, ["--for", "darktable", *map(str, words)])


def discovered(folder):
    """As darktable finds a model: an object with id and name, and defaults for all else; the folder is the id."""
    found = json.loads((folder / "config.json").read_text("utf-8"))
    assert all(isinstance(found[key], str) and found[key] for key in ("id", "name", "description", "task", "version"))
    assert found.get("backend", "onnx") == "onnx" and found["task"] == "denoise"
    assert found["id"] == folder.name and not set(found["id"]) & set("/\\.") and found["id"] == found["id"].lower()
    assert isinstance(found["num_inputs"], int) and len(found["spatial_dims"]) == 2
    assert all(isinstance(value, str) for value in found["model_card"].values())
    sizes = found["attributes"]["input_sizes"]
    assert sizes and set(sizes) <= set(LADDER) and sizes == sorted(sizes, reverse=True)
    return found


def session(folder, found, tile):
    """As darktable opens it: the free sizes set to the tile, one picture at a time."""
    options = onnxruntime.SessionOptions()
    for name, size in zip(("batch_size", "batch", *found["spatial_dims"]), (1, 1, tile, tile), strict=True):
        options.add_free_dimension_override_by_name(name, size)
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])


def restored(opened, linear):
    """A patch (3, H, W) of linear sRGB through the model: gamma, a noise map of 25/255 where it takes one, and back."""
    gamma = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    names = [end.name for end in opened.get_inputs()]
    given = {names[0]: np.maximum(gamma, 0)[None].astype(np.float32)}
    if len(names) > 1:
        given[names[1]] = np.full((1, 1, *linear.shape[1:]), 25 / 255, np.float32)
    (out,) = opened.run(None, given)
    assert out.shape == (1, *linear.shape)
    return np.where(out <= 0.04045, out / 12.92, ((np.maximum(out, 0) + 0.055) / 1.055) ** 2.4)[0], given[names[0]][0]


@pytest.mark.parametrize(("words", "identity", "inputs", "strength"), [
    (["denoise"], "denoise-pnen", ["input", "sigma"], 25),
    (["denoise", "--strength", "10"], "denoise-pnen-10", ["input"], 10),
    (["l0-fast"], "denoise-pnen-l0-fast-0-02", ["input"], 0.02),
    (["l0-fast", "--strength", "0.1"], "denoise-pnen-l0-fast-0-1", ["input"], 0.1),
    (["wmf-fast"], "denoise-pnen-wmf-fast", ["input"], None),
])  # fmt: skip
def test_darktable_would_find_it_and_get_what_the_runtime_gives(tmp_path, words, identity, inputs, strength):
    done = run(words[0], tmp_path, *words[1:])
    assert done.exit_code == 0, done.output
    assert ("darktable tells it σ 25" in done.output) == (len(inputs) == 2)
    folder = tmp_path / identity
    found = discovered(folder)
    assert found["num_inputs"] == len(inputs) and found["model_card"]["license"].startswith("CC0")
    opened = session(folder, found, 256)
    for end, channels in zip(opened.get_inputs(), (3, 1), strict=False):
        assert (end.type, end.shape) == ("tensor(float)", [1, channels, 256, 256])
    assert [end.name for end in opened.get_inputs()] == inputs and opened.get_outputs()[0].name == "output"
    linear = np.random.default_rng(0).random((3, 256, 256)) ** 2
    result, gamma = restored(opened, linear)
    with Smoother(words[0], tile="whole") as smoother:
        smoother.card = replace(smoother.card, border="")  # a program knows none
        expected = smoother.run(gamma.transpose(1, 2, 0).copy(), strength=strength).transpose(2, 0, 1)
    back = np.where(expected <= 0.04045, expected / 12.92, ((expected + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(np.clip(result, 0, 1), back, atol=3e-4)


def test_what_is_brighter_than_white_stays_so(tmp_path):
    run("denoise", tmp_path, "--strength", 10)
    opened = onnxruntime.InferenceSession(str(tmp_path / "denoise-pnen-10/model.onnx"))
    image = np.full((1, 3, 64, 64), 0.5, np.float32)
    image[..., 20:40, 20:40] = 3
    (found,) = opened.run(None, {"input": image})
    (plain,) = opened.run(None, {"input": image.clip(0, 1)})
    np.testing.assert_allclose(found, plain + image - image.clip(0, 1), atol=1e-6)


def test_the_package_is_what_darktable_installs_from_a_file(tmp_path):
    run("denoise", tmp_path)
    with zipfile.ZipFile(tmp_path / "denoise-pnen.dtmodel") as package:
        names = package.namelist()
        assert names == ["denoise-pnen/config.json", "denoise-pnen/model.onnx"]
        for name in names:
            assert package.read(name) == (tmp_path / name).read_bytes()


def test_a_second_time_it_is_the_same_to_the_byte(tmp_path):
    for folder in ("one", "two"):
        run("denoise", tmp_path / folder)
    first, second = (sorted((tmp_path / folder / "denoise-pnen").iterdir()) for folder in ("one", "two"))
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


@pytest.mark.parametrize(("words", "code", "says"), [
    (["enlarge2"], 2, "enlarges the luma"), (["denoise", "--strength", "99"], 2, "expected a strength from 0 to 50"),
    (["wmf", "--strength", "3"], 2, "knows one strength"), (["denoise", "--tiles", "3"], 2, "No such option '--tiles'"),
    (["none.onnx"], 1, "No such file"), (["nonsense"], 2, "no model 'nonsense': there is no such file"),
    (["none.onnx", "--fp16"], 2, "--fp16 is for what a checkpoint becomes"),
    (["none.onnx", "--target", "onnx"], 2, "--target is for what a checkpoint becomes"),
    (["denoise", "--fp16", "--fp32"], 2, "one file is written"), (["denoise", "--out", "x"], 2, "one folder is"),
])  # fmt: skip
def test_what_cannot_be_is_one_line_and_nothing_is_written(tmp_path, words, code, says):
    done = run(words[0], tmp_path / "out", *words[1:])
    assert done.exit_code == code and says in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_is_needed_and_only_here():
    assert run("denoise").exit_code == 2
    done = CliRunner().invoke(main, ["l0", "somewhere"])
    assert done.exit_code == 2 and "unexpected extra argument" in done.stderr


def test_a_file_that_came_out_otherwise_is_not_written(tmp_path, monkeypatch):
    wrap = for_darktable.with_ends

    def wrong(*words):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(other_ends, "LEVELS", 200.0)
            return wrap(*words)

    monkeypatch.setattr(for_darktable, "with_ends", wrong)
    with pytest.raises(ParityError, match="differs from it by"):
        for_darktable.write(BUNDLED / "denoise.onnx", "denoise", tmp_path, None)
    assert not list(tmp_path.iterdir())


def test_tiles_are_no_larger_than_the_model_recommends():
    card = read_onnx_card(BUNDLED / "denoise.onnx")
    sizes = for_darktable.config("a", "a", card, None, True)["attributes"]["input_sizes"]
    assert max(sizes) == 768 == card.tile


def test_a_checkpoint_is_exported_first(saved, network, tmp_path):
    done = run(saved(network("without block")), tmp_path / "out")
    assert done.exit_code == 0, done.output
    (folder,) = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert discovered(folder)["num_inputs"] == 1


def test_half_precision_is_exported_and_its_ends_stay_wide(saved, network, tmp_path):
    done = run(saved(network("without block")), tmp_path / "out", "--fp16", "--target", "onnx")
    assert done.exit_code == 0, done.output
    (folder,) = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    opened = session(folder, discovered(folder), 256)
    assert {end.type for end in (*opened.get_inputs(), *opened.get_outputs())} == {"tensor(float)"}
    kinds = {weight.data_type for weight in onnx.load(folder / "model.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
