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
from pnen_runtime.files import drop_abandoned, without_cache, write_bytes, write_text
from pnen_runtime.schema import read_json

from .onnx_file import OnnxFile

BUILDER = 4  # counts up whenever the same options come to build another engine
KEPT = 32  # engines; the least recently used go first


def engine_key(file: OnnxFile, engine: dict[str, Any]) -> str:
    """Of the ONNX file and everything the engine depends on: `engine` as in its card before the build."""
    return sha256((f"{BUILDER} {file.sha256}" + json.dumps(engine, sort_keys=True)).encode()).hexdigest()[:32]


def find_engine(folder: Path, key: str) -> tuple[bytes, Card] | None:
    """The plan and its card; None where there is none, it is damaged, or the two do not belong to each other and `key`.

    A damaged one costs a build, never more.
    """
    path = folder / f"{key}.engine"
    note = path.with_suffix(".json")
    try:
        text = note.read_text(encoding="utf-8")
        plan, card, own = path.read_bytes(), Card.from_json(text, str(note)), read_json(text).get("key") == key
        os.utime(path)
    except (OSError, UnicodeDecodeError, EngineError):
        return None
    digest = (card.engine.get("built") or {}).get("plan_sha256")
    return (plan, card) if own and digest == sha256(plan).hexdigest() else None


def keep_engine(folder: Path, key: str, plan: bytes, card: Card) -> None:
    """Store an engine, whose card has the digest of its plan; a cache that cannot be written is no failure."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        drop_abandoned(folder)
        write_text(folder / f"{key}.json", json.dumps(json.loads(card.to_json()) | {"key": key}))
        write_bytes(folder / f"{key}.engine", plan)
        for old in sorted(folder.glob("*.engine"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            old.unlink(missing_ok=True)
            old.with_suffix(".json").unlink(missing_ok=True)
    except OSError as error:
        without_cache(folder, error)


def timing_file(folder: Path, engine: dict[str, Any]) -> Path:
    """TensorRT's timing cache for one version and GPU."""
    names = (engine["flavour"], engine["version"], (engine["gpu"] or {}).get("name", "none"))
    return folder / ("-".join(re.sub(r"[^\w.]+", "_", name) for name in names) + ".timing")
