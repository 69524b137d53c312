"""Weights of 16 bits are stored in 16 bits, and nothing else changes."""

import numpy as np
import onnx
import pytest
import torch

from pnen_export.deploy import Deployed
from pnen_export.narrow import LEAST, narrow
from pnen_export.onnx_graph import export_graph
from pnen_train.models import build


def graph_of(*weights):
    """A graph whose initializers are these arrays; it adds the first to its input."""
    values = [onnx.numpy_helper.from_array(weight, f"w{number}") for number, weight in enumerate(weights)]
    io = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    add = onnx.helper.make_node("Add", ["x", "w0"], ["y"])
    return onnx.helper.make_model(onnx.helper.make_graph([add], "g", io[:1], io[1:], values))


@pytest.mark.parametrize(("weight", "half"), [
    (np.linspace(-1, 1, LEAST).astype(np.float16).astype(np.float32), True),
    (np.linspace(-1, 1, LEAST).astype(np.float32), False),  # not one of 16 bits
    (np.full(LEAST, 1e6, np.float32), False),  # beyond them
    (np.full(LEAST, 1e-9, np.float32), False),  # below them
    (np.zeros(LEAST - 1, np.float32), False),  # not worth a node
    (np.arange(LEAST, dtype=np.int64), False),
])  # fmt: skip
def test_only_what_fits_without_loss_is_narrowed(weight, half):
    model = graph_of(weight)
    narrow(model)
    (kept,) = model.graph.initializer
    stored = onnx.numpy_helper.to_array(kept)
    assert (stored.dtype == np.float16) == half and [node.op_type for node in model.graph.node][:half] == [
        "Cast"
    ] * half
    np.testing.assert_array_equal(stored.astype(weight.dtype), weight)


def test_results_are_those_of_the_wide_file(session, monkeypatch):
    torch.manual_seed(0)
    model = build("pnen", {"channels": 16, "stages": 2, "grid": 2, "scales": [4]}).eval()
    model.load_state_dict({name: value.half() for name, value in model.state_dict().items()})
    lean = export_graph(Deployed(model), 3, "ort")
    monkeypatch.setattr("pnen_export.onnx_graph.narrow", lambda _: None)
    wide = export_graph(Deployed(model), 3, "ort")
    assert len(lean.SerializeToString()) < 0.85 * len(wide.SerializeToString())
    image = np.random.default_rng(0).random((1, 3, 40, 56), np.float32)
    np.testing.assert_array_equal(session(lean)(image), session(wide)(image))


def test_files_for_tensorrt_keep_their_weights():
    model = build("pnen", {"channels": 16, "stages": 2, "scales": []}).eval()
    model.load_state_dict({name: value.half() for name, value in model.state_dict().items()})
    graph = export_graph(Deployed(model), 3, "onnx").graph
    assert all(weight.data_type != onnx.TensorProto.FLOAT16 for weight in graph.initializer)
