"""When which lines are due: an exact rate, or as fast as possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

SHORTEST_SLEEP_SECONDS = 0.01

Sleep = Callable[[float], object]
"""Waits so many seconds, or shorter when the wait is over for another reason."""


def due(rate: float, elapsed_seconds: float) -> int:
    """How many lines a log of `rate` lines a second has at that time; the first line is due at once."""
    return 1 + math.floor(rate * elapsed_seconds)


def until_next(rate: float, done: int, elapsed_seconds: float) -> float:
    """Seconds until line `done + 1` is due, rounded up so that fast logs go in steps of 10 ms."""
    return max(done / rate - elapsed_seconds, SHORTEST_SLEEP_SECONDS)


def steps(
    total: int | None,
    rate: float,
    bulk: int,
    *,
    monotonic: Callable[[], float],
    sleep: Sleep,
    stopped: Callable[[], bool],
) -> Iterator[tuple[int, int]]:
    """(first number, count) of each block to write now, from number 1 on, at most `bulk` in one.

    Ends after `total` lines (None: never) or once `stopped`. `rate` 0 is as fast as possible. A
    writer that was held up catches up, so the average is exact.
    """
    done, start = 0, monotonic()
    while (total is None or done < total) and not stopped():
        ready = due(rate, monotonic() - start) - done if rate else bulk
        count = min(bulk, ready, *([] if total is None else [total - done]))
        if count > 0:
            yield done + 1, count
            done += count
        else:
            sleep(until_next(rate, done, monotonic() - start))
