"""Where the commands begin: Ctrl-C while their modules are imported is one line and exit code 130, no traceback.

A module of its own, since a package's own imports come before anything in it.
"""

import os
import signal
from importlib import import_module


def _end(_number: int, _frame: object) -> None:
    os.write(2, b"Error: interrupted\n")
    os._exit(128 + signal.SIGINT)


def _begin(module: str, command: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # as KeyboardInterrupt some imports would swallow it
        signal.signal(signal.SIGINT, _end)
    run = getattr(import_module(module), command)
    signal.signal(signal.SIGINT, before)
    run()


def smooth() -> None:
    """`pnen-smooth`."""
    _begin("pnen_runtime.cli", "smooth")


def train() -> None:
    """`pnen-train`."""
    _begin("pnen_train.cli", "main")


def export() -> None:
    """`pnen-export`."""
    _begin("pnen_export.cli", "main")
