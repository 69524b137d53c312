"""Small networks with weights that exercise everything: scales, norms, exits, logits of a few units."""

from __future__ import annotations

import os

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from pnen_export import export as module
from pnen_export.deploy import Deployed
from pnen_export.inputs import Input, make_batch
from pnen_export.onnx_graph import export_graph
from pnen_runtime.files import write_bytes
from pnen_runtime.models import bundled_models
from pnen_train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pnen_train.config import read_recipe
from pnen_train.models import build
from pnen_train.models.pnb import PyramidNonLocal, as_pixels, queries
from pnen_train.training.state import build_network

SMALL = {"channels": 8, "stages": 2, "dilations": [1, 2], "key_channels": 8, "value_channels": 12, "init": "he"}
NETWORKS = {
    "pyramid": {"scales": [2, 4, 8]},
    "wide keys": {"stages": 1, "scales": [4], "key_channels": 20, "value_channels": 8},
    "wang": {"stages": 1, "scales": [1], "block_kernel": 1},
    "last stage only": {"block_stages": [2], "scales": [2]},
    "without block": {"scales": []},
    "grey": {"stages": 1, "image_channels": 1, "scales": [2]},
    "tiling": {"stages": 1, "scales": [2, 8], "block_kernel": "stride", "query_per_scale": True, "block_bias": True},
    "adjustable": {
        "grid": 2,
        "scales": [8],
        "equivariant": True,
        "strengths": [0.002, 0.2],
        "leak": 0.1,
        "contrast_power": 0.5,
    },
    "adjustable thirds": {"grid": 3, "scales": [6], "strengths": [0.5, 75.0], "strength_scale": "linear"},
    "adjustable halves": {"grid": 2, "scales": [], "equivariant": True, "strengths": [0.002, 0.2], "stages": 1},
    "adjustable pixels": {"scales": [], "strengths": [0.002, 0.2], "stages": 1},
    "quarters": {"grid": 4, "scales": [8], "stages": 1},
    "equivariant": {"scales": [4], "equivariant": True, "stages": 1},
}
RECIPES = ["denoise", "enlarge2", "enlarge3"]
BLOCKS = {"scales": [2, 4], "key_channels": 6, "value_channels": 5, "before": [2]}
OTHERS = {  # by name of the network or of a preset
    "djf": {"channels": 8, "fused_channels": 8},
    "ceilnet": {"channels": 8, "blocks": 1},
    "ceilnet_single": {"channels": 8, "blocks": 1},
    "resnet": {"channels": 8, "blocks": 1, "tail_channels": 12},
    "rdn": {"channels": 8, "dense_layers": 2, "blocks": 2} | BLOCKS,
    "memnet": {"channels": 8, "recursions": 2, "blocks": 2, "deeper": True} | BLOCKS,
}


def make_network(name: str = "pyramid", **settings: object) -> torch.nn.Module:
    """A network in evaluation mode; its pictures stay near [0, 1], its norms do something.

    It is one of `NETWORKS` or `OTHERS`, a bundled one with its own weights, or that of a recipe.
    """
    torch.manual_seed(0)
    if name in bundled_models():
        return load_checkpoint(name).model().eval()
    if name in RECIPES:
        return shaken(build_network(read_recipe(name)).eval())
    if name in OTHERS:
        return make_other(name, OTHERS[name] | settings)
    model = build("pnen", SMALL | NETWORKS[name] | settings).eval()
    with torch.no_grad():
        for module in model.modules():
            shake(module)
            if isinstance(module, PyramidNonLocal):
                for weight in module.query.parameters():
                    weight.mul_(0.02)
                module.merge.weight.mul_(0.2)
        if model.config.equivariant:
            model.entry.weight.mul_(0.2)  # noise differs more between neighbours than pictures do
        for leave in model.exits:
            leave[-1].weight.mul_(0.1)
        model.output_weights.add_(torch.linspace(0, 0.1, len(model.output_weights)))
    return model


