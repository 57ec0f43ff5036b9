"""One thread that makes batches durable, in order, while the next ones are read.

Each task is one step of the commit protocol. Tasks run one after the other; the first that fails ends
it, and every later one is dropped: after a failure nothing may be written any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Shipper(Generic[T]):
    """`wake` is called whenever a task has ended."""

    def __init__(self, name: str, wake: Callable[[], None]) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._tasks: deque[Future[T]] = deque()
        self._wake = wake
        self._failed = False

    @property
    def waiting(self) -> int:
        """Tasks whose results were not yet taken."""
        return len(self._tasks)

    def submit(self, task: Callable[[], T]) -> None:
        future = self._pool.submit(self._run, task)
        future.add_done_callback(lambda _: self._wake())
        self._tasks.append(future)

    def results(self) -> list[T]:
        """What has ended since the last call, in order. Raises the error of a task that failed."""
        done = []
        while self._tasks and self._tasks[0].done():
            done.append(self._tasks[0].result())
            self._tasks.popleft()
        return done

    def close(self) -> None:
        """Drops what has not begun and waits for what has: its retries must have been told to stop."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, task: Callable[[], T]) -> T:
        if self._failed:
            raise RuntimeError("an earlier task failed")
        try:
            return task()
        except BaseException:
            self._failed = True
            raise
