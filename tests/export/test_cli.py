"""The command: what it prints, and the exit code for everything that goes wrong."""

import io
import json
import os
import pickle
import sys

import click.testing
import onnx
import pytest
import torch

from pnen_export.cli import main
from pnen_runtime.card import Card
from pnen_runtime.errors import BackendMissing, EngineError


@pytest.fixture
def run():
    """run(*arguments) → the result of the command; without an engine unless the arguments name one."""

    def call(*arguments):
        given = [str(argument) for argument in arguments]
        return click.testing.CliRunner().invoke(main, given if "--engine" in given else [*given, "--engine", "none"])

    return call


def refused(result, exit_code: int, message: str) -> None:
    """Assert that the command ended with one line and this exit code."""
    assert result.exit_code == exit_code, result.output
    lines = result.stderr.splitlines()  # no blank one either
    assert len(lines) == 1 and lines[0].startswith("Error: "), result.stderr
    assert message in lines[0]


@pytest.mark.usefixtures("quick")
def test_writes_beside_the_checkpoint_and_prints_a_table_for_each_file(run, saved, network):
    path = saved(network("wang"))
    result = run(path, "--fp16")
    assert result.exit_code == 0, result.output
    assert {file.name for file in path.parent.iterdir()} == {"model.pt", "model.fp16.onnx", "model.ort.fp16.onnx"}
    for name in ("model.fp16.onnx", "model.ort.fp16.onnx", "model with every layer rounded to FP16"):
        assert f"{name} against PyTorch in FP32" in result.stdout
    assert "1x37x53" in result.stdout and "FAILED" not in result.stdout
    assert "largest attention logit on the photograph" in result.stdout
    assert f"written: {path.parent / 'model.fp16.onnx'}" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines() if not line.startswith("written")) <= 100


@pytest.mark.usefixtures("quick")
def test_json_is_the_cards_and_nothing_else(run, saved, network, tmp_path):
    folder = tmp_path / "a" / "b"
    result = run(saved(network("without block")), "--target", "ort", "--out", folder, "--json")
    assert result.exit_code == 0, result.output
    cards = json.loads(result.stdout, parse_constant=pytest.fail)
    (written,) = folder.iterdir()
    assert list(cards) == [str(written)] and written.name == "model.ort.onnx"
    text = onnx.load(written).metadata_props[0].value
    assert cards[str(written)] == json.loads(text)
    assert Card.from_json(text).precision == "fp32"


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.usefixtures("quick")
def test_a_failed_comparison_ends_with_3_and_shows_the_table(run, saved, network, change_exported, as_json):
    change_exported(lambda weights: weights + 1)
    path = saved(network("without block"))
    result = run(path, "--target", "ort", *(["--json"] if as_json else []))
    refused(result, 3, "model.ort.onnx: 2 of 2 inputs miss the tolerance")
    assert "FAILED" in result.stdout if not as_json else json.loads(result.stdout) == {}
    assert [file.name for file in path.parent.iterdir()] == ["model.pt"]


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def content(kind: str, whole: bytes, trap) -> bytes:
    """The bytes of a file that is no checkpoint."""
    buffer = io.BytesIO()
    match kind:
        case "torn":
            return whole[: len(whole) // 2]
        case "empty":
            return b""
        case "text":
            return b"weights = 3\n" * 50
        case "hostile":
            torch.save({"format": 1, "network": Hostile(trap)}, buffer)
        case "pickle":
            return pickle.dumps(Hostile(trap), protocol=2)
        case "bare":
            torch.save({"weight": torch.zeros(2)}, buffer)
        case "other network":
            torch.save(torch.load(io.BytesIO(whole), weights_only=True) | {"config": {"channels": 9}}, buffer)
        case "record":
            torch.save(torch.load(io.BytesIO(whole), weights_only=True) | {"training": {"tile": "big"}}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["torn", "empty", "text", "hostile", "pickle", "bare", "other network", "record"])
def test_what_is_no_checkpoint_is_refused_in_one_line_and_never_run(run, saved, tmp_path, kind):
    path, trap = saved(), tmp_path / "trap"
    path.write_bytes(content(kind, path.read_bytes(), trap))
    result = run(path)
    refused(result, 1, "")
    assert "unexpected" not in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_weights_that_are_not_finite_are_refused(run, saved, network):
    model = network("without block")
    model.entry.bias.data[0] = float("nan")
    refused(run(saved(model)), 1, "not finite")


def test_a_checkpoint_that_is_not_there_is_refused(run, tmp_path):
    refused(run(tmp_path / "none.pt"), 2, "no such checkpoint")


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(run, saved, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    refused(run(saved(), "--out", tmp_path / "file" / "folder"), 1, str(tmp_path / "file"))


@pytest.mark.parametrize("arguments", [[], ["model.pt", "--target", "tensorrt"], ["model.pt", "--int8"], ["a", "b"],
                                       ["m.onnx", "--engine", "rtx", "--build-limit", "0"]])  # fmt: skip
def test_wrong_usage_ends_with_2_and_one_line(run, arguments):
    refused(run(*arguments), 2, "--help shows the usage)")


@pytest.mark.parametrize(
    ("name", "says"),
    [("nosuch", "no such checkpoint"), ("nosuch.pt", "no such checkpoint"), ("nosuch.onnx", "no such file"),
     ("nosuch.engine", "is an engine already"), ("nosuch.plan", "is an engine already")],
)  # fmt: skip
def test_a_model_that_is_not_there_is_wrong_usage_whatever_its_kind(run, name, says):
    refused(run(name, "--engine", "auto"), 2, says)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("m.pt --target ort --engine tensorrt", "needs the file of --target onnx"),
        ("m.pt --target ort --engine rtx", "needs the file of --target onnx"),
        ("m.pt --target ort --engine auto --tiles 8", "--tiles is about an engine"),
        ("m.onnx --engine none", "nothing to do"),
        ("m.onnx --engine auto --target all", "leave it out"),
        ("m.onnx --engine auto --fp16 --fp32", "one precision"),
        ("m.pt --engine none --shapes 16x16,16x16,16x16", "--shapes is about an engine"),
        ("m.pt --engine none --tiles 8", "--tiles is about an engine"),
        ("m.pt --engine none --key-limit 0", "--key-limit is about an engine"),
        ("m.pt --engine none --hardware this", "--hardware is about an engine"),
        ("m.pt --engine none --version-compatible", "--version-compatible is about an engine"),
    ],
)
def test_what_would_be_ignored_is_refused_before_the_work(run, arguments, message):
    refused(run(*arguments.split()), 2, message)


