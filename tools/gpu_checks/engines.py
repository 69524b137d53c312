"""Checks of engine files: how they are built, refused, repaired and found again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from unittest import mock

import numpy as np
from PIL import Image

from pnen_export.builder_api import find_tensorrt
from pnen_export.engine import build_engine
from pnen_export.onnx_file import read_onnx
from pnen_export.profiles import Shape, check_profiles, most_keys, read_profile
from pnen_runtime.backends.trt import open_trt
from pnen_runtime.cache import cache_folder
from pnen_runtime.card import Card
from pnen_runtime.engine_file import read_engine, sidecar
from pnen_runtime.errors import PnenError, UsageError

from .lab import FLAVOURS, Lab
from .same import make_picture
from .subject import Figures, Subject, Wrong

HD = "1x16x16,1x512x512,1x1080x1920"
ROOT = Path(__file__).parents[2]


def build(lab: Lab, subject: Subject) -> Figures:
    """Seconds, size, share of half precision, and for each profile its memory and whether attention is fused."""
    begin = perf_counter()
    path = lab.engine(subject, build=True)
    return {"wall_s": perf_counter() - begin} | describe(read_engine(path).card)


def describe(card: Card) -> Figures:
    """What the build showed, out of an engine's card."""
    built, rows = card.engine["built"], []
    memory = built["activation_bytes"] + [None] * len(card.engine["profiles"])
    fused = built["attention_fused"] + [None] * len(card.engine["profiles"])
    for sizes, taken, streamed in zip(card.engine["profiles"], memory, fused, strict=False):
        low, _, high = ("x".join(map(str, size)) for size in sizes)
        rows.append({"from": low, "to": high, "activation_MB": taken and taken / 1e6, "attention_fused": streamed})
    return {"build_s": built["seconds"], "plan_MB": built["plan_bytes"] / 1e6,
            "half_share": built["half_share"]["engine"], "graph_half_share": built["half_share"]["graph"],
            "rows": rows}  # fmt: skip


def cache(lab: Lab, subject: Subject) -> Figures:
    """The same engine a second time, which the cache has."""
    path = lab.engine(subject)
    before, begin = path.read_bytes(), perf_counter()
    with mock.patch("pnen_export.engine_cache.keep_engine") as kept:  # what a build ends with
        lab.engine(subject, build=True)
    seconds = perf_counter() - begin
    if kept.called or path.read_bytes() != before:
        raise Wrong("the second build did not come out of the cache", {"seconds": seconds})
    return {"seconds": seconds}


def key_guard(lab: Lab, subject: Subject) -> Figures:
    """FP16 attention over more keys than half precision counts is refused before anything is built."""
    card, profile = read_onnx(lab.onnx(subject)).card, read_profile(HD)
    keys, scale = most_keys(card, profile.largest)
    try:
        check_profiles(card, [profile])
    except UsageError as error:
        return {"keys": keys, "scale": scale, "says": str(error)}
    raise Wrong(f"{profile.largest} with {keys:,} keys was not refused")


def beyond_the_guard(lab: Lab, subject: Subject) -> Figures:
    """What becomes of flat pictures, whose keys are all equal, where the guard is lifted: a finding, no failure."""
    path = lab.scratch("beyond") / "unlimited.engine"
    trt = find_tensorrt(FLAVOURS[subject.stack])
    try:
        card = build_engine(
            trt, lab.onnx(subject), path, profiles=[read_profile(HD)], cache=cache_folder("engines"), key_limit=None
        )
    except PnenError as error:
        return {"not built": str(error)}
    figures, rows = describe(card), []
    backend = open_trt(read_engine(path))
    try:
        for height, width in ((496, 512), (512, 512), (720, 1280), (1080, 1920)):
            row = {"size": f"{height}x{width}", "keys": most_keys(card, Shape(1, height, width))[0]}
            rows.append(row)
            try:
                smooth = backend.run(np.full((1, card.channels, height, width), 0.5, np.float32))
                row |= {"finite": bool(np.isfinite(smooth).all()), "share_finite": float(np.isfinite(smooth).mean()),
                        "ms": min(backend.device_milliseconds((1, height, width), 2))}  # fmt: skip
            except (PnenError, MemoryError) as error:
                row |= {"finite": None, "refused": str(error)}
    finally:
        backend.close()
    return figures | {"profiles": figures["rows"], "rows": rows}


