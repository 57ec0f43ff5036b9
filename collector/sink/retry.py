"""A store that waits and tries again, around one that does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from collector.errors import StoreDenied, StoreError, StoreMissing
from collector.events import DestinationFailing, DestinationRecovered, Emit
from collector.sink.store import Entry, Store
from collector.value import value

T = TypeVar("T")

SLOWER = 10
"""How many times longer the waits are at first for what a human must mend."""


@value
class RetryPolicy:
    """How often and how soon. `attempts` counts the first one too; None is until told to stop.

    The n-th wait is random between 0 and `first_seconds` doubled n-1 times, but at most `longest_seconds`.
    For StoreDenied and StoreMissing it begins `SLOWER` times as long. What was mended is noticed within
    `longest_seconds` all the same.
    """

    attempts: int | None = None
    first_seconds: float = 0.5
    longest_seconds: float = 30


class Retrying:
    """Retries every error that is `retryable`, except those of `check`, which is asked once.

    A `put_new` that is tried again after an unknown outcome may meet its own first attempt, and then
    returns False. So False never says by itself that another one wrote: the caller looks at what is there.

    `random` gives numbers in [0, 1). Setting `stop` ends a wait at once; the last error is then raised.
    A call that begins after that is tried once.
    """

    def __init__(
        self,
        store: Store,
        *,
        policy: RetryPolicy,
        emit: Emit,
        random: Callable[[], float],
        stop: threading.Event | None = None,
    ) -> None:
        self._store = store
        self._policy = policy
        self._emit = emit
        self._random = random
        self._stop = stop or threading.Event()

    @property
    def url(self) -> str:
        return self._store.url

    @property
    def conditional(self) -> bool:
        return self._store.conditional

    def note_unconditional(self) -> None:
        self._store.note_unconditional()

    def put_new(self, key: str, body: bytes | memoryview) -> bool:
        return self._until_answered(lambda: self._store.put_new(key, body))

    def get(self, key: str) -> bytes:
        return self._until_answered(lambda: self._store.get(key))

    def size_bytes(self, key: str) -> int | None:
        return self._until_answered(lambda: self._store.size_bytes(key))

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """Goes on after the last entry that came, so each comes once."""
        trial = self._trial()
        while True:
            try:
                for entry in self._store.list(prefix, after=after):
                    trial.answered()
                    after = entry.key
                    yield entry
            except StoreError as error:
                trial.failed(error)
            else:
                trial.answered()
                return

    def folders(self, prefix: str) -> Iterator[str]:
        """Reads all before it gives the first: there are far fewer folders than objects."""
        yield from self._until_answered(lambda: tuple(self._store.folders(prefix)))

    def check(self) -> None:
        self._store.check()

    def close(self) -> None:
        self._store.close()

    def _until_answered(self, ask: Callable[[], T]) -> T:
        trial = self._trial()
        while True:
            try:
                answer = ask()
            except StoreError as error:
                trial.failed(error)
            else:
                trial.answered()
                return answer

    def _trial(self) -> _Trial:
        return _Trial(self._store.url, self._policy, self._emit, self._random, self._stop)


class _Trial:
    """The attempts of one call."""

    def __init__(
        self,
        to: str,
        policy: RetryPolicy,
        emit: Emit,
        random: Callable[[], float],
        stop: threading.Event,
    ) -> None:
        self._to = to
        self._policy = policy
        self._emit = emit
        self._random = random
        self._stop = stop
        self._failures = 0

    def failed(self, error: StoreError) -> None:
        """Returns when it is time for the next attempt; raises `error` where there is none."""
        if not error.retryable:
            self.answered()
            raise error
        self._failures += 1
        if self._failures == self._policy.attempts or self._stop.is_set():
            raise error
        seconds = self._random() * longest_wait_seconds(self._policy, self._failures, error)
        self._emit(DestinationFailing(self._to, str(error), self._failures, seconds))
        if self._stop.wait(seconds):
            raise error

    def answered(self) -> None:
        """The store works: what it said, even that an object is missing, is an answer."""
        if self._failures:
            self._emit(DestinationRecovered(self._to, self._failures + 1))
            self._failures = 0


def longest_wait_seconds(policy: RetryPolicy, failures: int, error: StoreError) -> float:
    """The longest wait after so many failures in a row."""
    slower = SLOWER if isinstance(error, StoreDenied | StoreMissing) else 1
    doubled = policy.first_seconds * 2.0 ** min(failures - 1, 60)  # more would leave the range of a float
    return min(policy.longest_seconds, slower * doubled)
