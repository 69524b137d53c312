"""Engines that were built before, and TensorRT's measurements of kernels."""

from __future__ import annotations

import json
import os
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from pnen_runtime.card import Card
from pnen_runtime.errors import EngineError
from pnen_runtime.files import user_cache, write_bytes, write_text

from .onnx_file import OnnxFile

BUILDER = 2  # counts up whenever the same options come to build another engine
KEPT = 32  # engines; the least recently used go first


def cache_folder() -> Path:
    """Where engines are kept for this user."""
    return user_cache("engines")


def engine_key(file: OnnxFile, engine: dict[str, Any]) -> str:
    """Of the ONNX file and everything the engine depends on: `engine` as in its card before the build."""
    return sha256((f"{BUILDER} {file.sha256}" + json.dumps(engine, sort_keys=True)).encode()).hexdigest()[:32]


def find_engine(folder: Path, key: str) -> tuple[bytes, Card] | None:
    """The plan and its card; None where there is none or it is damaged."""
    path = folder / f"{key}.engine"
    try:
        plan, note = path.read_bytes(), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        card = Card.from_json(json.dumps(note["card"]), str(path))
        if note["sha256"] != sha256(plan).hexdigest():
            return None
        os.utime(path)
    except (OSError, ValueError, KeyError, TypeError, EngineError):
        return None
    return plan, card


def keep_engine(folder: Path, key: str, plan: bytes, card: Card) -> None:
    """Store an engine; a cache that cannot be written is no failure."""
    note = {"sha256": sha256(plan).hexdigest(), "card": json.loads(card.to_json())}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / f"{key}.json", json.dumps(note))
        write_bytes(folder / f"{key}.engine", plan)
        for old in sorted(folder.glob("*.engine"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            old.unlink(missing_ok=True)
            old.with_suffix(".json").unlink(missing_ok=True)
    except OSError:
        pass


def timing_file(folder: Path, engine: dict[str, Any]) -> Path:
    """TensorRT's timing cache for one version and GPU."""
    names = (engine["flavour"], engine["version"], (engine["gpu"] or {}).get("name", "none"))
    return folder / ("-".join(re.sub(r"[^\w.]+", "_", name) for name in names) + ".timing")
