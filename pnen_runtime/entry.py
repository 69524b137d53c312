"""Where commands begin: Ctrl-C while their modules are imported is one line and exit code 130, no traceback.

Nothing is imported before that takes time: `pnen_runtime` imports what it offers when that is asked for.
"""

from importlib import import_module

from .signals import importing


def begin(module: str, command: str) -> None:
    """Import a module and run its command."""
    with importing():
        run = getattr(import_module(module), command)
    run()


def smooth() -> None:
    """`pnen-smooth`."""
    begin("pnen_runtime.cli", "smooth")
