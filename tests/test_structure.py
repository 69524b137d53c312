"""The shape of the source: which package may import which, and how long a file may be."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ["pnen_runtime", "pnen_train", "pnen_export", "tools"]  # each may import those before it
FRAMEWORKS = {"torch", "onnx", "onnxscript", "onnxruntime", "tensorrt", "tensorrt_rtx", "pycuda"}


def sources(floor: str) -> list[Path]:
    return sorted((ROOT / floor).rglob("*.py"))


def imported(node: ast.AST) -> set[str]:
    """Top-level names of the packages that a file or a statement imports, inside functions too."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            found |= {name.name.split(".")[0] for name in part.names}
        elif isinstance(part, ast.ImportFrom) and part.level == 0 and part.module:
            found.add(part.module.split(".")[0])
    return found


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_point_down_only(floor):
    above = set(FLOORS[FLOORS.index(floor) + 1 :])
    for file in sources(floor):
        assert not above & imported(ast.parse(file.read_text(encoding="utf-8"))), file


def test_runtime_never_imports_torch_or_onnx():
    for file in sources("pnen_runtime"):
        assert not {"torch", "onnx", "onnxscript"} & imported(ast.parse(file.read_text(encoding="utf-8"))), file


def test_runtime_imports_a_backend_only_when_it_is_opened():
    for file in sources("pnen_runtime"):
        for statement in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                assert not FRAMEWORKS & imported(statement), file


@pytest.mark.parametrize("floor", [*FLOORS, "tests"])
def test_no_file_is_over_300_lines(floor):
    too_long = {
        file.name: length for file in sources(floor) if (length := len(file.read_text("utf-8").splitlines())) > 300
    }
    assert not too_long
