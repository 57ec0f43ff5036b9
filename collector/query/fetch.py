"""Gets many objects at once, hands them out in order, and never holds more than a few."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

THREADS = 8


def in_order(get: Callable[[K], V], keys: Iterable[K], *, ahead: int = 2 * THREADS) -> Iterator[tuple[K, V]]:
    """Each key with `get(key)`, in the order of `keys`, at most `ahead` of them begun and not yet handed out.

    What `get` raises is raised at its key's turn; what was begun behind it is then given up.
    """
    pool = ThreadPoolExecutor(min(THREADS, ahead), thread_name_prefix="query-get")
    coming = iter(keys)
    begun: deque[tuple[K, Future[V]]] = deque()
    try:
        begun.extend((key, pool.submit(get, key)) for key in islice(coming, ahead))
        while begun:
            key, future = begun.popleft()
            value = future.result()
            begun.extend((following, pool.submit(get, following)) for following in islice(coming, 1))
            yield key, value
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