@pytest.mark.parametrize(("flags", "precision"), [([], None), (["--fp16"], "fp16"), (["--fp32"], "fp32")])
def test_precision_asked_of_an_onnx_file_reaches_the_builder(run, tmp_path, monkeypatch, flags, precision):
    asked = []
    monkeypatch.setattr(
        "pnen_export.engine_command.make_engine",
        lambda *_, **options: asked.append(options["precision"]) or "no engine",
    )
    (tmp_path / "m.onnx").touch()
    assert run(tmp_path / "m.onnx", "--engine", "auto", *flags).exit_code == 0
    assert asked == [precision]


@pytest.mark.usefixtures("quick")
def test_target_ort_and_no_word_about_engines_is_no_request_for_one(run, saved, network):
    result = run(saved(network("without block")), "--target", "ort", "--engine", "auto")
    assert result.exit_code == 0 and "engine" not in result.output, result.output


@pytest.mark.usefixtures("quick")
def test_json_has_the_written_files_where_the_engine_fails(run, saved, network, monkeypatch):
    def fail(*_, **__):
        raise EngineError("TensorRT cannot build it")

    monkeypatch.setattr("pnen_export.engine_command.make_engine", fail)
    path = saved(network("without block"))
    result = run(path, "--target", "onnx", "--engine", "rtx", "--json")
    refused(result, 5, "TensorRT cannot build it")
    assert list(json.loads(result.stdout)) == [str(path.with_suffix(".onnx"))]


def test_out_must_be_a_folder(run, saved):
    path = saved()
    assert run(path, "--out", path).exit_code == 2


