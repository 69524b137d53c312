"""The tools that go to bare machines need nothing that the extra `train` does not bring."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
BLOCKED = """
import runpy, sys
sys.modules["platformdirs"] = None
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv.pop())
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("tool", ["train_box", "bench_training"])
def test_they_start_without_platformdirs(tool):
    words = [sys.executable, "-c", BLOCKED, TOOLS / f"{tool}.py", "--help", TOOLS]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=TOOLS.parent)
    assert done.returncode == 0 and "Usage:" in done.stdout, done.stdout
