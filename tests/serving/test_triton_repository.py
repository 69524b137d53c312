"""What pnen-export --for triton writes: read by Triton's own definitions, and held against the ONNX files."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

pytest.importorskip("tritonclient.grpc")

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from pnen_export.cli import main
from pnen_runtime import bundled_models
from pnen_runtime.card import Card
from pnen_runtime.onnx_card import read_onnx_card
from pnen_train.checkpoint import BUNDLED

from .stand_in import toy, toy_engine


def run(folder, *words):
    return CliRunner().invoke(main, ["--for", "triton", *map(str, words), str(folder)])


def read(folder):
    return text_format.Parse((folder / "config.pbtxt").read_text("utf-8"), pb.ModelConfig())


def check(folder):
    """The configuration fits the files beside it."""
    found = read(folder)
    card = Card.from_json(found.parameters["pnen"].string_value)
    assert found.name == folder.name and found.max_batch_size >= 1 and found.HasField("dynamic_batching")
    onnx_file, plan = folder / "1" / "model.onnx", folder / "1" / "model.plan"
    assert onnx_file.exists() != plan.exists() and (onnx_file if onnx_file.exists() else plan).stat().st_size > 100
    assert found.backend == ("onnxruntime" if onnx_file.exists() else "tensorrt")
    ends = [(end.name, list(end.dims)) for end in (*found.input, *found.output)]
    assert all(end.data_type == pb.TYPE_FP32 for end in (*found.input, *found.output))
    if onnx_file.exists():
        graph = onnx.load(onnx_file).graph
        assert ends == [
            (end.name, [side.dim_value or -1 for side in end.type.tensor_type.shape.dim][1:])
            for end in (*graph.input, *graph.output)
        ]
        for end in (*graph.input, *graph.output):  # any batch, so that the server may put requests together
            assert end.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
            assert not end.type.tensor_type.shape.dim[0].dim_value
    else:
        names = ["image", *(["strength"] if card.strength else []), "smooth"]
        assert ends == [(name, [1 if name == "strength" else card.channels, -1, -1]) for name in names]
    (group,), (warm,) = found.instance_group, found.model_warmup
    assert group.count >= 1 and warm.batch_size == 1 and set(warm.inputs) == {end.name for end in found.input}
    for name, given in warm.inputs.items():
        assert given.data_type == pb.TYPE_FP32 and given.dims[0] == (1 if name == "strength" else card.channels)
        assert min(given.dims[1:]) >= card.minimum_side
        if name == "strength":
            tile = np.frombuffer((folder / "warmup" / given.input_data_file).read_bytes(), np.float32)
            assert tile.size == given.dims[1] * given.dims[2] and (tile == np.float32(card.strength["default"])).all()
        else:
            assert given.zero_data
    return found, card


def accelerator(found):
    (one,) = found.optimization.execution_accelerators.gpu_execution_accelerator
    assert one.name == "tensorrt"
    return dict(one.parameters)


@pytest.mark.parametrize("name", bundled_models())
def test_each_bundled_model_on_onnx_runtime(tmp_path, name):
    done = run(tmp_path, name, "--variants", "onnxruntime", "--instances", 2)
    assert done.exit_code == 0 and done.stdout.startswith(f"written: {tmp_path / name}, fp32"), done.output
    found, card = check(tmp_path / name)
    assert found.instance_group[0].kind == pb.ModelInstanceGroup.KIND_AUTO and found.instance_group[0].count == 2
    assert card == read_onnx_card(tmp_path / name / "1" / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("changes", [
    {}, {"adjustable": True}, {"channels": 1}, {"precision": "fp16"}, {"tile": "whole"}, {"licence": 'a "b" \\ ä λ'},
])  # fmt: skip
def test_an_onnx_file_becomes_both(tmp_path, changes):
    source = toy(tmp_path / "toy.onnx", **changes)
    done = run(tmp_path / "models", source)
    assert done.exit_code == 0 and "TensorRT in ONNX Runtime, which builds when it is loaded" in done.stdout, (
        done.output
    )
    check(tmp_path / "models" / "toy")
    found, card = check(tmp_path / "models" / "toy_tensorrt")
    assert found.instance_group[0].kind == pb.ModelInstanceGroup.KIND_GPU
    told, ((least, usual, most),) = accelerator(found), card.engine["profiles"]
    assert told["precision_mode"] == changes.get("precision", "fp32").upper()
    for part, (batch, height, width) in (("min", least), ("opt", usual), ("max", most)):
        channels = {"image": card.channels} | ({"strength": 1} if card.strength else {})
        wanted = ",".join(f"{name}:{batch}x{count}x{height}x{width}" for name, count in channels.items())
        assert told[f"trt_profile_{part}_shapes"] == wanted
    assert found.max_batch_size == most[0] and card.licence == changes.get("licence", "")


@pytest.mark.parametrize("given", ["the engine", "the ONNX file beside it"])
def test_an_engine_is_the_plan_byte_for_byte(tmp_path, given):
    engine = toy_engine(tmp_path / "toy.fp16.engine")
    if given != "the engine":
        source = toy(tmp_path / "toy.fp16.onnx", precision="fp16")
    done = run(tmp_path / "models", engine if given == "the engine" else source)
    assert done.exit_code == 0 and "toy_tensorrt, fp16: the engine toy.fp16.engine" in done.stdout, done.output
    found, card = check(tmp_path / "models" / "toy_tensorrt")
    assert (tmp_path / "models" / "toy_tensorrt" / "1" / "model.plan").read_bytes() == engine.read_bytes()
    assert found.max_batch_size == 8 and list(found.model_warmup[0].inputs["image"].dims) == [3, 32, 32]
    assert not found.HasField("optimization") and len(card.engine["profiles"]) == 2
    if given == "the engine":
        assert "not written" in done.stdout and not (tmp_path / "models" / "toy").exists()


@pytest.mark.parametrize(("make", "words", "code", "line"), [
    (lambda at: toy_engine(at / "a.engine", "rtx"), [], 2, "is for TensorRT-RTX, and Triton takes plans of TensorRT"),
    (lambda at: (toy_engine(at / "a.engine", "rtx"), toy(at / "a.onnx"))[1], [], 2, "is for TensorRT-RTX"),
    (lambda at: at / "no.onnx", [], 2, "there is no such file, and the bundled models are: "),
    (lambda at: Path("l1"), [], 2, "no model 'l1'"),
    (lambda at: (at / "a.txt").write_text("a") and at / "a.txt", [], 2, "expected a checkpoint, or an ONNX file"),
    (lambda at: (at / "a.onnx").write_text("a") and at / "a.onnx", [], 5, "a.onnx"),
    (lambda at: (at / "a.engine").write_text("a") and at / "a.engine", [], 5, "a.engine"),
    (lambda at: (at / "a.pt").write_text("a") and at / "a.pt", [], 1, "a.pt"),
    (lambda at: toy(at / "a.onnx"), ["--instances", "0"], 2, "--instances"),
])  # fmt: skip
def test_what_cannot_be_is_one_line_and_writes_nothing(tmp_path, make, words, code, line):
    done = run(tmp_path / "models", make(tmp_path), *words)
    assert done.exit_code == code and line in done.stderr, done.output
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())


def test_what_has_no_plain_onnx_file_is_said(tmp_path):
    source = toy(tmp_path / "toy.ort.onnx", target="ort")
    done = run(tmp_path / "models", source)
    assert "toy_tensorrt, which needs an ONNX file of --target onnx" in done.stdout
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["toy"]
    toy(tmp_path / "toy.onnx")
    assert run(tmp_path / "models", source, "--overwrite").exit_code == 0
    check(tmp_path / "models" / "toy_tensorrt")


def test_what_is_there_is_not_overwritten_unasked(tmp_path):
    source = toy(tmp_path / "toy.onnx")
    assert run(tmp_path / "models", source).exit_code == 0
    done = run(tmp_path / "models", source)
    assert done.exit_code == 2 and "is there already; --overwrite writes it anew" in done.stderr
    toy(source, adjustable=True)
    assert run(tmp_path / "models", source, "--overwrite").exit_code == 0
    assert check(tmp_path / "models" / "toy")[1].strength


@pytest.mark.parametrize(("words", "told"), [
    (["l0"], "expected the folder to write into as the last word, got the model l0; to write into a folder of that "
             "name make it first"),
    (["models", "l0", "wmf"], "expected the folder to write into as the last word, got the model wmf"),
    (["models", "l0", "here"], "no model 'models'"),
])  # fmt: skip
def test_the_folder_is_the_last_word(words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["--for", "triton", *words])
    assert done.exit_code == 2 and told in done.stderr and not list(tmp_path.iterdir()), done.output


@pytest.mark.parametrize("words", [["--for", "mars", "l0"], ["--for"], ["--for=", "l0"], ["l0", "--for", "--fp16"]])
def test_another_destination_is_wrong_usage(words):
    done = CliRunner().invoke(main, words)
    assert (
        done.exit_code == 2
        and "expected --for darktable or triton or vapoursynth, got" in done.stderr
        and len(done.stderr.splitlines()) == 1
    )


def test_it_may_be_said_with_an_equals_sign_and_last(tmp_path):
    source = toy(tmp_path / "toy.onnx")
    done = CliRunner().invoke(main, [str(source), str(tmp_path / "models"), "--for=triton"])
    assert done.exit_code == 0, done.output
    assert "MODEL is a checkpoint" in CliRunner().invoke(main, ["--for", "triton", "--help"]).stdout.replace(
        "\n  ", " "
    )


def test_an_engine_that_can_be_built_here_is_the_plan(tmp_path, monkeypatch):
    """As on a machine with TensorRT and a GPU."""
    source = toy(tmp_path / "toy.fp16.onnx", precision="fp16")

    def make(path, wanted, *, folder):
        assert (path, wanted) == (source, "tensorrt")
        return toy_engine(folder / "toy.fp16.engine"), None

    monkeypatch.setattr("pnen_export.triton_command.find_tensorrt", lambda wanted: wanted)
    monkeypatch.setattr("pnen_export.engine_command.make_engine", make)
    done = run(tmp_path / "models", source)
    assert done.exit_code == 0 and "an engine, built for the GPU here" in done.stdout, done.output
    check(tmp_path / "models" / "toy_tensorrt")
    plan = tmp_path / "models" / "toy_tensorrt" / "1" / "model.plan"
    assert plan.read_bytes() == (tmp_path / "toy.fp16.engine").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "options"), [("wmf-fast", []), ("net.pt", ["--fp16"])])
def test_a_network_is_exported_for_both(tmp_path, model, options):
    given = shutil.copy(BUNDLED / "wmf-fast.pt", tmp_path / model) if model.endswith(".pt") else model
    done = run(tmp_path / "models", given, *options)
    assert done.exit_code == 0, done.output
    name = model.partition(".")[0]
    found, card = check(tmp_path / "models" / f"{name}_tensorrt")
    assert card.target == "onnx" and card.precision == ("fp16" if options else "fp32") and card.parity
    assert accelerator(found)["precision_mode"] == card.precision.upper()
    card = check(tmp_path / "models" / name)[1]
    assert card.target == "ort" and card.precision == "fp32" and card.parity
