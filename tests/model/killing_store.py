"""A destination under whose puts a collector can be killed, kept waiting, or told that it failed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from collector.errors import StoreUnavailable
from collector.records import COMMITS, DATA, RECEIPTS
from collector.sink.store import Entry, Store

When = Literal["before", "after"]
PREFIXES = {"record": COMMITS, "object": DATA, "receipt": RECEIPTS}


class Killed(BaseException):
    """The process is gone: nothing of it happens after this."""


@dataclass(frozen=True)
class KillPoint:
    """Just before, or just after, the `nth` put of a kind from now on (1: the next)."""

    kind: Literal["record", "object", "receipt"]
    nth: int
    when: When


class KillingStore:
    """Passes everything on, as long as its collector lives."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turnstile = threading.Condition()
        self._point: KillPoint | None = None
        self._fails: list[When] = []
        self.held = False
        self._dead = False
        self.blocked = False
        """Whether a put waits to be let through."""
        self.created: list[str] = []
        """The keys that were put through this store and were not there before."""

    # --- what the test does

    def kill_at(self, point: KillPoint) -> None:
        self._point = point

    def fail(self, when: When) -> None:
        """The next put's outcome is unknown to the collector: it took no effect, or it did."""
        self._fails.append(when)

    def hold(self) -> None:
        """Records and objects wait from now on."""
        with self._turnstile:
            self.held = True

    def release(self) -> None:
        with self._turnstile:
            self.held = self.blocked = False  # who waited goes on, though it may not run yet
            self._turnstile.notify_all()

    def die(self) -> None:
        with self._turnstile:
            self._dead = True
            self._turnstile.notify_all()

    # --- what the collector sees

    @property
    def url(self) -> str:
        return self._store.url

    @property
    def conditional(self) -> bool:
        return self._store.conditional

    def note_unconditional(self) -> None:
        self._store.note_unconditional()

    def put_new(self, key: str, body: bytes | memoryview) -> bool:
        with self._turnstile:
            self._wait(key)
            self._alive()
            when = self._reached(key)
            if when == "before":
                self._kill()
            fails = self._fails.pop() if self._fails else None
            if fails == "before":
                raise StoreUnavailable("no answer")
            created = self._store.put_new(key, body)
            if created:
                self.created.append(key)
            if when == "after":
                self._kill()
            if fails == "after":
                raise StoreUnavailable("no answer")
            return created

    def get(self, key: str) -> bytes:
        self._alive()
        return self._store.get(key)

    def size_bytes(self, key: str) -> int | None:
        self._alive()
        return self._store.size_bytes(key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        self._alive()
        return self._store.list(prefix, after=after)

    def folders(self, prefix: str) -> Iterator[str]:
        self._alive()
        return self._store.folders(prefix)

    def check(self) -> None:
        self._store.check()

    def close(self) -> None:
        self._store.close()

    def _wait(self, key: str) -> None:
        if key.startswith(RECEIPTS):
            return
        while self.held and not self._dead:
            self.blocked = True
            self._turnstile.wait()
        self.blocked = False

    def _reached(self, key: str) -> When | None:
        point = self._point
        if point is None or not key.startswith(PREFIXES[point.kind]):
            return None
        self._point = KillPoint(point.kind, point.nth - 1, point.when)
        return point.when if point.nth == 1 else None

    def _alive(self) -> None:
        if self._dead:
            raise Killed

    def _kill(self) -> None:
        self._dead = True
        raise Killed
