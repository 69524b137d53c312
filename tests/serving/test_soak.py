"""The short form of `tools/reliability/service.py`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_clients_at_once_get_what_is_theirs_and_nothing_grows():
    line = [sys.executable, ROOT / "tools" / "reliability" / "service.py", "--requests", "300", "--clients", "8"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "300 requests to l0-fast from 8 clients" in done.stdout and "0 differ or failed" in done.stdout
