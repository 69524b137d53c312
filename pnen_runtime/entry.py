"""Where commands begin: Ctrl-C while their modules are imported is one line and exit code 130, no traceback.

Nothing is imported before that takes time: `pnen_runtime` imports what it offers when that is asked for.
"""

import sys
from importlib import import_module

from .signals import importing


def begin(module: str, command: str, *, python: tuple[int, int] = (3, 10)) -> None:
    """Import a module and run its command; exit code 4 where Python is older than its package needs."""
    if sys.version_info < python:
        wanted, found = (".".join(map(str, version[:2])) for version in (python, sys.version_info))
        print(f"Error: expected Python {wanted} or newer, found {found}, which runs pnen-smooth alone", file=sys.stderr)
        sys.exit(4)
    with importing():
        run = getattr(import_module(module), command)
    run()


def smooth() -> None:
    """`pnen-smooth`."""
    begin("pnen_runtime.cli", "smooth")
