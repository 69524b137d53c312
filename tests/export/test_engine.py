"""Engines of TensorRT-RTX, which are built without a GPU: what is written, refused and proven."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pnen_export.deploy import Deployed
from pnen_export.engine import build_engine, sidecar
from pnen_export.engine_command import engine_report, make_engine
from pnen_export.onnx_graph import export_graph
from pnen_export.profiles import read_profile
from pnen_export.record import make_card
from pnen_runtime.backends import open_backend
from pnen_runtime.card import KEY, Card
from pnen_runtime.cuda.driver import first_gpu
from pnen_runtime.engine_file import read_engine
from pnen_runtime.errors import BackendMissing, EngineError, ParityError, UsageError
from pnen_train.models import build

TILES = read_profile("1x16x16,4x64x64,4x64x64")


@pytest.fixture(scope="module")
def rtx():
    return pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed", exc_type=ImportError)


@pytest.fixture(scope="session")
def card(checkpoint, network):
    """card(name of the network, precision)."""
    return lambda name="pyramid", precision="fp16": replace(make_card(checkpoint(network(name))), precision=precision)


def save(graph, card, path):
    graph = onnx.ModelProto.FromString(graph.SerializeToString())
    helper.set_model_props(graph, {KEY: card.to_json()})
    path.write_bytes(graph.SerializeToString())
    return path


@pytest.fixture
def exported(tmp_path, graph, card):
    """exported(network, precision) → an ONNX file with its card."""
    return lambda name="pyramid", precision="fp16": save(
        graph(name, precision), card(name, precision), tmp_path / "model.fp16.onnx"
    )


@pytest.mark.rtx
def test_writes_a_plain_plan_that_carries_its_card(rtx, exported, tmp_path):
    path, steps = tmp_path / "new" / "model.fp16.engine", []
    card = build_engine(rtx, exported(), path, profiles=[TILES], watch=lambda *step: steps.append(step))
    plan = path.read_bytes()
    assert plan[1:4] == b"trt"  # nothing stands before what trtexec looks for
    name = plan[plan.index(b'{"network"') :].split(b"\0")[0]
    inside, beside = (Card.from_json(text) for text in (json_at_start(name.decode(errors="replace")), read(path)))
    assert beside == card
    found = {"engine": inside.engine | {"built": card.engine["built"]}, "parity": card.parity}
    assert beside == replace(inside, **found)
    assert card.engine["built"]["plan_bytes"] == len(plan) and card.parity == {"not_run": "not asked for", "onnx": {}}
    assert read_engine(path).card == card  # what the runtime takes it for
    assert card.engine["profiles"] == [[[1, 16, 16], [4, 64, 64], [4, 64, 64]]]
    assert card.engine["compute_capabilities"] == ["SM75", "SM80", "SM86", "SM89", "SM120", "SM121"]
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name, path.name + ".json"]
    shares = [done / total for name, done, total in steps if name == path.name]
    assert len(shares) > 10 and shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1


def json_at_start(text: str) -> str:
    return text[: json.JSONDecoder().raw_decode(text)[1]]


def read(path) -> str:
    return sidecar(path).read_text(encoding="utf-8")


@pytest.mark.rtx
def test_proves_half_precision_and_fused_attention(rtx, exported, tmp_path):
    profile = read_profile("1x16x16,4x128x128,4x128x128")
    card = build_engine(rtx, exported(), tmp_path / "model.engine", profiles=[profile])
    built = card.engine["built"]
    assert built["half_share"]["weights"] > 0.99 and built["half_share"]["graph"] == 1
    assert built["attention_fused"] == [True]
    assert "attention fused" in engine_report(card)[1]


@pytest.mark.rtx
@pytest.mark.parametrize(("scales", "fused"), [([8], [None, True]), ([], [None, None])])
def test_an_adjustable_network_takes_its_strengths_at_every_size_and_is_fused(rtx, checkpoint, tmp_path, scales, fused):
    settings = {"channels": 32, "stages": 1, "key_channels": 16, "value_channels": 32, "scales": scales}
    coarse = {"grid": 2, "equivariant": True, "strengths": [0.002, 0.2]}
    model = build("pnen", settings | coarse).eval()
    made = make_card(checkpoint(model, task={"filter": "l0", "strength": 0.02}))
    graph = export_graph(Deployed(model, "fp16", equal_heads=True), 3, "onnx")
    file = save(graph, replace(made, precision="fp16"), tmp_path / "model.fp16.onnx")
    sizes = [read_profile("1x16x16,8x96x96,8x96x96"), read_profile("1x16x16,1x512x512,1x512x512")]
    card = build_engine(rtx, file, tmp_path / "model.engine", profiles=sizes)
    assert card.strength["default"] == 0.02 and card.engine["built"]["half_share"]["graph"] == 1
    assert card.engine["built"]["attention_fused"] == fused
    assert all(memory < 1.1e8 for memory in card.engine["built"]["activation_bytes"])
    assert read_engine(tmp_path / "model.engine").card.strength == card.strength


@pytest.mark.rtx
def test_a_single_precision_file_never_becomes_a_half_precision_engine(rtx, exported, graph, card, tmp_path):
    engine = tmp_path / "model.engine"
    for file in (exported(precision="fp32"), save(graph("pyramid"), card(precision="fp16"), tmp_path / "lies.onnx")):
        with pytest.raises(ParityError, match=r"0% in half precision.*export the checkpoint with --fp16"):
            build_engine(rtx, file, engine, profiles=[TILES], precision="fp16")
    with pytest.raises(ParityError, match="--fp32"):
        build_engine(rtx, exported(), engine, profiles=[TILES], precision="fp32")
    assert not engine.exists()


@pytest.mark.rtx
def test_half_weights_that_are_widened_before_use_are_no_half_precision(rtx, graph, card, tmp_path):
    widened = onnx.ModelProto.FromString(graph("without block").SerializeToString())
    nodes = widened.graph.node
    for weight in list(widened.graph.initializer):
        if len(weight.dims) == 4:
            half = numpy_helper.from_array(numpy_helper.to_array(weight).astype("float16"), weight.name + "_half")
            widened.graph.initializer.remove(weight)
            widened.graph.initializer.append(half)
            nodes.insert(0, helper.make_node("Cast", [half.name], [weight.name], to=TensorProto.FLOAT))
    file = save(widened, card("without block"), tmp_path / "model.onnx")
    with pytest.raises(ParityError, match="the layers of .* are in FP32"):
        build_engine(rtx, file, tmp_path / "model.engine", profiles=[TILES])
    assert not (tmp_path / "model.engine").exists()


@pytest.mark.rtx
@pytest.mark.parametrize("name", ["without block", "pyramid"])
def test_single_precision_can_be_built_as_such_but_not_for_turing(rtx, exported, tmp_path, name):
    card = build_engine(rtx, exported(name, "fp32"), tmp_path / "model.engine", profiles=[TILES])
    assert card.precision == "fp32" and card.engine["built"]["half_share"]["graph"] == 0
    assert card.engine["built"]["attention_fused"] == [None]
    assert card.engine["compute_capabilities"] == ["SM80", "SM86", "SM89", "SM120", "SM121"]


@pytest.mark.rtx
def test_a_refused_graph_leaves_the_log_and_the_old_engine(rtx, card, tmp_path):
    engine = tmp_path / "model.engine"
    engine.write_bytes(b"old")
    image, smooth = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", 3, "h", "w"]) for n in ("image", "smooth")
    )
    body = helper.make_graph([helper.make_node("Unheard", ["image"], ["smooth"], domain="of")], "g", [image], [smooth])
    file = save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("of", 1)]),
                card(precision="fp32"), tmp_path / "model.onnx")  # fmt: skip
    with pytest.raises(EngineError, match=r"cannot read the graph: .*model.engine.log"):
        build_engine(rtx, file, engine, profiles=[TILES])
    assert "Unheard" in (tmp_path / "model.engine.log").read_text()
    assert engine.read_bytes() == b"old"


@pytest.mark.rtx
def test_ctrl_c_ends_a_build_and_leaves_nothing(rtx, exported, tmp_path):
    def press(_name, done, _total):
        if done > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(rtx, exported(), tmp_path / "model.engine", profiles=[TILES], watch=press)
    assert [path.name for path in tmp_path.iterdir()] == ["model.fp16.onnx"]


@pytest.mark.rtx
def test_where_the_graph_is_typed_the_inspector_decides_nothing(rtx, exported, tmp_path, monkeypatch):
    monkeypatch.setattr("pnen_export.engine.inspected_share", lambda *_: 0.4)  # a single layer in FP32 among few
    card = build_engine(rtx, exported("without block"), tmp_path / "model.engine", profiles=[TILES])
    assert card.engine["built"]["half_share"] == {"weights": pytest.approx(1, abs=0.01), "graph": 1, "engine": 0.4}
    monkeypatch.setattr("pnen_export.engine.typed_share", lambda *_: None)  # as in TensorRT 8.6
    with pytest.raises(ParityError, match="40% in half precision"):
        build_engine(rtx, exported("without block"), tmp_path / "model.engine", profiles=[TILES])


@pytest.mark.rtx
def test_options_that_tensorrt_rtx_lacks_are_wrong_usage(rtx, exported, tmp_path):
    for option in ({"hardware": "ampere+"}, {"version_compatible": True}):
        with pytest.raises(UsageError, match="TensorRT-RTX"):
            build_engine(rtx, exported(), tmp_path / "model.engine", profiles=[TILES], **option)


@pytest.mark.rtx
def test_the_second_build_comes_from_the_cache_unless_anything_changed(rtx, exported, tmp_path, monkeypatch):
    cache, engine, ticks = tmp_path / "cache", tmp_path / "model.engine", []  # of a clock that steps of a build move
    monkeypatch.setattr("pnen_export.engine.time", SimpleNamespace(perf_counter=lambda: float(len(ticks))))

    def build_it(name="pyramid", profile=TILES):
        before = len(ticks)
        card = build_engine(
            rtx, exported(name), engine, profiles=[profile], cache=cache, watch=lambda *step: ticks.append(step)
        )
        return card, engine.read_bytes(), len(ticks) > before

    first = build_it()
    engine.unlink()
    assert first[2]
    again, plan, was_built = build_it()
    built = again.engine["built"]
    assert (plan, was_built, built["cached"]) == (first[1], False, True)
    assert replace(again, engine=again.engine | {"built": built | {"seconds": 0}}) == replace(
        first[0], engine=first[0].engine | {"built": first[0].engine["built"] | {"seconds": 0, "cached": True}}
    )
    assert built["seconds"] == 0 < first[0].engine["built"]["seconds"]
    assert "s out of the cache" in engine_report(again)[0]
    assert build_it(profile=read_profile("16x16,64x64,64x64"))[2]
    assert build_it("last stage only")[2]
    (stored,) = [path for path in cache.glob("*.engine") if path.read_bytes() == first[1]]
    stored.write_bytes(first[1][:-1])
    assert build_it()[2]  # a damaged one is built again
    monkeypatch.setattr(rtx, "__version__", "0.0")
    assert build_it()[2]


@pytest.mark.rtx
def test_builds_where_torch_and_onnx_are_not_installed(rtx, exported, tmp_path):
    code = """
