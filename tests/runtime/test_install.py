"""What messages advise to install: packages that are in registries, which this project itself is not."""

import re
from pathlib import Path

import pytest
import tomllib

from pnen_runtime.install import PACKAGES, pip_install

ROOT = Path(__file__).parents[2]
FOREIGN = re.compile(r"""pip install [^\n`;]*?(?<![\w./-])["']?pnen\b|["']pnen\[""")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


def needed(extra):
    """The packages of an extra, those of its own extras first, without versions."""
    for requirement in EXTRAS[extra]:
        inner = re.match(r"pnen\[(.+)\]", requirement)
        yield from needed(inner[1]) if inner else [re.split(r"[<>=;]", requirement)[0].strip()]


@pytest.mark.parametrize("extra", PACKAGES)
def test_they_are_those_of_the_extra(extra):
    assert list(PACKAGES[extra]) == list(needed(extra))


def test_brackets_are_quoted_for_the_shell():
    assert pip_install("ort-gpu") == 'pip install "onnxruntime-gpu[cuda,cudnn]" cuda-python'


@pytest.mark.parametrize("folder", ["pnen_runtime", "pnen_train", "pnen_export", "tools", "docs", "README.md"])
def test_nobody_is_told_to_take_this_project_from_a_registry(folder):
    files = [ROOT / folder, *(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.md")]
    for file in filter(Path.is_file, files):
        assert not FOREIGN.search(file.read_text("utf-8")), file


def test_a_command_is_known_for_what_it_takes():
    for text in ("pip install pnen", 'pip install -U "pnen[ort]"', "install it: 'pnen[ort]'"):
        assert FOREIGN.search(text), text
    for text in ('pip install ".[ort]"', 'pip install "PATH/pnen[ort]"', "pip install onnx; run pnen-export"):
        assert not FOREIGN.search(text), text


def test_the_gpu_runtime_brings_its_libraries():
    assert any(requirement.startswith("onnxruntime-gpu[cuda,cudnn]") for requirement in EXTRAS["ort-gpu"])
