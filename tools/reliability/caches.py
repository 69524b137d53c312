"""The caches of targets and engines, damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from pnen_export.engine_cache import find_engine, keep_engine
from pnen_train.data.targets import Maker

from .damage import Draw, as_json, damaged_bytes, damaged_value
from .models import CARDS, ENGINE
from .pictures import Wrong


def caches(folder: Path) -> Callable[[Draw], None]:
    """Targets and engines out of the caches, whose files or notes are damaged: the right one, or made anew."""
    image = np.random.default_rng(2).integers(0, 256, (2, 16, 20, 3), np.uint8)[0]
    maker, plan = Maker.of("l0", {}, folder / "targets"), b"ptrt" + bytes(range(200))
    right, key = maker.target(image), "0" * 32
    target, note = (next((folder / "targets/l0").glob(f"*{suffix}")) for suffix in (".png", ".json"))
    card = replace(CARDS[0], engine=ENGINE | {"built": {"plan_bytes": len(plan),
                                                        "plan_sha256": sha256(plan).hexdigest()}})  # fmt: skip
    keep_engine(folder / "engines", key, plan, card)
    engine, record = (folder / "engines" / f"{key}{suffix}" for suffix in (".engine", ".json"))
    goods = {path: path.read_bytes() for path in (target, note, engine, record)}

    def trial(draw: Draw) -> None:
        of_engine = draw.random() < 0.5
        file, own_note = (engine, record) if of_engine else (target, note)
        for path in (file, own_note):
            path.write_bytes(goods[path])
        if draw.random() < 0.5:
            file.write_bytes(damaged_bytes(goods[file], draw))
        if draw.random() < 0.7:
            own_note.write_bytes(as_json(damaged_value(json.loads(goods[own_note]), draw), draw))
        if of_engine:
            found = find_engine(folder / "engines", key)
            if found is not None and found[0] != plan:
                raise Wrong("the cache gave another engine than was kept")
            if found is None and draw.whole:
                raise Wrong("the cache lost an engine")
        elif not np.array_equal(maker.target(image), right):
            raise Wrong("the cache gave another target than the filter makes")

    return trial