def broken_files(lab: Lab, subject: Subject) -> Figures:
    """Truncated and foreign engines end pnen-smooth with 5 and the command that builds them again; --rebuild does."""
    lab.require_accepted(subject)
    folder, engine = lab.scratch("broken"), lab.engine(subject)
    picture, path = folder / "picture.png", folder / engine.name
    Image.fromarray(make_picture("uint8", 3, 120, 160)).save(picture)
    shutil.copy(lab.onnx(subject), path.with_suffix(".onnx"))
    plan, card = engine.read_bytes(), read_engine(engine).card
    other = replace(card, engine=card.engine | {"version": "8.0.0.1"})
    far = {"name": "GeForce 9", "compute_capability": "5.0"}
    cases = {
        "truncated": (plan[: len(plan) * 6 // 10], card),
        "truncated, without its card beside it": (plan[: len(plan) * 6 // 10], None),
        "no plan": (b"not a plan" * 100, card),
        "of another version": (plan, other),
        "of another GPU": (plan, replace(card, engine=card.engine | ({"gpu": far} if card.engine["gpu"] else
                                                                     {"compute_capabilities": ["SM50"]}))),
    }  # fmt: skip
    rows = []
    for number, (name, (data, own)) in enumerate(cases.items()):
        path.write_bytes(data)
        sidecar(path).unlink(missing_ok=True)
        if own is not None:
            sidecar(path).write_text(own.to_json(), encoding="utf-8")
        code, said = smooth(picture, folder / f"refused{number}.png", path)
        row = {"engine": name, "exit": code, "says": said}
        rows.append(row)
        if code != 5 or "pnen-export" not in said or not said.startswith("Error: "):
            raise Wrong(f"{name}: expected exit code 5 and the command that builds it again", {"rows": rows})
        if number in (0, 4):
            code, said = smooth(picture, folder / f"smooth{number}.png", path, "--rebuild")
            rows.append({"engine": f"{name}, --rebuild", "exit": code, "says": said})
            if code or not (folder / f"smooth{number}.png").is_file() or smooth(picture, picture, path, "--force")[0]:
                raise Wrong(f"{name}: --rebuild did not repair it", {"rows": rows})
    return {"rows": rows}


def smooth(picture: Path, out: Path, engine: Path, *words: str) -> tuple[int, str]:
    """Exit code of pnen-smooth and its last line."""
    program = "from pnen_runtime.cli import smooth; smooth(prog_name='pnen-smooth')"
    return command([sys.executable, "-c", program, str(picture), str(out), "--model", str(engine), *words])


def command(words: list[str]) -> tuple[int, str]:
    """Exit code of a program of ours, and the last line that it printed, an error before all else."""
    paths = os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "tools"), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}  # nothing of the current folder is run
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    lines = (done.stdout + done.stderr).strip().splitlines() or [""]
    return done.returncode, next((line for line in lines if line.startswith("Error: ")), lines[-1])


def export_command(lab: Lab, subject: Subject) -> Figures:
    """pnen-export builds an engine here and proves it, as a user would, without torch."""
    lab.require_accepted(subject)
    folder = lab.scratch("export")
    shutil.copy(lab.onnx(subject), folder)
    onnx, flavour = folder / lab.onnx(subject).name, FLAVOURS[subject.stack]
    words = ["-m", "pnen_export.cli", str(onnx), "--engine", flavour, "--tiles", "2", "--json"]
    begin = perf_counter()
    code, said = command([sys.executable, *words])
    seconds, engine = perf_counter() - begin, onnx.with_suffix(".engine")
    if code or not engine.is_file():
        raise Wrong(f"exit code {code}: {said}", {"seconds": seconds})
    parity = json.loads(sidecar(engine).read_text(encoding="utf-8"))["parity"]
    if "not_run" in parity:
        raise Wrong(f"it was built but not proven: {parity['not_run']}", {"seconds": seconds})
    return {"seconds": seconds} | {key: parity[key] for key in ("against", "max_abs", "psnr", "within_one_level")}
