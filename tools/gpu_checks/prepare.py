"""What the proof runs on: two networks in every form, and what PyTorch makes of their inputs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, Protocol

import onnx
import torch

from pnen_export.deploy import Deployed
from pnen_export.export import onnx_name
from pnen_export.inputs import Input, at_strengths, make_inputs, photograph
from pnen_export.onnx_graph import export_graph
from pnen_export.parity import Reference, compare, require, torch_run
from pnen_export.record import make_card
from pnen_runtime.backends.ort import OrtBackend
from pnen_runtime.card import KEY, Card
from pnen_runtime.errors import PnenError
from pnen_runtime.files import replace_when_done, write_text
from pnen_runtime.image import to_batch
from pnen_train.checkpoint import Checkpoint, load_checkpoint
from pnen_train.models import build

from .lab import PREPARED
from .packed import base_of, pack, unpacked
from .stored import write_reference

FORMS: list[tuple[Literal["onnx", "ort"], Literal["fp32", "fp16"]]] = list(product(("onnx", "ort"), ("fp32", "fp16")))

WHOLE = ((321, 481),)  # height and width


class Watch(Protocol):
    def __call__(self, what: str, done: int, total: int, /) -> None: ...


def full_size() -> Checkpoint:
    """The paper's network with random weights: logits of 14 at most and residuals of 0.1 to 0.25, as after training."""
    torch.manual_seed(0)
    model: Any = build("pnen", {"init": "author"}).eval()
    with torch.no_grad():
        for block, leave in zip(model.blocks, model.exits, strict=True):
            block.query.weight.mul_(35)
            leave[-1].weight.mul_(10)
    return Checkpoint.of("pnen", model, training={"task": {"filter": "none"}, "tile": 96, "tile_step": 80})


def networks() -> dict[str, Checkpoint]:
    """The bundled one and the full-size one, by the names of their files."""
    return {"l0": load_checkpoint("l0"), "full": full_size()}


def prepare(
    folder: Path,
    checkpoints: dict[str, Checkpoint],
    whole: Sequence[tuple[int, int]] = WHOLE,
    watch: Watch = lambda *_: None,
) -> dict[str, int]:
    """Write NAME[.ort][.fp16].onnx and NAME.npz; the bytes of every file. See `packed` and `stored` for how.

    `whole` are sizes, height and width, at which the photograph is also taken whole. Each ONNX file agrees with PyTorch
    on the photograph at the three smallest sizes; all the rest is for the GPU to show. Raises Mismatch otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sizes: dict[str, int] = {}
    for name, checkpoint in checkpoints.items():
        for path in _write(folder, name, checkpoint, whole, watch):
            sizes[path.name] = path.stat().st_size
    record = {"torch": torch.__version__, "networks": list(checkpoints), "bytes": sizes}
    write_text(folder / PREPARED, json.dumps(record))
    return sizes


def _write(
    folder: Path, name: str, checkpoint: Checkpoint, whole: Sequence[tuple[int, int]], watch: Watch
) -> Iterator[Path]:
    """The files of one network, each when it is there."""
    model, card = checkpoint.model(), make_card(checkpoint)
    reference = Reference(
        torch_run(model), inputs_of(card, whole), lambda done, total: watch(f"{name} in PyTorch", done, total)
    )
    with replace_when_done(folder / f"{name}.npz") as temporary:
        write_reference(temporary, reference)
    yield folder / f"{name}.npz"
    for number, (target, precision) in enumerate(FORMS):
        path = folder / onnx_name(name, target, precision)
        watch(path.name, number, len(FORMS))
        graph = export_graph(Deployed(model, precision, equal_heads=target == "onnx"), card.channels, target)
        onnx.helper.set_model_props(graph, {KEY: replace(card, target=target, precision=precision).to_json()})
        with replace_when_done(path) as temporary:
            temporary.write_bytes(data := graph.SerializeToString(deterministic=True))
            _require_likeness(temporary, reference, precision)
            if (base := base_of(path)) != path:
                theirs = onnx.load(base)
                temporary.write_bytes(pack(data, _weights(graph), base.read_bytes(), _weights(theirs)))
        if unpacked(path).read_bytes() != data:
            raise PnenError(f"{path}: expected the file that was packed, got another")
        yield path


def inputs_of(card: Card, whole: Sequence[tuple[int, int]]) -> list[Input]:
    """The exporter's, and the photograph whole at these sizes; at every strength."""
    inputs = make_inputs(card.channels, card.tile if isinstance(card.tile, int) else card.training_crop)
    for height, width in whole:
        picture = to_batch(photograph()[:height, :width, : card.channels], card.channels)
        inputs.append(Input("photograph", f"1x{height}x{width} whole", [picture]))
    return at_strengths(inputs, card.strength)


def _weights(model: onnx.ModelProto) -> list[bytes]:
    return [tensor.raw_data for tensor in model.graph.initializer]


def _require_likeness(path: Path, reference: Reference, precision: str) -> None:
    """Mismatch where the file gives other photographs than PyTorch."""
    backend, pairs = OrtBackend(path), zip(reference.inputs, reference.expected, strict=True)
    photographs = [(given, expected) for given, expected in pairs if given.kind == "photograph"][:3]
    rows = [
        compare(backend.run(*given.given[0]).ravel(), expected, precision, given.kind, given.size)
        for given, expected in photographs
        if len(given.batches) == 1
    ]
    require(rows, path.name, precision)
