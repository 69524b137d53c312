"""Small networks with weights that exercise everything: scales, norms, exits, logits of a few units."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from pnen_export import export as module
from pnen_export.deploy import Deployed
from pnen_export.inputs import Input, make_batch
from pnen_export.onnx_graph import export_graph
from pnen_train.checkpoint import Checkpoint, save_checkpoint
from pnen_train.models import build
from pnen_train.models.pnb import PyramidNonLocal

SMALL = {"channels": 8, "stages": 2, "dilations": [1, 2], "key_channels": 8, "value_channels": 12, "init": "he"}
NETWORKS = {
    "pyramid": {"scales": [2, 4, 8]},
    "wide keys": {"stages": 1, "scales": [4], "key_channels": 20, "value_channels": 8},
    "wang": {"stages": 1, "scales": [1], "block_kernel": 1},
    "last stage only": {"block_stages": [2], "scales": [2]},
    "without block": {"scales": []},
    "grey": {"stages": 1, "image_channels": 1, "scales": [2]},
}


def make_network(name: str = "pyramid", **settings: object) -> torch.nn.Module:
    """A network of `NETWORKS` in evaluation mode; its pictures stay near [0, 1], its norms are not the identity."""
    torch.manual_seed(0)
    model = build("pnen", SMALL | NETWORKS[name] | settings).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for part in (module.weight, module.running_var):
                    part.uniform_(0.5, 1.5)
                for part in (module.bias, module.running_mean):
                    part.normal_(0, 0.1)
            if isinstance(module, PyramidNonLocal):
                module.query.weight.mul_(0.02)
                module.merge.weight.mul_(0.2)
        for leave in model.exits:
            leave[-1].weight.mul_(0.1)
        model.output_weights.add_(torch.linspace(0, 0.1, len(model.output_weights)))
    return model


@pytest.fixture(scope="session")
def network():
    """network(name of `NETWORKS`, **settings) → a small network with random weights."""
    return make_network


@pytest.fixture(scope="session")
def graph():
    """graph(network, precision, target) → its ONNX graph, exported once."""
    made: dict = {}

    def make(name: str, precision: str = "fp32", target: str = "onnx"):
        if (name, precision, target) not in made:
            model = make_network(name)
            deployed = Deployed(model, precision, equal_heads=target == "onnx")
            made[name, precision, target] = export_graph(deployed, model.config.image_channels, target)
        return made[name, precision, target]

    return make


@pytest.fixture(scope="session")
def session():
    """session(graph) → what ONNX Runtime computes with it, as a function of a batch."""

    def open_session(graph):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        opened = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return lambda batch: opened.run(["smooth"], {"image": batch})[0]

    return open_session


@pytest.fixture(scope="session")
def checkpoint():
    """checkpoint(model, **training record) → a checkpoint as the trainer makes it."""

    def make(model: torch.nn.Module | None = None, **training: object) -> Checkpoint:
        record = {"task": {"filter": "l0", "lambda": 0.02}, "crop": 48, "tile": 64, "tile_step": 40} | training
        return Checkpoint.of("pnen", model or make_network(), step=7, training=record)

    return make


@pytest.fixture
def saved(tmp_path, checkpoint):
    """saved(model, **training record) → path of a checkpoint file."""

    def save(model: torch.nn.Module | None = None, **training: object):
        save_checkpoint(tmp_path / "model.pt", checkpoint(model, **training))
        return tmp_path / "model.pt"

    return save


@pytest.fixture
def quick(monkeypatch):
    """The comparison on two small inputs, where a test is about what comes of it."""

    def few(channels: int, _tile: int) -> list[Input]:
        return [Input(kind, "1x37x53", [make_batch(kind, 1, 37, 53, channels)]) for kind in ("photograph", "noise")]

    monkeypatch.setattr("pnen_export.export.make_inputs", few)
    monkeypatch.setattr(
        "pnen_export.export.photograph_tiles", lambda channels, _: [np.full((1, channels, 32, 32), 0.5, np.float32)]
    )


@pytest.fixture
def change_exported(monkeypatch):
    """change_exported(change) → from now on the first weights of every exported graph goes through `change`."""

    def change_first_weights(change):
        def changed(*arguments):
            exported = original(*arguments)
            first = next(node for node in exported.graph.node if node.op_type == "Conv")
            weights = next(entry for entry in exported.graph.initializer if entry.name == first.input[1])
            weights.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weights)), weights.name))
            return exported

        original = module.export_graph
        monkeypatch.setattr(module, "export_graph", changed)

    return change_first_weights
