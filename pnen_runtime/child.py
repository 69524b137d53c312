"""Processes of our own Python: they take no module from the folder that the user is in, and end in time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGES = Path(__file__).parents[1]  # where this package lies, and so a folder that is trusted already
SAFE_PATH = ["-P"] if sys.version_info >= (3, 11) else []  # before 3.11 `-m` looks in PACKAGES first, and there alone


def run_module(module: str, *words: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m module words`; paths among the words must be absolute, since it runs in another folder.

    Raises subprocess.TimeoutExpired, once the process is ended, where it takes more than `seconds`.
    """
    command = [sys.executable, *SAFE_PATH, "-m", module, *words]
    return subprocess.run(
        command, cwd=PACKAGES, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
        timeout=seconds,
    )  # fmt: skip
