"""Files from a checkpoint: proven, complete, and absent where the proof fails."""

import json

import numpy as np
import onnx
import pytest

from pnen_export.export import export, onnx_name
from pnen_export.inputs import Input, make_batch
from pnen_export.parity import Mismatch, torch_run
from pnen_runtime import Smoother
from pnen_runtime.card import KEY
from pnen_runtime.tiles import smooth_tiled

NAMES = ["model.onnx", "model.ort.onnx", "model.fp16.onnx", "model.ort.fp16.onnx"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory, network, checkpoint):
    """Every file of a small network, after the whole comparison, and what was watched."""
    folder, watched = tmp_path_factory.mktemp("exported") / "new", []
    made = checkpoint(network("pyramid"), scores={"psnr": float("inf")})
    files = list(export(made, folder, "model", precisions=["fp32", "fp16"], watch=lambda *at: watched.append(at)))
    return {file.path.name: file for file in files}, folder, watched


def test_there_is_a_file_for_each_precision_and_target_and_nothing_else(exported):
    files, folder, _ = exported
    assert list(files) == NAMES
    assert {path.name for path in folder.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_card_in_the_file_says_all_of_the_contract(exported, checkpoint, network, name):
    files, folder, _ = exported
    text = {entry.key: entry.value for entry in onnx.load(folder / name).metadata_props}
    card = json.loads(text[KEY], parse_constant=pytest.fail)
    made = checkpoint(network("pyramid"))
    assert list(text) == [KEY]
    assert card["format"] == 1
    assert (card["network"], card["config"], card["task"]) == ("pnen", made.config, made.training["task"])
    assert (card["training_crop"], card["tile"], card["tile_step"], card["channels"]) == (48, 64, 40, 3)
    assert card["weights_sha256"] == made.sha256()
    assert card["training"] == {"steps": 7, "scores": {"psnr": None}}
    assert card["precision"] == ("fp16" if "fp16" in name else "fp32")
    assert card["target"] == ("ort" if "ort" in name else "onnx")
    assert card["max_logit"] > 0
    parity = card["parity"]
    assert len(parity["rows"]) == 21 and all(row["passed"] for row in parity["rows"])
    assert parity["max_abs"] == max(row["max_abs"] for row in parity["rows"])
    assert ("rounding" in parity) == ("fp16" in name)
    assert json.loads(files[name].card.to_json()) == card


@pytest.mark.parametrize("name", NAMES)
def test_smoother_runs_the_file_as_the_network_in_pytorch(exported, network, name):
    image = np.random.default_rng(0).integers(0, 256, (70, 101, 3), np.uint8)
    expected = smooth_tiled(torch_run(network("pyramid")), image, 64, 40, border="wrap")
    with Smoother(exported[1] / name) as smoother:
        assert smoother.card == exported[0][name].card
        result = smoother.run(image)
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_progress_goes_from_none_to_all_for_each_file(exported):
    watched = exported[2]
    for name in ["PyTorch", "model with every layer rounded to FP16", *NAMES]:
        done = [(done, total) for what, done, total in watched if what == name and total > 1]
        assert done == [(count, len(done)) for count in range(1, len(done) + 1)]
        assert len(done) == 20 + 48  # inputs of every size and kind, and tiles of the photograph


@pytest.mark.parametrize(("tile", "proven"), [(64, ["64", "64"]), ("whole", ["87", "497"])])  # memory limits the first
@pytest.mark.usefixtures("quick")
def test_each_file_is_proven_at_the_tile_that_smoother_takes(tmp_path, checkpoint, network, monkeypatch, tile, proven):
    def one(channels, side):
        return [Input("flat", str(side), [make_batch("flat", 1, 16, 16, channels)])]

    monkeypatch.setattr("pnen_export.export.make_inputs", one)
    watched = []
    files = list(
        export(checkpoint(network("wang"), tile=tile), tmp_path, "model", watch=lambda what, *_: watched.append(what))
    )
    assert [file.rows[0].size for file in files] == proven
    assert watched.count("PyTorch") == len(set(proven))


@pytest.mark.parametrize(
    ("target", "precision", "name"),
    [("onnx", "fp32", NAMES[0]), ("ort", "fp32", NAMES[1]), ("onnx", "fp16", NAMES[2]), ("ort", "fp16", NAMES[3])],
)
def test_name_says_target_and_precision(target, precision, name):
    assert onnx_name("model", target, precision) == name


@pytest.mark.parametrize("older", [True, False])
@pytest.mark.parametrize("change", [lambda w: w + w.dtype.type(0.5), lambda w: w * w.dtype.type("nan")])
@pytest.mark.usefixtures("quick")
def test_a_file_that_differs_does_not_appear(tmp_path, change_exported, checkpoint, network, change, older):
    change_exported(change)
    file = tmp_path / "model.ort.onnx"
    if older:
        file.write_bytes(b"older")
    with pytest.raises(Mismatch, match=r"model\.ort\.onnx: 2 of 2"):
        list(export(checkpoint(network("without block")), tmp_path, "model", targets=["ort"]))
    assert [path.name for path in tmp_path.iterdir()] == [file.name] * older
    assert not older or file.read_bytes() == b"older"


@pytest.mark.parametrize("factor", [1e4, 1e7])  # logits that half rounds too much, and queries that it cannot hold
@pytest.mark.usefixtures("quick")
def test_huge_logits_are_refused_in_half_before_anything_is_exported(tmp_path, checkpoint, network, factor):
    model = network("wang")
    model.blocks[0].query.weight.data.mul_(factor)
    with pytest.raises(Mismatch, match=r"every layer rounded to FP16.*export it in FP32"):
        list(export(checkpoint(model), tmp_path, "model", precisions=["fp16"]))
    assert not list(tmp_path.iterdir())
