"""What is proven so far of each file: which bytes are there, which are accounted for, and its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Protocol

from collector.model import FileId, Span
from collector.query.intervals import Range, Ranges
from collector.value import value

NOTHING: frozenset[int] = frozenset()


class Hash(Protocol):
    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


@value
class Mark:
    """What the first so many bytes of a file came to: their hash (None if it could not be made) and lines."""

    sha256: str | None
    lines: int


class FileProof:
    """One file, fed with spans in the order of the records.

    `marks_at` are the lengths at which a receipt says something; only there a `Mark` is taken, and no
    hash is kept for longer. `known` are spans proven, kept only where a volume is to be compared.
    """

    __slots__ = (
        "bytes",
        "collected",
        "excused",
        "hash",
        "known",
        "line_feeds",
        "lost",
        "marks",
        "marks_at",
        "required",
        "spoiled",
        "terminated",
    )

    def __init__(self, marks_at: frozenset[int] = NOTHING, *, keep_spans: bool = False) -> None:
        self.collected = Ranges()
        self.lost: Ranges | None = None
        self.excused: Ranges | None = None
        self.required = 0
        self.bytes = self.line_feeds = 0
        self.terminated = True
        self.spoiled = False
        self.hash: Hash | None = None
        self.marks: dict[int, Mark] = {}
        self.marks_at = marks_at
        self.known: list[Span] | None = [] if keep_spans else None

    @property
    def lines(self) -> int:
        return self.line_feeds + (0 if self.terminated or not self.bytes else 1)

    @property
    def wants_hash(self) -> bool:
        """Whether a receipt speaks of more bytes than are proven so far."""
        return not self.spoiled and any(length > self.bytes for length in self.marks_at)

    def proven(self, span: Span, terminated: bool) -> list[Range]:
        """The span is there, byte for byte. Returns those parts of it that were there before."""
        if span.start < self.collected.end:
            self.spoiled = True  # not in order: the hash of the whole cannot be made on the way
        twice = self.collected.add(span.start, span.end)
        self.require(span.end)
        self.bytes += span.end - span.start
        self.line_feeds += span.line_feeds
        self.terminated = terminated
        if self.known is not None:
            self.known.append(span)
        if self.bytes in self.marks_at:
            digest = self.hash.hexdigest() if self.hash and not self.spoiled else None
            if span.content_xxh3_128 is not None:
                digest = span.evidence.prefix_sha256  # rows hold something else than what was read
            self.marks[self.bytes] = Mark(digest, self.lines)
        if not self.wants_hash:
            self.hash = None
        return twice

    def broken(self, span: Span) -> None:
        """The span is there, but not as it should be: reported where it was found, and not again."""
        self.spoiled = True
        self.require(span.end)
        self.excuse(span.start, span.end)

    def require(self, end: int) -> None:
        self.required = max(self.required, end)

    def excuse(self, start: int, end: int) -> None:
        """A hole, or bytes whose absence was told already."""
        self.excused = self.excused or Ranges()
        self.excused.add(start, end)

    def lose(self, start: int, end: int) -> None:
        self.lost = self.lost or Ranges()
        self.lost.add(start, end)

    def lost_bytes(self) -> int:
        return sum(
            end - start for low, high in self.lost or () for start, end in self.collected.missing(low, high)
        )

    def gaps(self) -> Iterator[Range]:
        """Ranges below the last byte that are neither there, nor a hole, nor counted as lost."""
        for start, end in self.collected.missing(0, self.required):
            explained = Ranges([*(self.lost or ()), *(self.excused or ())])
            yield from explained.missing(start, end)


FileKey = tuple[str, FileId]
"""Volume and file."""


def new_hash() -> Hash:
    return hashlib.sha256()
