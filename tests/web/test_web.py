"""tools/web.py: the package is the pinned one or nothing is made of it, each fault with one line and its code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import web

ROOT = Path(__file__).parents[2]


def test_a_foreign_package_is_refused(tmp_path):
    (tmp_path / f"{web.PACKAGE}-{web.VERSION}.tgz").write_bytes(b"something else")
    with pytest.raises(web.Failed, match=r"is not the pinned onnxruntime-web .*delete it") as failed:
        web.fetch(tmp_path)
    assert failed.value.args[1] == 5 and "\n" not in failed.value.args[0]


@pytest.mark.parametrize(("npm", "wanted"), [(None, "install Node.js"), ("exit 1", "npm could not fetch"), (
    f"echo foreign > $6/onnxruntime-web-{web.VERSION}.tgz", "not the pinned")])  # fmt: skip
def test_npm_that_is_missing_or_fails_is_one_line(tmp_path, monkeypatch, npm, wanted):
    if npm is not None:
        (tmp_path / "npm").write_text(f"#!/bin/sh\n{npm}\n")
        (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) if npm is None else f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(web.Failed, match=wanted) as failed:
        web.fetch(tmp_path / "kept")
    assert failed.value.args[1] == (5 if npm and "echo" in npm else 4) and "\n" not in failed.value.args[0]


def test_the_port_may_be_taken(built, served):
    port = served(built).rstrip("/").rpartition(":")[2]
    done = subprocess.run([sys.executable, "tools/web.py", "--port", port], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "--port takes another port" in done.stderr and done.stderr.count("\n") == 1
