"""SIGTERM and SIGINT, which ask a process to end.

A handler runs on the main thread between any two of its steps, so it may take no lock that this thread can
hold meanwhile: `threading.Event` has one, and a handler that sets an event which the main thread waits for
may wait for itself.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

LONGEST_SLEEP_SECONDS = 0.05


@contextmanager
def ending(tell: Callable[[], object]) -> Iterator[None]:
    """The first of the two calls `tell`, once; another ends the process as it would have without us."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
        tell()

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class End:
    """Set by a signal's handler; the main thread waits for it without a lock, so in short sleeps."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set

    def wait(self, seconds: float) -> None:
        """Until `seconds` have passed, or it is set and was noticed."""
        until = time.monotonic() + seconds
        while not self._set and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LONGEST_SLEEP_SECONDS))
