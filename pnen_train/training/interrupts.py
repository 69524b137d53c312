"""Ctrl-C, SIGTERM and SIGHUP that wait for the end of a training step, so that what is saved is whole."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pnen_runtime.signals import ENDING


@contextmanager
def held_interrupts() -> Iterator[Callable[[], int]]:
    """Give a question to ask after each step: which signal came? 0 where none did. A second one is not held back.

    Outside the main thread, where Python allows no signal handlers, the answer is always 0.
    """
    asked: list[int] = []

    def hold(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    taken = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, *taken)}
    try:
        yield lambda: asked[0] if asked else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
