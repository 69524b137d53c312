"""From a checkpoint to ONNX files that are proven before they appear."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from pnen_runtime.backends.ort import OrtBackend
from pnen_runtime.card import KEY, Card
from pnen_runtime.files import replace_when_done
from pnen_train.checkpoint import Checkpoint

from .deploy import Deployed, Precision, stored_in_half
from .logits import largest_logit
from .onnx_graph import Target, export_graph
from .parity import Reference, Row, photograph, report, require, torch_run

Watch = Callable[[str, int, int], None]  # what is being done, inputs compared, inputs in all


@dataclass(frozen=True)
class Exported:
    """A file that was written, its card and how its parity was proven."""

    path: Path
    card: Card
    rows: list[Row]


def onnx_name(stem: str, target: Target, precision: Precision) -> str:
    """model.onnx, model.fp16.onnx, model.ort.onnx, model.ort.fp16.onnx."""
    return stem + (".ort" if target == "ort" else "") + (".fp16" if precision == "fp16" else "") + ".onnx"


def make_card(checkpoint: Checkpoint, max_logit: float | None) -> Card:
    """What the checkpoint says of itself, for its exported files."""
    training = checkpoint.training
    kept = {key: value for key, value in training.items() if key not in ("task", "crop", "tile", "tile_step")}
    return Card(network=checkpoint.network, task=training.get("task", {}), config=checkpoint.config, channels=checkpoint.config.get("image_channels", 3),
                training_crop=training.get("crop", 96), tile=training.get("tile", 96), step=training.get("tile_step", 80),
                weights_sha256=checkpoint.sha256(), training={"steps": checkpoint.step, **kept}, max_logit=max_logit)  # fmt: skip


def export(
    checkpoint: Checkpoint, folder: Path, stem: str, *, precisions: Sequence[Precision] = ("fp32",), targets: Sequence[Target] = ("onnx", "ort"),
    watch: Watch = lambda *_: None,
) -> list[Exported]:  # fmt: skip
    """Write the checkpoint's network as ONNX, a file for each target and precision, each compared with PyTorch before it gets its name.

    An FP16 file must agree twice: as ONNX Runtime runs it (a CPU computes its half operators in FP32, so that shows the rounded weights), and
    as PyTorch runs the deployed network with every layer's output rounded to half (which shows what FP16 kernels do).
    Raises ParityError, and leaves no new file of that name, where one input is out of tolerance.
    """
    model = checkpoint.model()
    card = make_card(checkpoint, None)
    tile = card.tile if isinstance(card.tile, int) else 192
    watch("PyTorch", 0, 1)
    card = replace(card, max_logit=largest_logit(model, photograph(), tile, card.channels))
    reference = Reference(model, card.channels, tile, min(card.step, tile))
    exported = []
    folder.mkdir(parents=True, exist_ok=True)
    for precision in precisions:
        rounded = _check_rounding(Deployed(model, precision), reference, stem, watch) if precision == "fp16" else {}
        for target in targets:
            path = folder / onnx_name(stem, target, precision)
            watch(path.name, 0, len(reference))
            graph = export_graph(Deployed(model, precision, equal_heads=target == "onnx"), card.channels, target)
            with replace_when_done(path) as temporary:
                own = replace(card, precision=precision, target=target)
                _save(graph, own, temporary)
                rows = _compare(temporary, reference, precision, path.name, watch)
                require(rows, path.name, precision)
                own = replace(own, parity=report(rows, "PyTorch in FP32") | rounded)
                _save(graph, own, temporary)
            exported.append(Exported(path, own, rows))
    return exported


def _compare(path: Path, reference: Reference, precision: Precision, name: str, watch: Watch) -> list[Row]:
    backend, rows = OrtBackend(path), []
    try:
        for row in reference.check(backend.run, precision):
            rows.append(row)
            watch(name, len(rows), len(reference))
    finally:
        backend.close()
    return rows


def _check_rounding(deployed: Deployed, reference: Reference, stem: str, watch: Watch) -> dict[str, Any]:
    """FP16 storage simulated in PyTorch; the network holds half weights, here widened without change."""
    name, rows = f"{stem}, rounded to FP16 at every layer", []
    deployed.float()
    with stored_in_half(deployed.network):
        for row in reference.check(torch_run(deployed), "fp16"):
            rows.append(row)
            watch(name, len(rows), len(reference))
    require(rows, name, "fp16")
    return {"rounding": {key: value for key, value in report(rows, "PyTorch in FP32").items() if key != "rows"}}


def _save(graph: onnx.ModelProto, card: Card, path: Path) -> None:
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, {KEY: card.to_json()})
    graph.producer_name, graph.doc_string = "pnen", ""
    onnx.save(graph, path)
