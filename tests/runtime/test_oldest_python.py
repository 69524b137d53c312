"""The runtime is for Python 3.10 too: its modules are imported by one, where there is one, without their packages."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
OLDEST = re.search(r'requires-python = ">=(3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))[1]
IMPORT_ALL = """
import importlib, pkgutil, sys, types
from unittest.mock import MagicMock
class Absent(MagicMock):
    __path__, __version__ = [], "1"
    def __getattr__(self, name):
        bases = ("Error", "Exception", "Protocol", "Response")
        return type(name, (Exception,), {}) if name.endswith(bases) else super().__getattr__(name)
class Everything:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec):
        return Absent(name=spec.name)
    def exec_module(self, module):
        pass
ABSENT = {"numpy", "PIL", "msgspec", "rich", "numba", "skimage", "av", "pyvips", "onnxruntime", "cv2", "starlette",
          "uvicorn", "python_multipart", "prometheus_client", "tritonclient"}
sys.meta_path.insert(0, Everything())
import pnen_runtime
names = [part.name for part in pkgutil.walk_packages(pnen_runtime.__path__, "pnen_runtime.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(sys.version_info[:2], len(names))
"""


def oldest():
    """An interpreter of that version, of the system or of pyenv."""
    places = [shutil.which(f"python{OLDEST}"), *Path.home().glob(f".pyenv/versions/{OLDEST}.*/bin/python")]
    return next((str(place) for place in places if place and runs(place)), None)


def runs(python):
    done = subprocess.run([python, "-c", "import sys; print(sys.version_info[:2])"], stdout=subprocess.PIPE, text=True)
    return done.stdout.strip() == str(tuple(map(int, OLDEST.split("."))))


def test_the_oldest_python_imports_every_module():
    python = oldest() or pytest.skip(f"no Python {OLDEST} here")
    words = [
        python,
        "-c",
        f"import sys; sys.path[:0] = {[str(ROOT), str(Path(click.__file__).parents[1])]!r}\n{IMPORT_ALL}",
    ]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(str(tuple(map(int, OLDEST.split("."))))) and sys.version_info[:2] >= (3, 11)
