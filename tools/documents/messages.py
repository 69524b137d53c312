"""The lines that commands and the runtime fail or warn with, as the source writes them; what varies is an ellipsis."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pnen_runtime import errors

ROOT = Path(__file__).parents[2]
PACKAGES = ("pnen_runtime", "pnen_train", "pnen_export")
CODES = {name: kind.exit_code for name, kind in vars(errors).items() if hasattr(kind, "exit_code")}
# of click, what settings of filters and networks raise (it becomes UsageError), a lack of memory, a ParityError
CODES |= {"BadParameter": 2, "ValueError": 2, "MemoryError": 1, "Mismatch": 3}
VARIES = "…"


@dataclass(frozen=True, order=True)
class Message:
    """One line; `kind` is the class of the error that holds it."""

    code: int
    kind: str
    package: str
    text: str


def texts(node: ast.AST) -> list[str]:
    """What an expression may say; both of `a if b else c`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(parts) for parts in product(*map(texts, node.values))]
    if isinstance(node, ast.FormattedValue):
        return texts(node.value) if isinstance(node.value, ast.IfExp) else [VARIES]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [one + other for one, other in product(texts(node.left), texts(node.right))]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body), *texts(node.orelse)]
    return [VARIES]


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the three packages, with the package's name."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield package, ast.parse(path.read_text("utf-8"))


def messages() -> list[Message]:
    """Those of errors, sorted by exit code; lines that are made of other texts alone are left out."""
    found = set()
    for package, tree in trees():
        for node in ast.walk(tree):
            name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if name in CODES and node.args:
                said = (re.sub(rf"{VARIES}[{VARIES}]+", VARIES, text) for text in texts(node.args[0]))
                found |= {Message(CODES[name], name, package, text) for text in said if re.search(r"[a-z]{3}", text)}
    return sorted(found)


def all_texts() -> list[str]:
    """Every text in the source, of warnings too, where %s and the like vary."""
    found = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, (ast.JoinedStr, ast.Constant, ast.BinOp)):
                found |= {re.sub(r"%[sdgr]", VARIES, text) for text in texts(node)}
    return sorted(found)


def as_list() -> str:
    """All messages as Markdown: a heading for each exit code and class."""
    lines, before = [], ("", "")
    for message in messages():
        if (str(message.code), message.kind) != before:
            before = (str(message.code), message.kind)
            lines += ["", f"### {message.kind}, exit code {message.code}", ""]
        lines.append(f"- {message.package}: `` {message.text} ``")
    return "\n".join(lines)
