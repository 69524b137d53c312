"""The words that pnen-smooth takes in place of a picture: `inspect`, `doctor` and `serve`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .commands import Command

OTHERS = {"inspect": "inspecting", "doctor": "doctor", "serve": "serving.command"}  # and where each is


class WithOthers(Command):
    """A command that hands over to another where that is its first word; a file of such a name is `./inspect`."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **settings: Any) -> Any:  # type: ignore[override]
        words = list(sys.argv[1:] if args is None else args)
        if not words or words[0] not in OTHERS:
            return super().main(args, prog_name, **settings)
        word = words[0]
        command = getattr(import_module(f".{OTHERS[word]}", __package__), word)
        return command.main(words[1:], f"{prog_name or 'pnen-smooth'} {word}", **settings)
