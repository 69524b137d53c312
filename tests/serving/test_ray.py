"""`integrations/ray/smooth_folders.py`: one of its processes, and all of it where Ray is installed."""

import runpy
import subprocess
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from pnen_runtime.cli import smooth

from .conftest import file_of, noise

SCRIPT = Path(__file__).parents[2] / "integrations" / "ray" / "smooth_folders.py"


@pytest.fixture
def folders(tmp_path):
    """Some pictures, a torn one, and what the command makes of them."""
    for seed, name in enumerate(["a.png", "b/c.jpg", "b/d/e.png"]):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file_of(noise(seed), "JPEG" if name.endswith("jpg") else "PNG"))
    words = ["-r", "-m", "l0-fast", "--threads", "1", str(tmp_path / "in"), str(tmp_path / "right")]
    assert CliRunner().invoke(smooth, words).exit_code == 0
    (tmp_path / "in" / "b" / "torn.png").write_bytes(b"nothing")
    return tmp_path


def same(folder):
    right = {path.relative_to(folder / "right"): path.read_bytes() for path in (folder / "right").rglob("*.*")}
    found = {path.relative_to(folder / "out"): path.read_bytes() for path in (folder / "out").rglob("*.*")}
    return len(right) == 3 and right == found


def test_a_process_writes_what_the_command_does(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))
    work = runpy.run_path(str(SCRIPT))["Smooth"](folders / "in", folders / "out")
    rows = [work({"path": str(path), "bytes": path.read_bytes()}) for path in (folders / "in").rglob("*.*")]
    assert same(folders)
    assert [row["error"] for row in rows if row["error"]] == [
        "the picture: expected an image, got something else or a broken header"
    ]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
def test_the_whole_of_it(folders):
    line = [sys.executable, SCRIPT, folders / "in", folders / "out", "1"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 1 and "3 of 4 pictures smoothed" in done.stdout and same(folders)
