"""ONNX files that would crash, hang or read elsewhere are refused before ONNX Runtime or TensorRT sees them."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pnen_runtime import EngineError
from pnen_runtime.backends import open_backend
from pnen_runtime.card import KEY
from pnen_runtime.models import BUNDLED
from pnen_runtime.onnx_check import check_onnx, graph_sha256


def endless():
    ends = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("i", "go")]
    ends[0].type.tensor_type.elem_type = TensorProto.INT64
    body = helper.make_graph([helper.make_node("Identity", ["go"], ["on"])], "body", ends,
                             [helper.make_tensor_value_info("on", TensorProto.BOOL, [])])  # fmt: skip
    return helper.make_node("Loop", ["", "yes"], [], body=body)


def elsewhere(model) -> None:
    tensor = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def elsewhere_in_a_node(model) -> None:
    elsewhere(model)
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=model.graph.initializer.pop()))


def sparse(model) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "v")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))


def branching(model) -> None:
    model.graph.node.append(helper.make_node("If", ["c"], ["o"], then_branch=model.graph))


def in_a_function(model) -> None:
    model.functions.append(helper.make_function("d", "F", [], [], [endless()], []))


HOSTILE = {
    "a node without outputs": lambda model: model.graph.node.append(helper.make_node("Relu", ["image"], [])),
    "a graph inside the graph": branching,
    "weights in other files": elsewhere,
    "weights in other files ": elsewhere_in_a_node,
    "sparse weights": sparse,
    "without outputs": lambda model: model.graph.node.append(endless()),
    "without outputs ": in_a_function,
}  # fmt: skip


@pytest.mark.parametrize("says", HOSTILE)
def test_what_none_of_our_files_holds_is_refused(model, says):
    path = model()
    graph = onnx.load(path)
    HOSTILE[says](graph)
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(EngineError, match=f"{says.strip()}.*it was not opened"):
        open_backend(path)


def test_a_changed_byte_is_told_by_the_digest_in_the_card(model):
    path = model("invert")
    graph = onnx.load(path)
    del graph.metadata_props[:]
    digest = graph_sha256(graph.SerializeToString())
    card = json.loads(onnx.load(path).metadata_props[0].value) | {"graph_sha256": digest}
    helper.set_model_props(graph, {KEY: json.dumps(card)})
    data = graph.SerializeToString()
    check_onnx(data, path)
    for place in range(len(data) - len(json.dumps(card)) - 10):
        changed = bytearray(data)
        changed[place] ^= 4
        with pytest.raises(EngineError, match=r"damaged or changed|truncated|not opened"):
            check_onnx(bytes(changed), path)


def test_a_file_without_a_digest_is_taken_and_a_foreign_digest_is_not(model, tmp_path):
    open_backend(model("identity")).close()
    with pytest.raises(EngineError, match="damaged or changed"):
        open_backend(model("invert", graph_sha256="0" * 64))


def test_a_card_whose_digest_was_damaged_away_is_no_way_around_it(write, card, tmp_path):
    for damaged in ("graph_sha2=6", "x"):
        text = card(graph_sha256="0" * 64).to_json().replace("graph_sha256", damaged)
        path = write(tmp_path / "invert.onnx", "invert", text)
        with pytest.raises(EngineError, match="model card without graph_sha256.*it was not opened"):
            open_backend(path)


@pytest.mark.parametrize("file", sorted(BUNDLED.glob("*.onnx")), ids=lambda file: file.stem)
def test_the_bundled_files_are_as_they_were_exported(file):
    data = file.read_bytes()
    check_onnx(data, file)
    assert graph_sha256(data) in data.decode(errors="replace")


def test_metadata_that_are_no_text_are_one_line(model):
    path = model()
    path.write_bytes(path.read_bytes().replace(b'"network"', b'"netw\xff\xfek"'))
    with pytest.raises(EngineError, match="identity.onnx") as caught:
        open_backend(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [b"\x12\x01W", b"\x0a\x05image", b"\x0a\x06smooth"])
def test_names_of_inputs_and_axes_that_are_no_text_are_one_line(model, name):
    path = model()
    path.write_bytes(path.read_bytes().replace(name, name[:2] + b"\xff" * (len(name) - 2)))
    with pytest.raises(EngineError, match="identity.onnx") as caught:
        open_backend(path)
    assert "\n" not in str(caught.value)
