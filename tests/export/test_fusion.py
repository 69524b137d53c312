"""Whether attention is fused is told right: of the bundled network, as it is and broken in each way that loses it."""

from dataclasses import replace

import numpy as np
import pytest
from onnx import helper, numpy_helper

from pnen_export import lowering
from pnen_export.deploy import Deployed
from pnen_export.engine import build_engine
from pnen_export.engine_command import engine_report
from pnen_export.onnx_graph import export_graph
from pnen_export.profiles import read_profile
from pnen_export.record import make_card
from pnen_runtime.card import KEY
from pnen_runtime.errors import UsageError
from pnen_train.models import build

SIZES = "8x96x96", "8x128x128", "8x192x192", "1x512x512"
FULL_HD = read_profile("1x16x16,1x1080x1920,1x1080x1920")
PLAIN = lowering._plain_attention


def insert(operator, before):
    """The pattern with one more operator in front of the nodes of another kind."""

    def lower(graph, node, element):
        nodes = []
        for part in PLAIN(graph, node, element):
            if part.op_type == before:
                nodes.append(helper.make_node(operator, [part.input[0]], [f"{part.output[0]}_changed"]))
                part.input[0] = nodes[-1].output[0]
            nodes.append(part)
        return nodes

    return lower


def without_heads(graph, node, element):
    """Three axes: the softmax of q kᵀ, and no axis of heads."""
    (query, key, value), out = node.input, node.output[0]
    dtype = helper.tensor_dtype_to_np_dtype(element)
    graph.initializer.append(numpy_helper.from_array(np.array(1, dtype), f"{out}_one"))
    return [
        helper.make_node("Mul", [query, f"{out}_one"], [f"{out}_q"]),
        helper.make_node("Transpose", [key], [f"{out}_k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", [f"{out}_q", f"{out}_k"], [f"{out}_scores"]),
        helper.make_node("Softmax", [f"{out}_scores"], [f"{out}_weights"], axis=-1),
        helper.make_node("MatMul", [f"{out}_weights", value], [out]),
    ]


SMALL = {"channels": 32, "stages": 2, "scales": [8], "key_channels": 16, "value_channels": 32}
WAYS = {  # lowering, and whether heads have one width
    "as exported": (PLAIN, True),
    "unequal widths": (PLAIN, False),
    "without heads": (without_heads, True),
    "before the softmax": (insert("Tanh", "Softmax"), True),
}


@pytest.fixture(scope="module")
def rtx():
    return pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed", exc_type=ImportError)


def write(path, checkpoint, equal_heads=True):
    """The FP16 file of a checkpoint, and its card."""
    graph = export_graph(Deployed(checkpoint.model(), "fp16", equal_heads=equal_heads), 3, "onnx")
    helper.set_model_props(graph, {KEY: replace(make_card(checkpoint), precision="fp16").to_json()})
    path.write_bytes(graph.SerializeToString())
    return path


@pytest.mark.rtx
@pytest.mark.parametrize("way", WAYS)
def test_every_loss_of_the_fusion_is_told_at_every_size(rtx, checkpoint, tmp_path, monkeypatch, way):
    lower, equal_heads = WAYS[way]
    monkeypatch.setattr(lowering, "_plain_attention", lower)
    small = checkpoint(build("pnen", SMALL).eval(), tile=192, tile_step=160)
    file = write(tmp_path / "l0.fp16.onnx", small, equal_heads)
    profiles = [read_profile(f"1x16x16,{size},{size}") for size in SIZES]
    card = build_engine(rtx, file, tmp_path / "l0.engine", profiles=profiles)
    fused = way == "as exported"
    assert card.engine["built"]["attention_fused"] == [fused] * len(SIZES), card.engine["built"]["activation_bytes"]
    said = [line.partition("MB, ")[2].partition(":")[0] for line in engine_report(card)[1 : 1 + len(SIZES)]]
    assert said == ["attention fused" if fused else "attention NOT fused"] * len(SIZES)


@pytest.mark.rtx
@pytest.mark.parametrize(
    ("name", "settings", "most_bytes"),
    [
        ("full", {}, [75e6, 2.2e9]),
        ("small", SMALL, [70e6, 1e9]),
    ],
)
def test_the_published_network_is_fused_at_tiles_and_full_hd_for_every_gpu(
    rtx, checkpoint, tmp_path, name, settings, most_bytes
):
    """Memory is the proof: unfused the full one takes 703 MiB for 8 tiles."""
    model = build("pnen", settings).eval()
    file = write(tmp_path / "model.fp16.onnx", checkpoint(model))
    tiles = read_profile("1x16x16,8x96x96,8x96x96")
    card = build_engine(rtx, file, tmp_path / "model.engine", profiles=[tiles, FULL_HD], key_limit=None)
    memory = card.engine["built"]["activation_bytes"]
    assert len(memory) == 2 and all(found <= most for found, most in zip(memory, most_bytes, strict=True)), memory
    assert (tmp_path / "model.engine").stat().st_size < 12e6
    if name == "full":
        assert card.engine["built"]["attention_fused"] == [True, None]
        with pytest.raises(
            UsageError, match=r"1x1080x1920 has 518,400 keys at scale 2.* at most 1x384x682 .*FP32 file"
        ):
            build_engine(rtx, file, tmp_path / "model.engine", profiles=[tiles, FULL_HD])
