"""A way in a process of its own, seen from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pnen_runtime.errors import PnenError

TOOLS = Path(__file__).parents[1]


class Failed(PnenError):
    """What a way said when it failed, and its exit code."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.exit_code = code


@dataclass(frozen=True)
class Settings:
    """How long everything may take."""

    repeats: int
    warm_up: int
    seconds: float  # for the repeats of one row; then it ends, after `ENOUGH` repeats
    longest: float  # seconds that one run may take, by its operations
    threads: int
    pythons: dict[str, str] = field(default_factory=dict)  # program → another Python that has it


class Process:
    """A worker, a module that calls `bench.worker.serve`; a context that ends it."""

    def __init__(self, job: dict[str, Any], settings: Settings, folder: Path, worker: str = "bench.worker"):
        self._log = open(folder / "log.txt", "a+b")  # noqa: SIM115 (closed with the process)
        self._log_start = self._log.seek(0, os.SEEK_END)
        paths = os.pathsep.join(filter(None, (str(TOOLS), str(TOOLS.parent), os.environ.get("PYTHONPATH"))))
        threads = str(settings.threads)
        environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads,
                                    "PYTHONSAFEPATH": "1"}  # fmt: skip
        python = settings.pythons.get(job["program"], sys.executable)
        words = [python, "-m", worker, json.dumps(job | {"threads": settings.threads})]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment
        )

    def ask(self, *command: Any) -> dict[str, Any]:
        """The answer to a command; Failed with the way's own message where it failed or died."""
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Failed(self._last_words(), 1)
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"], answer["code"])
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        if code == -9:
            return "the system ended it (signal 9), most likely for want of memory"
        self._log.seek(self._log_start)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return (
            f"it ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}: {(lines or ['no message'])[-1]}"
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()
