"""A file for the verdict of each line, so that a proof that was cut off goes on where it ended."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from pnen_runtime.files import write_text

from .line import PASS, Outcome

ROOT = Path(__file__).parents[2]
SOURCES = ("pnen_runtime/**/*.py", "pnen_runtime/cuda/pixels.ptx", "pnen_export/*.py", "tools/gpu_checks/*.py")


class Verdicts:
    """The folder `verdicts` of a report: a file for each line that was begun, written when it ended."""

    def __init__(self, report: Path, prepared: Path, header: dict[str, str]):
        self._folder, self._of = report / "verdicts", fingerprint(prepared, header)

    def keep(self, outcome: Outcome) -> None:
        """Write the verdict of a line."""
        self._folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"of": self._of, "outcome": outcome.to_json()}, indent=1, ensure_ascii=False)
        write_text(self._folder / file_name(outcome.line), text + "\n")

    def passed(self) -> dict[str, Outcome]:
        """What passed before, by line: here, with these packages, sources and prepared files; nothing else counts."""
        found: dict[str, Outcome] = {}
        for path in self._folder.glob("*.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):  # torn or foreign: its line is checked again
                record = json.loads(path.read_text(encoding="utf-8"))
                outcome = Outcome(**record["outcome"])
                if record["of"] == self._of and outcome.verdict == PASS and path.name == file_name(outcome.line):
                    found[outcome.line] = replace(outcome, reason="it passed before")
        return found


def file_name(line: str) -> str:
    """The file of "tensorrt l0.fp16: parity" is tensorrt_l0.fp16_parity.json."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", line) + ".json"


def fingerprint(prepared: Path, header: dict[str, str]) -> str:
    """Of the machine and its packages, our sources, and the prepared files."""
    digest = sha256(json.dumps({key: value for key, value in header.items() if key != "command"}).encode())
    files = [path for pattern in SOURCES for path in sorted(ROOT.glob(pattern))]
    for path in [*files, *sorted(path for path in prepared.iterdir() if path.suffix in (".json", ".onnx", ".npz"))]:
        digest.update(f"{path.name} {path.stat().st_size} ".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]
