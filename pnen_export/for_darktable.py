"""A folder and a .dtmodel package for darktable's neural restore, which feeds tiles of sRGB, (1, 3, H, W) in [0, 1]."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import onnx

from pnen_runtime.card import Card
from pnen_runtime.commands import version
from pnen_runtime.errors import UsageError
from pnen_runtime.files import replace_when_done
from pnen_runtime.info import describe_task
from pnen_runtime.strength import wanted_strength

from .onnx_file import read_onnx
from .other_ends import SIDES, prove, with_ends

TILES = (2048, 1536, 1024, 768, 512, 384, 256)  # that darktable tries, the largest first
FED = 25.0  # levels that darktable says of every picture, to a model with a noise map


def write(source: Path, name: str, folder: Path, strength: float | None) -> list[str]:
    """Write FOLDER/ID/config.json and model.onnx, and the package FOLDER/ID.dtmodel; what was written, in lines.

    Without a strength an adjustable denoiser has a noise map as its second input, and any other model its default.
    Raises UsageError for a model that enlarges or is grey, or a strength that it does not take.
    """
    card = read_onnx(source).card
    if "scale" in card.task or card.channels != 3:
        what = "enlarges the luma of a picture" if "scale" in card.task else "takes grey pictures"
        raise UsageError(f"{source} {what}, and darktable feeds colour; expected a model that smooths or denoises")
    mapped = bool(card.strength) and "noise" in card.task and strength is None
    wanted = None if mapped else wanted_strength(card, strength, 0, 0)
    fixed = None if wanted is None else float(wanted)
    identity = re.sub(r"[^a-z0-9-]+", "-", f"denoise-pnen-{name.removeprefix('denoise')}".lower()).strip("-")
    if fixed is not None:
        identity += f"-{fixed:g}".replace(".", "-")
    model = with_ends(onnx.load(source), card, fixed, "noise map")
    prove(model, source, card, FED if mapped else fixed)
    place = folder / identity
    place.mkdir(parents=True, exist_ok=True)
    files = {
        "config.json": json.dumps(config(identity, name, card, fixed, mapped), ensure_ascii=False, indent=4) + "\n",
        "model.onnx": model.SerializeToString(deterministic=True),
    }
    for file, text in files.items():
        with replace_when_done(place / file) as temporary:
            temporary.write_bytes(text.encode() if isinstance(text, str) else text)
    package = folder / f"{identity}.dtmodel"
    with replace_when_done(package) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(place / file, f"{identity}/{file}")
    lines = [f"written: {place} (config.json, model.onnx)",
             f"written: {package}, for darktable's preferences, AI, install from file"]  # fmt: skip
    if mapped:
        lines.append(f"darktable tells it σ {FED:g} of every picture; --strength 10 writes one that always takes σ 10")
    return lines


def config(identity: str, name: str, card: Card, strength: float | None, mapped: bool) -> dict[str, Any]:
    """config.json."""
    most = max(TILES) if card.tile == "whole" else card.tile
    said = "" if strength is None else f" {strength:g}"
    return {
        "id": identity,
        "name": f"PNEN {name}{said}",
        "description": f"{card.network} for {describe_task(card)}{f', set to{said}' if said else ''}",
        "task": "denoise",
        "arch": "pnen",
        "backend": "onnx",
        "version": version(),
        "num_inputs": 2 if mapped else 1,
        "tiling": True,
        "spatial_dims": list(SIDES),
        "model_card": {
            "scope": "noise taken away" if "noise" in card.task else "edge-preserving smoothing",
            "license": card.licence or "unknown",
            "training_data": card.trained_on or "unknown",
            "paper": "arXiv 2008.09742",
        },
        "attributes": {"input_sizes": [tile for tile in TILES if tile <= most] or [min(TILES)], "color_space": "rgb"},
    }
