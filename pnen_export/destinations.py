"""`pnen-export --for WHERE`: all that something else needs to run our models, in its own form."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from pnen_runtime.commands import Command
from pnen_runtime.errors import UsageError

WHERE = {"darktable": "programs", "triton": "triton_command", "vapoursynth": "programs"}  # and the module of each


class WithDestinations(Command):
    """A command that hands over to another where `--for` is its first word."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **settings: Any) -> Any:  # type: ignore[override]
        words = list(sys.argv[1:] if args is None else args)
        asked = next((word for word in words if word == "--for" or word.startswith("--for=")), None)
        if asked is None:
            return super().main(args, prog_name, **settings)
        at = words.index(asked)
        _, joined, where = asked.partition("=")
        rest = words[:at] + words[at + (1 if joined else 2) :]
        where = where if joined else "".join(words[at + 1 : at + 2])
        if where not in WHERE:
            return super().main([*words[:at], "--for", where or "nothing"], prog_name, **settings)
        command = getattr(import_module(f".{WHERE[where]}", __package__), where)
        return command.main(rest, f"{prog_name or 'pnen-export'} --for {where}", **settings)


def refuse(_ctx: Any, _option: Any, where: str | None) -> None:
    """`--for` with a word that is not among `WHERE`; the others never come here."""
    if where is not None:
        raise UsageError(f"expected --for {' or '.join(WHERE)}, got {where!r:.60}")
