"""From a checkpoint to ONNX files that are proven before they appear."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from torch import nn

from pnen_runtime.backends.ort import OrtBackend
from pnen_runtime.card import KEY, Card
from pnen_runtime.files import drop_abandoned, replace_when_done
from pnen_runtime.onnx_check import graph_sha256
from pnen_runtime.plan import plan_tiles
from pnen_runtime.smoother import MEMORY_MB
from pnen_train.checkpoint import Checkpoint

from .deploy import Deployed, Precision
from .inputs import at_strengths, make_inputs, photograph, photograph_tiles
from .live import live_maps
from .logits import largest_logit
from .lowering import Target
from .onnx_graph import made_for, traced
from .parity import Reference, Row, report, require, torch_run
from .record import make_card
from .rounding import stored_in_half

Watch = Callable[[str, int, int], None]  # what is being run, batches run, batches in all


@dataclass(frozen=True)
class Exported:
    """A file that was written, its card and how its parity was proven."""

    path: Path
    card: Card
    rows: list[Row]
    rounding: list[Row]  # of a simulation with every layer in half precision; empty for FP32
    reference: Reference  # PyTorch's own results, for what is built of the file
    replaced: bool = False  # whether a file of this name was there


def export(
    checkpoint: Checkpoint,
    folder: Path,
    stem: str,
    *,
    precisions: Sequence[Precision] = ("fp32",),
    targets: Sequence[Target] = ("onnx", "ort"),
    watch: Watch = lambda *_: None,
) -> Iterator[Exported]:
    """Write the checkpoint's network as ONNX, a file for each precision and target, and yield each when it is done.

    A file gets its name only after it agreed with PyTorch. An FP16 file must agree twice: as ONNX Runtime runs it (a
    CPU computes half operators in FP32, so that shows the rounded weights), and as PyTorch runs the deployed network
    with every layer's output rounded to half (which shows what FP16 kernels do).
    Raises Mismatch, and leaves no new file of that name, where one input is out of tolerance.
    """
    model = checkpoint.model()
    live = live_maps(model)
    card = make_card(checkpoint, live_maps=live)
    folder.mkdir(parents=True, exist_ok=True)
    drop_abandoned(folder)
    tiles = {target: _tile(replace(card, target=target)) for target in targets}
    references = {
        tile: Reference(
            torch_run(model),
            at_strengths(make_inputs(card.channels, tile), card.strength),
            lambda done, total: watch("PyTorch", done, total),
        )
        for tile in dict.fromkeys(tiles.values())  # nearly always one
    }
    largest = max(tiles.values())
    strengths = [card.strength[end] for end in ("least", "default", "most") if card.strength]
    logit = largest_logit(model, photograph_tiles(card.channels, largest), strengths)
    card = make_card(checkpoint, logit, live)
    for precision in precisions:
        traces: dict[Target | None, onnx.ModelProto] = {}
        rounding = _check_rounding(model, references[largest], stem, watch) if precision == "fp16" else []
        for target in targets:
            path = folder / onnx_name(stem, target, precision)
            watch(path.name, 0, 1)
            replaced = path.exists()
            deployed = Deployed(model, precision, equal_heads=target == "onnx")
            kind = target if deployed.blocks else None  # without a block all targets share a trace
            if kind not in traces:
                traces[kind] = traced(deployed, card.channels)
            graph = made_for(traces[kind], target)
            own = replace(card, precision=precision, target=target, graph_sha256=graph_sha256(_bytes(graph)))
            with replace_when_done(path) as temporary:
                _save(graph, own, temporary)
                rows = _compare(temporary, references[tiles[target]], precision, path.name, watch)
                own = replace(own, parity=_proof(rows, rounding))
                _save(graph, own, temporary)
            yield Exported(path, own, rows, rounding, references[tiles[target]], replaced)


def onnx_name(stem: str, target: Target, precision: Precision) -> str:
    """model.onnx, model.fp16.onnx, model.ort.onnx, model.ort.fp16.onnx."""
    return stem + (".ort" if target == "ort" else "") + (".fp16" if precision == "fp16" else "") + ".onnx"


def rounding_name(stem: str) -> str:
    """What the simulation of half precision is called."""
    return f"{stem} with every layer rounded to FP16"


def _tile(card: Card) -> int:
    """The tile in which `Smoother` takes the photograph by default."""
    height, width, _ = photograph().shape
    return plan_tiles(card, height, width, MEMORY_MB * 1_000_000).tile


def _compare(path: Path, reference: Reference, precision: Precision, name: str, watch: Watch) -> list[Row]:
    backend = OrtBackend(path)
    try:
        rows = reference.compare(backend.run, precision, lambda done, total: watch(name, done, total))
    finally:
        backend.close()
    require(rows, name, precision)
    return rows


def _check_rounding(model: nn.Module, reference: Reference, stem: str, watch: Watch) -> list[Row]:
    name = rounding_name(stem)
    deployed = Deployed(model, "fp16").float()  # the half weights, widened without change
    with stored_in_half(deployed.network):
        rows = reference.compare(torch_run(deployed), "fp16", lambda done, total: watch(name, done, total))
    require(rows, name, "fp16")
    return rows


def _proof(rows: list[Row], rounding: list[Row]) -> dict[str, Any]:
    simulated = {"rounding": report(rounding)} if rounding else {}
    return {"against": "PyTorch in FP32", **report(rows), **simulated, "rows": [asdict(row) for row in rows]}


def _save(graph: onnx.ModelProto, card: Card, path: Path) -> None:
    onnx.helper.set_model_props(graph, {KEY: card.to_json()})
    path.write_bytes(_bytes(graph))


def _bytes(graph: onnx.ModelProto) -> bytes:
    return graph.SerializeToString(deterministic=True)
