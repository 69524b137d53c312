"""No command talks to another machine or leaves a trace in the user's cache that is not ours."""

from __future__ import annotations

import ast
import ctypes
import os
import platform
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOCKET = {"x86_64": 41, "aarch64": 198}.get(platform.machine())  # the system call
PICTURE = ROOT / "pnen_export" / "photograph.jpg"
RUN = """
import sys, time
from importlib import import_module
module, name, seconds, *sys.argv[1:] = sys.argv[1:]
try:
    getattr(import_module(module), name)()
finally:
    time.sleep(float(seconds))  # telemetry is sent when a process is some seconds old
"""
COMMANDS = {
    "smooth": ("pnen_runtime.cli", "smooth", "12", PICTURE, "out.png", "--tile", "96", "--model", "wmf-fast"),
    "exact filter": ("pnen_runtime.cli", "smooth", "0", PICTURE, "out.png", "--filter", "l0"),
    "inspect": ("pnen_runtime.cli", "smooth", "0", "inspect", "l0"),
    "list": ("pnen_runtime.cli", "smooth", "0", "--list"),
    "doctor": ("pnen_runtime.cli", "smooth", "0", "doctor"),
    "new": ("pnen_train.cli", "main", "0", "new", "out"),
    "pictures": ("pnen_train.cli", "main", "0", "pictures", PICTURE.parent, "out", "--clean"),
    "filter": ("pnen_train.cli", "main", "0", "filter", "l0", PICTURE, "out.png"),
    "evaluate": ("pnen_train.cli", "main", "0", "evaluate", "wmf-fast", PICTURE, "--device", "cpu"),
    "models": ("pnen_train.cli", "main", "0", "models"),
    "export": ("pnen_export.cli", "main", "12", "wmf-fast", "--out", "out", "--target", "ort"),
}


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def forbid_internet() -> None:
    """From now on a socket for IPv4 or IPv6 kills this process and its children: seccomp, which no library evades."""
    load, equal, ret, kill, allow = 0x20, 0x15, 0x06, 0x80000000, 0x7FFF0000
    rules = [(load, 0, 0, 0), (equal, 0, 4, SOCKET), (load, 0, 0, 16), (equal, 1, 0, 2), (equal, 0, 1, 10),
             (ret, 0, 0, kill), (ret, 0, 0, allow)]  # fmt: skip
    code = b"".join(struct.pack("HBBI", *rule) for rule in rules)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges, which the next call asks for
    assert libc.prctl(22, 2, ctypes.byref(Program(len(rules), code)), 0, 0) == 0


def run(script: str, *words: object, folder: Path, **settings: object) -> subprocess.CompletedProcess:
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", script, *map(str, words)], cwd=folder, env=environment,
                          capture_output=True, text=True, **settings)  # fmt: skip


@pytest.mark.skipif(SOCKET is None or sys.platform != "linux", reason="seccomp as Linux has it")
def test_the_guard_itself_ends_what_opens_a_socket(tmp_path):
    for family, code in (("AF_UNIX", 0), ("AF_INET", -signal.SIGSYS), ("AF_INET6", -signal.SIGSYS)):
        done = run(f"import socket; socket.socket(socket.{family})", folder=tmp_path, preexec_fn=forbid_internet)
        assert done.returncode == code


@pytest.mark.slow
@pytest.mark.skipif(SOCKET is None or sys.platform != "linux", reason="seccomp as Linux has it")
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_opens_a_socket_or_leaves_a_file_of_others(tmp_path, command):
    done = run(RUN, *COMMANDS[command], folder=tmp_path, preexec_fn=forbid_internet)
    assert done.returncode == 0, done.stderr
    left = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"out.png", "out.toml", "out", ".cache"}
    assert {path.name for path in (tmp_path / ".cache").glob("*")} <= {"pnen"}


def test_a_user_who_wants_telemetry_keeps_it(tmp_path):
    ask = "import os; from pnen_runtime.backends.ort import choose; {}; choose(); print(os.environ.get('{}'))"
    name = "ORT_DISABLE_TELEMETRY"
    assert run(ask.format("0", name), folder=tmp_path).stdout == "1\n"
    assert run(ask.format(f"os.environ['{name}'] = '0'", name), folder=tmp_path).stdout == "0\n"


@pytest.mark.parametrize("floor", ["pnen_runtime", "pnen_train", "pnen_export", "tools"])
def test_onnxruntime_is_imported_in_one_place(floor):
    for file in (ROOT / floor).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not any(name.split(".")[0] == "onnxruntime" for name in named), file
