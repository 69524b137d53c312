"""Which software made something."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from pnen_runtime.commands import version as own_version

ROOT = Path(__file__).parent.parent


def versions() -> dict[str, str]:
    """Of the libraries that figures may depend on, and of this package; in a checkout also its commit."""
    found = {"torch": str(torch.__version__), "numpy": version("numpy"), "pnen": own_version()}
    return found | ({"commit": commit} if (commit := _commit()) else {})


def _commit() -> str:
    """The hash of the checkout's commit, with "-dirty" where files were changed since; empty where there is none."""
    if not (ROOT / ".git").exists():  # else git would look further up, in a repository that is not ours
        return ""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
