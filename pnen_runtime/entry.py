"""Where commands begin: Ctrl-C while their modules are imported is one line and exit code 130, no traceback.

Nothing is imported before that takes time: `pnen_runtime` imports what it offers when that is asked for.
"""

import os
import signal
from importlib import import_module


def _end(_number: int, _frame: object) -> None:
    os.write(2, b"Error: interrupted\n")
    os._exit(128 + signal.SIGINT)


def begin(module: str, command: str) -> None:
    """Import a module and run its command."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # as KeyboardInterrupt some imports would swallow it
        signal.signal(signal.SIGINT, _end)
    run = getattr(import_module(module), command)
    signal.signal(signal.SIGINT, before)
    run()


def smooth() -> None:
    """`pnen-smooth`."""
    begin("pnen_runtime.cli", "smooth")
