"""Exported files as the ONNX importer of TensorRT 8.6 reads them: what it knows, and what it leaves out without a word.

Read out of its `docs/operators.md`, `builtin_op_importers.cpp` and `onnx2trt_utils.cpp` (onnx-tensorrt, branch
release/8.6-GA); 8.5 and 9.0 to 9.3 read no less of what is here.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pnen_export import lowering
from pnen_export.deploy import Deployed
from pnen_export.onnx_graph import OPSET, export_graph
from pnen_runtime import bundled_models
from pnen_train.models import MODELS

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16}
NUMBERS = FLOATS | {TensorProto.INT32, TensorProto.INT64}  # INT64 becomes INT32, clamped
ANY = NUMBERS | {TensorProto.BOOL}
KERNEL = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
LARGEST = 2**31 - 1


class Reads(NamedTuple):
    """What the importer takes of an operator."""

    types: set[int]  # of the first input
    attributes: tuple[str, ...] = ()
    inputs: int = 2
    constant: tuple[int, ...] = ()  # inputs that must not be computed


READS = {
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), Reads(NUMBERS)),
    **dict.fromkeys(("Abs", "Neg"), Reads(NUMBERS, inputs=1)),
    **dict.fromkeys(("Exp", "Log", "Relu", "Tanh"), Reads(FLOATS, inputs=1)),
    "Cast": Reads(ANY, ("to",), 1),
    "Clip": Reads(FLOATS, (), 3, (1, 2)),
    "Concat": Reads(ANY, ("axis",), 99),
    "Conv": Reads(FLOATS, KERNEL, 3, (1, 2)),
    "ConvTranspose": Reads(FLOATS, (*KERNEL, "output_padding", "output_shape"), 3, (1, 2)),
    "DepthToSpace": Reads(FLOATS, ("blocksize", "mode"), 1),
    "Expand": Reads(ANY),
    "Gather": Reads(ANY, ("axis",)),
    "LeakyRelu": Reads(FLOATS, ("alpha",), 1),
    "Identity": Reads(ANY, (), 1),
    "MatMul": Reads(FLOATS),
    "Mod": Reads(NUMBERS, ("fmod",)),
    "Pad": Reads(NUMBERS, ("mode",), 3, (2,)),  # with axes, opset 18's fourth input, it is refused
    "ReduceSum": Reads(FLOATS, ("keepdims",), 2, (1,)),
    "Reshape": Reads(ANY, ("allowzero",)),
    "Shape": Reads(ANY, (), 1),
    "Slice": Reads(ANY, (), 5, (3,)),
    "Softmax": Reads(FLOATS, ("axis",), 1),
    "Squeeze": Reads(ANY, (), 2, (1,)),
    "Transpose": Reads(ANY, ("perm",), 1),
    "Unsqueeze": Reads(ANY, (), 2, (1,)),
}


def complaints(model: onnx.ModelProto) -> list[str]:
    """What the importer refuses in a graph, or leaves out though it means something."""
    graph, found = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph, []
    constants = {weight.name: weight for weight in graph.initializer}
    types = {info.name: info.type.tensor_type.elem_type for info in (*graph.input, *graph.value_info, *graph.output)}
    types |= {name: weight.data_type for name, weight in constants.items()}
    for node in graph.node:
        reads, schema = READS.get(node.op_type), onnx.defs.get_schema(node.op_type, OPSET)
        if reads is None or node.domain:
            found.append(f"{node.op_type} is unknown")
            continue
        if types[node.input[0]] not in reads.types:
            found.append(f"{node.op_type} of {TensorProto.DataType.Name(types[node.input[0]])}")
        for attribute in node.attribute:
            default = helper.get_attribute_value(schema.attributes[attribute.name].default_value)
            if attribute.name not in reads.attributes and helper.get_attribute_value(attribute) != default:
                found.append(f"{node.op_type} with {attribute.name}")
        found += [f"{node.op_type} with input {n}" for n, name in enumerate(node.input) if name and n >= reads.inputs]
        given = {n: name for n, name in enumerate(node.input) if name}
        found += [f"{node.op_type} with input {n} computed" for n in reads.constant if given.get(n, "") not in
                  (*constants, "")]  # fmt: skip
        if node.op_type == "Pad" and given[1] in constants and numpy_helper.to_array(constants[given[1]]).min() < 0:
            found.append("Pad by less than nothing")
    return found


def as_read(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without what the importer does not read, and with constants of 32 bits."""
    read = onnx.ModelProto.FromString(model.SerializeToString())
    for node in read.graph.node:
        kept = [attribute for attribute in node.attribute if attribute.name in READS[node.op_type].attributes]
        inputs = list(node.input)[: READS[node.op_type].inputs]
        node.ClearField("attribute"), node.ClearField("input")
        node.attribute.extend(kept), node.input.extend(inputs)
    for weight in read.graph.initializer:
        if weight.data_type == TensorProto.INT64:
            clamped = np.clip(numpy_helper.to_array(weight), -LARGEST, LARGEST)
            weight.CopyFrom(numpy_helper.from_array(clamped, weight.name))
    return read


def random_inputs(model: onnx.ModelProto) -> list[np.ndarray]:
    """Neither square nor even, and two of each."""
    random = np.random.default_rng(0)
    channels = [entry.type.tensor_type.shape.dim[1].dim_value for entry in model.graph.input]
    return [random.random((2, count, 37, 53), np.float32) for count in channels]


KINDS = ["pyramid", "wide keys", "wang", "last stage only", "without block", "grey", "tiling",
         "djf", "ceilnet", "ceilnet_single", "resnet", "rdn", "memnet",
         "adjustable", "adjustable thirds"]  # fmt: skip
USED = sorted({*bundled_models(), "denoise", "enlarge2", "enlarge3"})  # what is trained and handed out


def test_every_network_is_among_the_kinds():
    assert set(MODELS) - {"pnen"} <= set(KINDS)


@pytest.mark.parametrize(("name", "precision"), [*product(KINDS, ("fp32", "fp16")), *product(USED, ("fp16",))])
def test_the_importer_of_8_6_reads_all_of_a_file_and_it_computes_the_same(graph, session, name, precision):
    model = graph(name, precision)
    assert complaints(model) == []
    given = random_inputs(model)
    np.testing.assert_array_equal(session(as_read(model))(*given), session(model)(*given))


def test_operators_that_came_after_opset_17_are_not_on_the_list():
    """8.6 knows opsets up to 17; of what 18 changed here, Pad's axes, it refuses the graph."""
    assert {name for name in READS if onnx.defs.get_schema(name, OPSET).since_version > 17} == {"Pad"}


@pytest.mark.parametrize("name", ["pyramid", "tiling", "ceilnet", "rdn", "memnet"])
def test_shapes_as_the_exporter_writes_them_would_be_misread(network, session, monkeypatch, name):
    monkeypatch.setattr(lowering, "lower_shapes", lambda _graph: None)
    model = network(name)
    exported = export_graph(Deployed(model, equal_heads=True), model.config.image_channels, "onnx")
    assert set(complaints(exported)) == {"Shape with start", "Shape with end"}
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        session(as_read(exported))(*random_inputs(exported))