@torch.no_grad()
def make_other(name: str, settings: dict) -> torch.nn.Module:
    """Logits of a few units, and a final image with a standard deviation of 0.2 from the first one."""

    def tame(block: PyramidNonLocal, inputs: tuple[torch.Tensor]) -> None:
        keys = [as_pixels(key(inputs[0])).mT for key in block.keys]
        asked = queries(block.query, inputs[0], len(keys))
        largest = max(float((query @ key).abs().max()) for query, key in zip(asked, keys, strict=True))
        for weight in block.query.parameters():
            weight.mul_(4 / largest)

    model = build(name, settings).eval()
    for part in model.modules():
        shake(part)
        if isinstance(part, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            torch.nn.init.kaiming_normal_(part.weight)
    blocks = (part for part in model.modules() if isinstance(part, PyramidNonLocal))
    hooks = [block.register_forward_pre_hook(tame) for block in blocks]
    image = torch.rand(1, model.config.image_channels, 48, 48)
    change = (model(image)[-1] - image).std()
    for hook in hooks:
        hook.remove()
    last = [part for part in model.modules() if isinstance(part, torch.nn.Conv2d)][-1]
    for weight in last.parameters():
        weight.mul_(0.2 / change)
    return model


@torch.no_grad()
def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """The same with every weight a little off where it began: exits begin with nothing."""
    for part in model.modules():
        shake(part)
    for weight in model.parameters():
        weight.add_(0.01 * torch.randn_like(weight))
    return model


def shake(module: torch.nn.Module) -> None:
    """Statistics of its own for a norm."""
    if isinstance(module, torch.nn.BatchNorm2d):
        for part in (module.weight, module.running_var):
            torch.nn.init.uniform_(part, 0.5, 1.5)
        for part in (module.bias, module.running_mean):
            torch.nn.init.normal_(part, 0, 0.1)


@pytest.fixture(scope="session")
def network():
    """network(name, **settings of a small one) → a network as `make_network` says."""
    return make_network


@pytest.fixture(scope="session")
def given():
    """given(model, batch, height, width) → what the network takes: an image, and strengths where it is adjustable."""

    def make(model: torch.nn.Module, batch: int = 2, height: int = 37, width: int = 53) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(batch, model.config.image_channels, height, width, generator=generator)
        strengths = getattr(model.config, "strengths", ())
        if not strengths:
            return [image]
        (least, most), shares = strengths, torch.rand(batch, 1, height, width, generator=generator)
        return [image, least + (most - least) * shares**3]

    return make


@pytest.fixture(scope="session")
def graph(tmp_path_factory):
    """graph(network, precision, target) → a copy of its ONNX graph, exported once for all processes of a run."""
    base, made = tmp_path_factory.getbasetemp(), {}
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "graphs"
    shared.mkdir(exist_ok=True)

    def make(name: str, precision: str = "fp32", target: str = "onnx") -> onnx.ModelProto:
        path = shared / f"{name} {precision} {target}.onnx"
        if path not in made and path.exists():
            made[path] = onnx.load(path)
        elif path not in made:
            model = make_network(name)
            deployed = Deployed(model, precision, equal_heads=target == "onnx")
            made[path] = export_graph(deployed, model.config.image_channels, target)
            write_bytes(path, made[path].SerializeToString())
        copy = onnx.ModelProto()
        copy.CopyFrom(made[path])  # tests write cards into theirs
        return copy

    return make


@pytest.fixture(scope="session")
def session():
    """session(graph) → what ONNX Runtime computes with it, as a function of a batch, and of strengths."""

    def open_session(graph):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        opened = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return lambda *given: opened.run(["smooth"], dict(zip(("image", "strength"), given, strict=False)))[0]

    return open_session


@pytest.fixture(scope="session")
def checkpoint():
    """checkpoint(model, network=its name, **training record) → a checkpoint as the trainer makes it."""

    def make(model: torch.nn.Module | None = None, network: str = "pnen", **training: object) -> Checkpoint:
        record = {"task": {"filter": "l0", "lambda": 0.02}, "crop": 48, "tile": 64, "tile_step": 40} | training
        return Checkpoint.of(network, model or make_network(), step=7, training=record)

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

        original = module.made_for
        monkeypatch.setattr(module, "made_for", changed)

    return change_first_weights