@pytest.mark.parametrize("package", ["onnxruntime", "onnxscript"])
def test_a_missing_package_ends_with_4_and_names_the_extra(run, saved, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    refused(run(saved()), 4, f"needs {package}; install it: pip install torch")


def test_help_says_what_is_written_and_what_the_exit_codes_mean(run):
    text = " ".join(run("--help").stdout.split())
    for part in ("MODEL.pt", "--fp16", "--target", "--out", "Exit codes: 0 done", "float32 NCHW RGB", "--debug"):
        assert part in text


@pytest.mark.usefixtures("quick")
def test_without_tensorrt_it_says_how_to_go_on_and_ends_well(run, saved, network, monkeypatch):
    def missing(_wanted):
        raise BackendMissing("nothing here")

    monkeypatch.setattr("pnen_export.engine_command.find_tensorrt", missing)
    path = saved(network("without block"))
    result = run(path, "--target", "onnx", "--engine", "auto")
    assert result.exit_code == 0, result.output
    assert "no engine" in result.stdout and "pnen-export model.onnx --engine tensorrt" in result.stdout
    refused(run(path.with_suffix(".onnx"), "--engine", "rtx"), 4, "nothing here")


@pytest.mark.rtx
@pytest.mark.usefixtures("quick")
def test_one_command_leads_from_checkpoint_to_engine_and_another_from_onnx_to_engine(run, saved, network):
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed")
    path = saved(network("wang"))
    result = run(path, "--fp16", "--target", "onnx", "--engine", "rtx")
    assert result.exit_code == 0, result.output
    engine = path.parent / "model.fp16.engine"
    assert f"written: {engine}" in result.stdout and "FP16" in result.stdout
    assert Card.from_json(engine.with_name(engine.name + ".json").read_text()).engine["flavour"] == "rtx"
    engine.unlink()
    again = run(path.parent / "model.fp16.onnx", "--fp16", "--engine", "rtx")
    assert again.exit_code == 0 and engine.is_file()
    refused(run(path.parent / "other.onnx", "--engine", "rtx"), 2, "no such file")


@pytest.mark.rtx
@pytest.mark.usefixtures("quick")
def test_what_is_replaced_is_said_and_how_to_have_it_again(run, saved, network, monkeypatch, tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = saved(network("without block"))
    onnx, engine = path.with_suffix(".onnx"), path.with_suffix(".engine")
    shapes = ["--tiles", "3", "--shapes", "16x16,80x96,80x96"]
    first = run(path, "--target", "onnx", "--engine", "rtx", *shapes)
    assert first.exit_code == 0 and "in the place of" not in first.output, first.output
    for words, said in ((shapes, "in the place of the former one"),
                        ([], "in the place of the former one, which had other options: pnen-export"),
                        (["--json"], f"other options: pnen-export {onnx} --engine rtx --tiles 8")):  # fmt: skip
        if "--json" in words:
            words = ["--tiles", "2", *words]
        result = run(onnx, "--engine", "rtx", *words)
        (line,) = [line for line in result.output.splitlines() if line.startswith(f"written: {engine} ")]
        assert result.exit_code == 0 and said in line, result.output
        assert line.endswith("1x16x16,1x80x96,1x80x96") == (words == [])
        assert (line in result.stderr) == ("--json" in words)
    engine.write_bytes(b"of another program")
    engine.with_name("model.engine.json").unlink()
    assert "in the place of a file without a model card" in run(onnx, "--engine", "rtx").stdout
    again = run(path, "--target", "onnx", "--engine", "none")
    assert f"written: {onnx} (" in again.stdout and "in the place of the former one" in again.stdout


@pytest.mark.rtx
@pytest.mark.usefixtures("quick")
def test_sizes_that_cannot_be_are_wrong_usage_and_name_the_option(run, saved, network, caplog):
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed")
    path = saved(network("wang"))
    assert run(path, "--fp16", "--target", "onnx").exit_code == 0
    onnx = path.parent / "model.fp16.onnx"
    for option, value, says in (
        ("--tiles", "100000", "--tiles 100000: 100000x64x64 is more than 65,536 images at once"),
        ("--tiles", "70000", "state at most 65536x64x64"),
        ("--shapes", "16x16,96x96,99999x96", "--shapes 16x16,96x96,99999x96: 1x99999x96 is more than"),
        ("--shapes", "16x16,9x9,96x96", "--shapes 16x16,9x9,96x96: expected growing sizes"),
        ("--shapes", "16x16,96x96,512x512", "half-precision attention overflows"),
    ):
        refused(run(onnx, "--engine", "rtx", option, value), 2, says)
    refused(run(onnx, "--engine", "rtx", "--tiles", "4", "--build-limit", "0.0001"), 1, "--build-limit MINUTES")
    large = run(onnx, "--engine", "rtx", "--key-limit", "0", "--shapes", "16x16,96x96,512x512")
    assert large.exit_code == 0, large.output
    assert "1x512x512 has 262,144 keys at scale 1: beyond 65,504 half-precision attention may overflow" in caplog.text
