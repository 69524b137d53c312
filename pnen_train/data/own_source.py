"""Where a function is that a recipe names as "module:function", and its source; nothing of it is run here."""

import ast
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from pnen_runtime.errors import UsageError
from pnen_runtime.files import is_file

from .filters import LARGEST

FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")  # "module:function"


def function_target(target: Mapping[str, Any]) -> dict[str, Any]:
    """A [target] that names a function, with its strength, and the sha256 of its source where a record has it.

    UsageError for what is none; the function is not looked for.
    """
    known = ("function", "strength", "strengths", "source")
    for key in target:
        if key not in known:
            raise UsageError(f'unknown setting "{key}" in [target] beside function; there are {", ".join(known)}')
    name, source, result = target["function"], target.get("source"), {"function": target["function"]}
    if not isinstance(name, str) or not FUNCTION.fullmatch(name) or len(name) > 200:
        raise UsageError(f'expected function in [target] to be like "my_module:my_filter", got {name!r}')
    if source is not None:
        if not isinstance(source, str) or not re.fullmatch("[0-9a-f]{64}", source):
            raise UsageError(f"expected source in [target] to be the sha256 of the function's source, got {source!r}")
        result["source"] = source
    if (strength := target.get("strength")) is not None:
        if type(strength) not in (int, float) or not 0 <= strength <= LARGEST:
            raise UsageError(f"expected strength in [target] to be a number from 0, got {strength!r}")
        result["strength"] = float(strength)
    return result


@dataclass(frozen=True)
class OwnSource:
    """A function of the user's: its name ("module:function"), its file below `folder`, and what its code is."""

    name: str
    folder: Path
    file: Path
    line: int  # of its `def`
    files: dict[Path, bytes] = field(repr=False)  # the file, and those below the folder that it imports

    @property
    def module(self) -> str:
        return self.name.partition(":")[0]

    @property
    def function(self) -> str:
        return self.name.partition(":")[2]

    @property
    def place(self) -> str:
        """File and line, as errors name them."""
        return f"{self.file}:{self.line}"

    @property
    def sha256(self) -> str:
        """Of the names and bytes of all its files."""
        digest = hashlib.sha256()
        for file, code in sorted(self.files.items()):
            digest.update(f"{file.relative_to(self.folder).as_posix()} {len(code)} ".encode() + code)
        return digest.hexdigest()


def find_function(name: str, folders: Sequence[Path], *, strength: bool = False) -> OwnSource:
    """The function in the first of the folders that has its module; it must take a `strength` where one is given.

    Raises UsageError where there is no such file or function, it is not written there, or it takes other arguments.
    """
    module, _, function = name.partition(":")
    found = [(folder, file) for folder in folders for file in _files_of(folder, module.split("."))]
    wanted = f'function "{name}" in [target]'
    if not found:
        looked = " or ".join(dict.fromkeys(str(folder.resolve()) for folder in folders))
        raise UsageError(f"{wanted}: expected {module.replace('.', '/')}.py in {looked}, found none; go to its folder")
    folder, file = found[0]
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or _elsewhere(top, folders):
        raise UsageError(f"{wanted}: expected a name of its own for {file}, got that of an installed module; rename it")
    tree = _parsed(file, code := file.read_bytes())
    written = {part.name: part for part in tree.body if isinstance(part, ast.FunctionDef)}
    if function not in written:
        there = ", ".join(written) or "none"
        raise UsageError(f"{wanted}: expected `def {function}(image)` in {file}, got functions {there}; wrap in one "
                         "what is imported or assigned there, and so has no source in it")  # fmt: skip
    own = OwnSource(name, folder, file, written[function].lineno, _with_imported(folder, file, code))
    _check_arguments(own, written[function], strength)
    return own


def _files_of(folder: Path, module: Sequence[str]) -> list[Path]:
    """The file of a module below the folder, if it is there."""
    path = folder.joinpath(*module)
    return [file for file in (path.with_name(f"{path.name}.py"), path / "__init__.py") if module and is_file(file)]


def _elsewhere(top: str, folders: Sequence[Path]) -> bool:
    """Whether an installed package has this name."""
    own = {folder.resolve() for folder in folders}
    spec = PathFinder.find_spec(top, [path for path in sys.path if Path(path).resolve() not in own])
    return spec is not None and spec.origin is not None


def _parsed(file: Path, code: bytes) -> ast.Module:
    try:
        return ast.parse(code, str(file))
    except SyntaxError as error:
        raise UsageError(f"{file}:{error.lineno or 1}: expected Python, got {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{file}: expected Python, got something else ({error})") from error


def _check_arguments(own: OwnSource, written: ast.FunctionDef, strength: bool) -> None:
    """UsageError unless it can be called with a picture, and with a strength where one is given."""
    given = written.args
    if written.decorator_list:  # which may change what it takes
        return
    ordered = [argument.arg for argument in (*given.posonlyargs, *given.args)]
    least = ordered[: len(ordered) - len(given.defaults)]
    least += [each.arg for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
    named = [argument.arg for argument in (*given.args, *given.kwonlyargs)]
    takes = "strength" in named[not given.posonlyargs :] or given.kwarg is not None
    missing = [name for name in least if name not in ordered[:1] and not (name == "strength" and strength)]
    wanted = f"{own.function}(image{', strength' if strength else ''})"
    got = f"{own.function}({ast.unparse(given)})"
    if not (ordered or given.vararg) or missing or (strength and not takes):
        hint = "" if strength or missing != ["strength"] else "; set strength in [target]"
        raise UsageError(f"{own.place}: expected a function that can be called as {wanted}, got {got}{hint}")


def _with_imported(folder: Path, file: Path, code: bytes) -> dict[Path, bytes]:
    """The file, and those below the folder that it imports, and that these import, with their bytes."""
    found, waiting = {file: code}, [file]
    while waiting:
        here = waiting.pop()
        try:
            tree = ast.parse(found[here])
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # it ends the run when it is imported
        for module in _imported(tree, here.relative_to(folder).with_suffix("").parts):
            for other in (file for end in range(len(module)) for file in _files_of(folder, module[: end + 1])):
                if other not in found:
                    found[other] = other.read_bytes()
                    waiting.append(other)
    return found


def _imported(tree: ast.Module, own: Sequence[str]) -> Iterator[Sequence[str]]:
    """The modules, by the parts of their names, that one of this name imports anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (part.name.split(".") for part in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*(own[: -node.level] if node.level else ()), *(node.module.split(".") if node.module else ())]
            yield from ([*base, part.name] for part in node.names)
