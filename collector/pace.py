"""When a shard's loop turns again: at once for what is new, and not too often for what only grows."""

from __future__ import annotations

import threading
from collections.abc import Callable

GATHER_SECONDS = 0.02
"""How long more is waited for once something came, so that many small events make one turn and not one each.
New files and their first bytes wait for nothing.
"""

LONGEST_REST_SECONDS = 0.25
REST_PART = 20
"""After a read, growth waits for this part of a batch's age, and no longer than that: a read has a price of
its own, and a hundred small ones a second take several times as much CPU as four large ones.
"""


class Pace:
    """Any thread may `wake`, `hurry`, or tell that something `grew`; the loop's own says when it `rests`, and
    waits.
    """

    def __init__(self, monotonic: Callable[[], float], batch_max_age_seconds: float) -> None:
        self._monotonic = monotonic
        self._rest_seconds = min(LONGEST_REST_SECONDS, batch_max_age_seconds / REST_PART)
        self._woken = threading.Event()
        self._hurried = threading.Event()
        self._rests_until = float("-inf")
        self._has_grown = False

    def wake(self) -> None:
        """Something happened."""
        self._woken.set()

    def hurry(self) -> None:
        """Something happened for which no more is to be waited."""
        self._hurried.set()
        self._woken.set()

    def grew(self) -> None:
        """There is more of what was read before: within a rest, that can wait for its end."""
        self._has_grown = True
        if self._monotonic() >= self._rests_until:
            self._woken.set()

    def rest(self) -> None:
        """Something was read just now, and nothing is left to be read."""
        self._rests_until = self._monotonic() + self._rest_seconds

    def wait(self, seconds: float) -> None:
        """Until `seconds` have passed, or something happened and more was waited for."""
        rest = min(seconds, max(0.0, self._rests_until - self._monotonic()))
        woken = self._woken.wait(rest)
        if not woken and not self._has_grown:
            woken = self._woken.wait(seconds - rest)
        if woken:
            self._hurried.wait(GATHER_SECONDS)
        self._clear()

    def pause(self, seconds: float) -> None:
        """Until `seconds` have passed, or something happened."""
        self._woken.wait(seconds)
        self._clear()

    def _clear(self) -> None:
        """Before the turn that takes in what happened: what happens from now on is for the next one."""
        self._has_grown = False
        self._hurried.clear()
        self._woken.clear()
