"""Signals: what is half done is taken away, whatever the moment, and the exit code says which one came."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pnen_runtime.commands import Command
from pnen_runtime.files import replace_when_done

PACKAGES = {"smooth": "pnen_runtime", "train": "pnen_train", "export": "pnen_export"}
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


@pytest.mark.parametrize(
    ("command", "module", "words"),
    [
        ("smooth", "numpy", ["in.png", "out.png"]),
        ("smooth", "click", ["in.png", "out.png"]),
        ("train", "numpy", ["models"]),
        ("train", "click", ["models"]),
        ("train", "torch", ["models"]),
        ("export", "numpy", ["l0"]),
        ("export", "onnxscript", ["l0", "--engine", "none"]),
    ],
)
def test_ctrl_c_while_modules_are_imported_is_one_line(tmp_path, command, module, words):
    script = f"""
import signal, sys

class AtImport:
    def find_spec(self, name, *_):
        if name == {module!r}:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise ImportError("as some libraries make of it") from None

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, AtImport())
from {PACKAGES[command]}.entry import {command}
sys.argv[0] = "pnen-{command}"
{command}()
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script, *words], cwd=tmp_path, env=environment, capture_output=True,
                          text=True)  # fmt: skip
    assert (done.returncode, done.stderr, done.stdout) == (130, "Error: interrupted\n", ""), done
    assert not list(tmp_path.iterdir())


@pytest.fixture
def half_done(tmp_path):
    """half_done(number) → the result of a command that gets this signal while it writes a file."""

    def call(number):
        @click.command(cls=Command)
        def work():
            with replace_when_done(tmp_path / "result.txt") as temporary:
                temporary.write_text("half")
                signal.raise_signal(number)
                temporary.write_text("whole")

        return CliRunner().invoke(work, [])

    return call


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_leaves_nothing_half_done(half_done, tmp_path, number):
    before = signal.getsignal(number)
    if number != signal.SIGINT:  # of a process that takes no notice it would be the end
        signal.signal(number, lambda *_: pytest.fail("the command took no notice"))
    try:
        result = half_done(number)
    finally:
        signal.signal(number, before)
    assert (result.exit_code, result.stderr) == (128 + number, "Error: interrupted\n")
    assert not list(tmp_path.iterdir())


def test_a_signal_that_is_ignored_stays_so(half_done, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert half_done(signal.SIGHUP).exit_code == 0 and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (tmp_path / "result.txt").read_text() == "whole"
