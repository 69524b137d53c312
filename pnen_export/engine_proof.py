"""Proof that an engine computes what PyTorch computes, or ONNX Runtime where torch is not; where it can be run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pnen_runtime.backends.ort import OrtBackend
from pnen_runtime.backends.trt import open_trt
from pnen_runtime.card import Card
from pnen_runtime.engine_file import EngineFile
from pnen_runtime.errors import BackendMissing, Misfit
from pnen_runtime.plan import most_at_once

from .engine import Prove, Watch
from .inputs import at_strengths, make_inputs
from .parity import Reference, report, require


def prover(onnx_path: Path, reference: Reference | None = None, watch: Watch = lambda *_: None) -> Prove:
    """Compares an engine with `reference`, or else with ONNX Runtime on the file that the engine is built from.

    What it gives raises Mismatch where one input is out of tolerance, and EngineError where the engine cannot be
    loaded on the machine it was built on.
    """

    def prove(file: EngineFile) -> dict[str, Any] | str:
        try:
            backend = open_trt(file, "to be proven", allow_host_code=True)  # just built, of our own graph
        except BackendMissing as error:
            return f"it cannot be run here, {error}"
        except Misfit as error:
            if file.flavour == "rtx":  # built for other GPUs than the one that is here
                return f"it cannot be run here, {error}"
            raise
        try:
            right = reference or by_onnx_runtime(onnx_path, file.card)
            if isinstance(right, str):
                return right
            given = right.in_batches(lambda height, width: most_at_once(backend.profiles, height, width))
            if not given.inputs:
                return "no profile takes any size that is compared"
            name = file.path.name
            rows = given.compare(backend.run, file.card.precision, lambda done, total: watch(name, done, total))
        finally:
            backend.close()
        require(rows, name, file.card.precision)
        return {"against": right.source, **report(rows), "rows": [asdict(row) for row in rows]}

    return prove


def by_onnx_runtime(onnx_path: Path, card: Card) -> Reference | str:
    """What ONNX Runtime computes on the CPU from the same file, in FP32 with its weights; or why there is none."""
    try:
        backend = OrtBackend(onnx_path)
    except BackendMissing:
        return "neither PyTorch nor ONNX Runtime is here to compare with"
    tile = card.tile if isinstance(card.tile, int) else card.training_crop
    try:
        inputs = at_strengths(make_inputs(card.channels, tile), card.strength)
        return Reference(backend.run, inputs, source=f"ONNX Runtime on {onnx_path.name}")
    finally:
        backend.close()