import sys
sys.modules.update(dict.fromkeys(["torch", "onnx", "onnxruntime", "onnxscript", "pnen_train"]))
from pathlib import Path
from pnen_export.engine_command import engine_report, make_engine
path, card = make_engine(Path(sys.argv[1]), "rtx", tiles=2, shapes=["16x16,80x96,80x96"])
print(path.name, *engine_report(card), sep="\\n")
"""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code, exported()], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "model.fp16.engine" and "FP16 by the types of the graph" in lines[1]
    assert [line.split(",")[0] for line in lines[2:4]] == ["  1x16x16 to 2x64x64", "  1x16x16 to 1x80x96"]
    if first_gpu() is None:
        assert lines[4].startswith("not compared with PyTorch: it cannot be run here, expected an NVIDIA GPU")


@pytest.mark.rtx
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_torn_engine_is_built_again_with_its_own_options(rtx, exported, tmp_path, share):
    path, card = make_engine(exported(), "rtx", tiles=3, shapes=["16x16,80x96,80x96"], use_cache=False)
    plan = path.read_bytes()
    path.write_bytes(plan[: int(share * len(plan))])
    with pytest.raises(EngineError, match=r"--engine rtx --tiles 3 --shapes 1x16x16,1x80x96,1x80x96"):
        open_backend(path)
    try:
        open_backend(path, rebuild_engine=True).close()
    except BackendMissing:
        assert first_gpu() is None  # it was built again, but nothing here can run it
    assert read_engine(path).card.engine["profiles"] == card.engine["profiles"]


def test_a_file_for_onnx_runtime_is_wrong_usage(graph, card, tmp_path):
    file = save(graph("pyramid", "fp16", "ort"), replace(card(), target="ort"), tmp_path / "model.ort.onnx")
    with pytest.raises(UsageError, match=r"without \.ort"):
        build_engine(None, file, tmp_path / "model.engine")


def test_without_tensorrt_it_says_how_to_go_on(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    file = exported()
    line = make_engine(file, "auto")
    assert "pnen-export model.fp16.onnx --engine tensorrt" in line and "pip install tensorrt-rtx" in line
    for flavour, package in (("tensorrt", "tensorrt"), ("rtx", "tensorrt-rtx")):
        with pytest.raises(BackendMissing, match=f"pip install {package} "):
            make_engine(file, flavour)
