"""The outcomes as people and as programs read them."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from pnen_runtime.commands import version
from pnen_runtime.cuda.driver import first_gpu
from pnen_runtime.cuda.driver import version as cuda_version
from pnen_runtime.files import write_text

from .line import FAIL, PASS, SKIP, Outcome

PACKAGES = ("tensorrt", "tensorrt-rtx", "onnxruntime-gpu", "onnxruntime", "pycuda", "cuda-bindings", "cuda-python",
            "torch", "cupy", "numpy", "onnx")  # fmt: skip
SHORT = 160  # characters of the figures in a line


def describe() -> dict[str, str]:
    """GPU, driver, versions and the command."""
    gpu, system = first_gpu(), f"{platform.system()} {platform.release()}, {os.cpu_count()} CPU cores"
    return {
        "GPU": f"{gpu.name}, compute capability {gpu.compute_capability}" if gpu else "none",
        "driver": f"{_driver() or 'not known'}, CUDA {cuda_version() or 'not known'}",
        "system": f"{system}, Python {platform.python_version()}",
        "versions": ", ".join([f"pnen {version()}", *_versions()]),
        "command": shlex.join(sys.argv),
    }


def _driver() -> str | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    words = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(words, capture_output=True, text=True)
    return None if done.returncode or not done.stdout.strip() else done.stdout.splitlines()[0].strip()


def _versions() -> list[str]:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def one_line(outcome: Outcome) -> str:
    """The verdict, the line, and its reason or figures."""
    figures = "; ".join(filter(None, (outcome.reason, short(outcome.figures))))
    return f"{outcome.verdict}  {outcome.line}  ({outcome.seconds:.1f} s)  {figures}".rstrip()


def short(figures: dict[str, Any], limit: int = SHORT) -> str:
    """The plain figures on one line; tables and tracebacks are in the report."""
    plain = ", ".join(f"{name} {text(value)}" for name, value in figures.items() if name not in ("rows", "traceback"))
    return plain if len(plain) <= limit else plain[: limit - 4] + " ..."


def text(value: Any) -> str:
    """A figure in three digits."""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, bool) or not isinstance(value, int):
        return short(value, 10**9) if isinstance(value, dict) else str(value)
    return f"{value:,}"


def summary(outcomes: list[Outcome]) -> str:
    """How many of each verdict."""
    counts = [(verdict, sum(outcome.verdict == verdict for outcome in outcomes)) for verdict in (PASS, FAIL, SKIP)]
    return ", ".join(f"{count} {verdict}" for verdict, count in counts)


def write_report(folder: Path, header: dict[str, str], outcomes: list[Outcome]) -> None:
    """gpu_proof.json and gpu_proof.md in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"header": header, "summary": summary(outcomes), "lines": [outcome.to_json() for outcome in outcomes]}
    write_text(folder / "gpu_proof.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    write_text(folder / "gpu_proof.md", markdown(header, outcomes))


def markdown(header: dict[str, str], outcomes: list[Outcome]) -> str:
    """A table of all lines, and below it the tables of those that have one."""
    parts = ["# GPU proof\n", *(f"- {name}: {value}" for name, value in header.items()), f"\n{summary(outcomes)}\n"]
    parts += ["| verdict | line | s | reason and figures |", "| --- | --- | --- | --- |"]
    for outcome in outcomes:
        figures = "; ".join(filter(None, (outcome.reason, short(outcome.figures, 2000))))
        parts.append(f"| {outcome.verdict} | {outcome.line} | {outcome.seconds:.1f} | {_cell(figures)} |")
    for outcome in outcomes:
        if outcome.figures.get("rows"):
            parts += [f"\n## {outcome.line}\n", *_table(outcome.figures["rows"])]
        if outcome.verdict == FAIL and "traceback" in outcome.figures:
            parts += [f"\n## {outcome.line}\n", "```", outcome.figures["traceback"].rstrip(), "```"]
    return "\n".join(parts) + "\n"


def _table(rows: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return lines + [f"| {' | '.join(_cell(text(row.get(name, ''))) for name in names)} |" for row in rows]


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
