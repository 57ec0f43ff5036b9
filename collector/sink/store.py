"""The contract of a destination that holds objects: put-if-absent, get, head and list are enough.

Keys are relative to the destination's prefix, use "/" and are plain ASCII or encoded names. No
implementation retries (that is `sink.retry`), overwrites, or deletes. Every error is a `StoreError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from collector.value import value


@value
class Entry:
    """One object of a listing."""

    key: str
    size_bytes: int
    modified_at: datetime


class Store(Protocol):
    """All methods may be called from several threads at once."""

    @property
    def url(self) -> str:
        """The destination as the user wrote it, without secrets: for messages."""

    @property
    def conditional(self) -> bool:
        """Whether `put_new` is atomic here. True until `note_unconditional` was called."""

    def note_unconditional(self) -> None:
        """Says that this store ignores create-only puts: from now on `put_new` looks before it puts."""

    def put_new(self, key: str, body: bytes | memoryview) -> bool:
        """Creates `key` durably and returns True; returns False, and changes nothing, if it exists.

        Raises StoreUnavailable where the outcome is unknown: the put may take effect at any later
        time, so the caller looks at what stands under the key before it concludes anything.
        """

    def get(self, key: str) -> bytes:
        """The whole object. Raises ObjectMissing."""

    def size_bytes(self, key: str) -> int | None:
        """The object's size, or None where it is not there."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """All objects whose key starts with `prefix` and is greater than `after`, in key order."""

    def folders(self, prefix: str) -> Iterator[str]:
        """The next path components below `prefix` (which ends in "/"), once each, in order."""

    def check(self) -> None:
        """Raises a StoreError, with a hint, where the destination cannot be used at all."""

    def close(self) -> None: ...
