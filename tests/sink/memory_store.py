"""A destination in memory whose puts can be told to go wrong in every way that real ones do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum

from collector.errors import ObjectMissing, StoreUnavailable
from collector.sink.store import Entry

MODIFIED = datetime(2026, 11, 22, 9, tzinfo=UTC)


class Outcome(Enum):
    """How a put ends. All but the first two raise StoreUnavailable."""

    PLAIN = "as the contract says"
    EXISTS = "took effect, and is reported as there before: a retry below met its own first attempt"
    LANDED = "took effect, but the answer was lost"
    LATE = "takes effect when `land` is called"
    NEVER = "takes no effect"


class MemoryStore:
    """A `Store`. `ignores_conditions`: each put succeeds and overwrites, until that is noted.

    `before_put` is called with the key before each put: for what others do in that moment.
    """

    url = "memory:"

    def __init__(self, *, ignores_conditions: bool = False) -> None:
        self.objects: dict[str, bytes] = {}
        self.before_put: Callable[[str], None] = lambda key: None
        self.conditional = True
        self._ignores_conditions = ignores_conditions
        self._outcomes: list[tuple[str, Outcome]] = []
        self._late: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()

    def next_put(self, part: str, outcome: Outcome) -> None:
        """The next put of a key that holds `part` ends like that."""
        self._outcomes.append((part, outcome))

    def land(self) -> None:
        """Late puts take effect now, where their keys are still free."""
        for key, body in self._late:
            self._create(key, body)
        self._late.clear()

    def note_unconditional(self) -> None:
        self.conditional = False

    def put_new(self, key: str, body: bytes | memoryview) -> bool:
        self.before_put(key)
        outcome = self._outcome(key)
        if outcome is Outcome.LATE:
            self._late.append((key, bytes(body)))
        if outcome in (Outcome.LATE, Outcome.NEVER):
            raise StoreUnavailable(f"{key}: timed out")
        created = self._create(key, bytes(body))
        if outcome is Outcome.LANDED:
            raise StoreUnavailable(f"{key}: timed out")
        return created and outcome is Outcome.PLAIN

    def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise ObjectMissing(f"{key} is not there")
        return self.objects[key]

    def size_bytes(self, key: str) -> int | None:
        return len(self.objects[key]) if key in self.objects else None

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        for key in sorted(self.objects):
            if key.startswith(prefix) and key > after:
                yield Entry(key, len(self.objects[key]), MODIFIED)

    def folders(self, prefix: str) -> Iterator[str]:
        below = {key.removeprefix(prefix) for key in self.objects if key.startswith(prefix)}
        yield from sorted({rest.split("/")[0] for rest in below if "/" in rest})

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _outcome(self, key: str) -> Outcome:
        for index, (part, outcome) in enumerate(self._outcomes):
            if part in key:
                del self._outcomes[index]
                return outcome
        return Outcome.PLAIN

    def _create(self, key: str, body: bytes) -> bool:
        with self._lock:
            looks = not (self._ignores_conditions and self.conditional)
            if looks and key in self.objects:
                return False
            self.objects[key] = body
            return True
