"""Weights that 16 bits hold without loss are stored in 16 bits; computing stays in float32."""

import numpy as np
import onnx
from onnx import numpy_helper

LEAST = 1024  # values, of a weight that is worth a node


def narrow(model: onnx.ModelProto) -> None:
    """Store float32 weights that are half-precision numbers as such, each with a Cast back to float32.

    ONNX Runtime folds the Cast when it loads the file, so results and speed are those of the wide file. For its files
    alone: the importer of TensorRT 8.6 takes weights of convolutions from initializers only.
    """
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT:
            continue
        wide = numpy_helper.to_array(weight)
        with np.errstate(over="ignore"):
            half = wide.astype(np.float16)
        if wide.size < LEAST or not np.array_equal(half.astype(np.float32), wide):
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [weight.name], [name], f"{name}.wide", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
