"""Signals that end a command: as Ctrl-C does, so that nothing half done stays; at once, where nothing is begun."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has no SIGHUP


class Terminated(KeyboardInterrupt):
    """One of `ENDING` as an interrupt; `number` is the signal's."""

    def __init__(self, number: int = signal.SIGTERM):
        super().__init__()
        self.number = number


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a block as Ctrl-C does; one that is ignored, as nohup has it, stays so.

    Outside the main thread, where Python allows no handler, nothing.
    """

    def end(number: int, _frame: object) -> None:
        raise Terminated(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def importing() -> Iterator[None]:
    """For a command's slow imports, before it works on anything: Ctrl-C ends the process at once, in one line.

    Raised as KeyboardInterrupt some imports would swallow it, and others make another error of it.
    """

    def end(_number: int, _frame: object) -> None:
        os.write(2, b"Error: interrupted\n")
        os._exit(128 + signal.SIGINT)

    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
