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


def modules(floor: str) -> dict[str, Path]:
    """Every module by its name; those of tools are imported without that word."""
    start = ROOT / floor if floor == "tools" else ROOT
    names = {file: file.relative_to(start).with_suffix("").parts for file in sources(floor)}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): file for file, parts in names.items()}


def needs(name: str, file: Path) -> set[str]:
    """The names that a module imports, also for its types alone."""
    found, package = set(), name.split(".")[: None if file.name == "__init__.py" else -1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {part.name for part in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) + 1 - node.level], node.module] if node.level else [node.module]
            full = ".".join(filter(None, base))
            found |= {full, *(f"{full}.{part.name}" for part in node.names)}
    return found


@pytest.mark.parametrize("floor", FLOORS)
def test_no_module_imports_one_that_imports_it(floor):
    files = modules(floor)
    # a package's own __init__ may gather what is in it
    graph = {name: needs(name, file) & files.keys() - {name.rpartition(".")[0]} for name, file in files.items()}
    assert any(graph.values())
    while graph:
        free = {name for name, needed in graph.items() if not needed & graph.keys() - {name}}
        assert free, f"these import each other: {sorted(graph)}"
        graph = {name: needed for name, needed in graph.items() if name not in free}


@pytest.mark.parametrize("floor", FLOORS)
def test_no_private_module_of_another_package_is_imported(floor):
    for name, file in modules(floor).items():
        foreign = {path for path in needs(name, file) if path.partition(".")[0] not in {*FLOORS, "__future__"}}
        parts = {part for path in foreign for part in path.split(".")}
        private = {part for part in parts if part.startswith("_") and not part.endswith("_")}
        assert not private, (file, private)


CLOCKS = {"perf_counter", "process_time", "thread_time", "perf_counter_ns", "process_time_ns"}
WAITS = {"wait", "join", "communicate", "acquire", "result"}


def measures_time(node: ast.AST) -> bool:
    """Whether a call reads a stop watch, or waits for at most so many seconds."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    seconds = any(isinstance(word, ast.Constant) and isinstance(word.value, float | int) for word in node.args)
    limited = name in WAITS and isinstance(node.func, ast.Attribute) and seconds
    hurried = name == "settings" and any(word.arg == "deadline" for word in node.keywords)
    return name in CLOCKS or limited or hurried or any(word.arg == "timeout" for word in node.keywords)


def test_no_test_depends_on_how_fast_the_machine_is():
    for text in ("perf_counter()", "thread.join(10)", "run(timeout=1)", "event.wait(0.2)", "settings(deadline=99)"):
        assert any(map(measures_time, ast.walk(ast.parse(text)))), text
    for file in sources("tests"):
        found = [node.lineno for node in ast.walk(ast.parse(file.read_text("utf-8"))) if measures_time(node)]
        assert not found, (file, found)


@pytest.mark.parametrize(("floor", "most"), [*((floor, 250) for floor in FLOORS), ("tests", 300)])
def test_no_file_is_too_long(floor, most):
    lengths = {file.name: len(file.read_text("utf-8").splitlines()) for file in sources(floor)}
    assert not {name: length for name, length in lengths.items() if length > most}
