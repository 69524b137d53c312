"""pnen-smooth inspect: what a model file holds, on any machine: no GPU, no torch, no TensorRT."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .card import Card
from .checkpoint_record import read_record
from .commands import Command, say
from .engine_file import SUFFIXES, read_engine, rebuild_advice
from .errors import UsageError
from .info import describe_task
from .models import find_model
from .onnx_card import read_onnx_card

SCORED = {"psnr": "{:.2f} dB", "ssim": "SSIM {:.4f}"}


@click.command(cls=Command)
@click.argument("model", metavar="NAME|FILE")
@click.option("--json", "as_json", is_flag=True, help="All of it, as one line of JSON.")
def inspect(model: str, as_json: bool) -> None:
    """Say what an ONNX file, an engine or a checkpoint holds: its task, strengths, tile, precision, licence, proof.

    The file is read, and nothing of it is run.
    """
    path = find_model(model)
    if path.suffix == ".pt":
        network, step, training, values = read_record(path)
        found = {"kind": "checkpoint", "network": network, "step": step, "parameters": values, "training": training}
        lines = [f"{path}: a checkpoint of step {step:,}, {path.stat().st_size / 1e6:.1f} MB",
                 f"network: {network}, {values:,} values", *of_training(training),
                 f"to run it: pnen-export {path}"]  # fmt: skip
    else:
        card, told = _card_of(path)
        found = {"kind": told[0], "card": asdict(card)}
        lines = [f"{path}: {told[0]}, {path.stat().st_size / 1e6:.1f} MB", *_of_card(card), *told[1:]]
    if as_json:
        say(json.dumps(found))
        return
    for line in lines:
        say(line)


def _card_of(path: Path) -> tuple[Card, list[str]]:
    """The card, what kind of file it is, and what else is to be said."""
    if path.suffix in SUFFIXES:
        file = read_engine(path)
        engine = file.card.engine
        title = {"rtx": "TensorRT-RTX", "tensorrt": "TensorRT"}[file.flavour]
        made = f"built with {title} {engine.get('version') or 'of an unknown version'}"
        for_gpu = engine.get("gpu") or {}
        where = ", ".join(engine.get("compute_capabilities") or []) or for_gpu.get("name", "an unknown GPU")
        told = [f"an engine, {made} for {where}"]
        for least, usual, most in engine.get("profiles") or []:
            sizes = " to ".join("x".join(map(str, sizes)) for sizes in (least, most))
            told.append(f"takes batch x height x width from {sizes}, fastest at {'x'.join(map(str, usual))}")
        told.append(f"checked: {f'no, {file.doubt}' if file.doubt else 'it is byte for byte what was built'}")
        return file.card, [*told, rebuild_advice(path, file.card)]
    if path.suffix == ".onnx":
        card = read_onnx_card(path)
        use = "ONNX Runtime" if card.target == "ort" else "TensorRT, and anything that runs ONNX"
        return card, [f"an ONNX file for {use}"]
    raise UsageError(f"{path}: expected an ONNX file, an engine ({', '.join(SUFFIXES)}) or a checkpoint (.pt)")


def _of_card(card: Card) -> Iterator[str]:
    yield f"network: {card.network}, {card.precision}, {'colour' if card.channels == 3 else 'grey'}"
    yield f"does: {describe_task(card)}"
    step = "" if card.tile == "whole" else f" at step {card.tile_step}"
    yield f"tile: {card.tile}{step} recommended, from {card.minimum_side} pixels a side"
    yield f"licence of the weights: {card.licence or card.training.get('licence', 'unknown')}"
    yield f"trained on: {card.trained_on or card.training.get('trained_on', 'unknown')}"
    yield from _of_scores(card.training)
    if card.weights_sha256:
        yield f"weights: sha256 {card.weights_sha256}"
    for row, figures in card.parity.items():
        if (largest := _number(_dict(figures).get("max_abs"))) is not None:
            yield f"equal to PyTorch ({row}): largest difference {largest:.1e}"


def of_training(training: dict[str, Any]) -> Iterator[str]:
    """Lines about the record of a checkpoint, whatever it holds."""
    task = _dict(training.get("task"))
    yield f"learnt: {', '.join(f'{key} {value}' for key, value in task.items()) or 'unknown'}"
    yield f"licence of the weights: {training.get('licence', 'unknown')}"
    yield f"trained on: {training.get('trained_on') or str(training.get('images', 'unknown')) + ' pictures'}"
    yield from _of_scores(training)


def _of_scores(training: dict[str, Any]) -> Iterator[str]:
    """On the pictures that it was bundled by, or else on those that watched its training."""
    scores = _dict(training.get("scores"))
    rows = _dict(scores.get("rows"))
    if not rows and training.get("validation"):
        scores, rows = {"on": "validation pictures"}, {"the network": training["validation"]}
    for name, row in rows.items():
        found = {text: _number(_dict(row).get(key)) for key, text in SCORED.items()}
        figures = [text.format(value) for text, value in found.items() if value is not None]
        if figures:
            yield f"scored on {scores.get('on', 'pictures')}: {name}: {', '.join(figures)}"


def _dict(found: Any) -> dict[str, Any]:
    """What a file says where a table is expected; an empty one where it says something else."""
    return found if isinstance(found, dict) else {}


def _number(found: Any) -> float | None:
    return float(found) if isinstance(found, (int, float)) and abs(found) < 1e300 else None
