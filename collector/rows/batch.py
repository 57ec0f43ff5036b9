"""A batch: rows of many files on their way into one object, and the spans that say which rows those are.

The batch is filled by one thread. Whenever enough rows are pending, they go to the encoder on
another thread, so that a sealed batch is nearly encoded already and only its compressed form is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from xxhash import xxh3_128

from collector.model import BatchSettings, FileId, Lines, Origin, Span, Take
from collector.rows.body import Memory
from collector.rows.columns import Columns, columns_of
from collector.rows.encode import Encoder, Step, encoder
from collector.rows.table import Part

ENCODE_BYTES = 12 << 20
"""Pending source bytes that are worth a row group of their own: a little less than the largest arena."""

ENCODE_ROWS = 1 << 19
"""Pending rows that are: short lines take more memory as columns than as bytes."""

MOST_SPANS = 4096
"""A batch with so many is full: its record tells of each of them, and is read as a whole."""

JSON_ROW_BYTES = 400
"""What JSON adds to a line, about: names, origin and place. Only until the first rows are encoded."""


@dataclass(frozen=True, slots=True, eq=False)
class Sealed:
    """A batch that changes no more. `body` is the encoded object, perhaps still being made."""

    settings: BatchSettings
    rows: int
    bytes: int
    origins: tuple[Origin, ...]
    spans: tuple[Span, ...]
    body: Future[memoryview]
    encoder: Encoder
    redacted: int

    @property
    def unparsed(self) -> int:
        """Rows that `parse` could not read; known when the body is."""
        return self.encoder.unparsed


class _OpenSpan:
    """A span that may still grow by the next read of its file."""

    __slots__ = ("content", "first", "hash", "last", "line_feeds", "origin", "reads", "rows")

    def __init__(self, take: Take, origin: int) -> None:
        self.first = self.last = take
        self.origin = origin
        self.rows = self.line_feeds = 0
        self.reads: list[tuple[int, int]] = []
        self.hash = xxh3_128()
        self.content: xxh3_128 | None = None

    def grow(self, take: Take, data: memoryview, observed_us: int) -> None:
        self.last = take
        self.rows += take.rows
        self.line_feeds += take.line_feeds
        self.reads.append((take.end, observed_us))
        self.hash.update(data)

    def close(self) -> Span:
        first, last = self.first, self.last
        return Span(
            path=first.file.path,
            generation=first.file.generation,
            origin=self.origin,
            start=first.start,
            end=last.end,
            rows=self.rows,
            line_feeds=self.line_feeds,
            xxh3_128=self.hash.hexdigest(),
            reads=tuple(self.reads),
            name=last.name,
            evidence=last.evidence,
            terminated=last.terminated,
            starts_line=first.starts_line,
            content_xxh3_128=self.content.hexdigest() if self.content is not None else None,
        )

    def hold(self, content: memoryview) -> None:
        """Adds to what its rows hold, where that is not what the file does."""
        self.content = self.content or xxh3_128()
        self.content.update(content)


class Batch:
    """Rows since the last sealing.

    `pool` has one thread: the object is made there, in order. What goes into it is prepared by `helpers`,
    or there too. `before` is the body of the batch before, where that thread may still be making it, `memory`
    that of the objects before. Rows that are worth `encode_bytes`, or as many as `encode_rows`, go to the
    encoder at once.
    """

    def __init__(
        self,
        settings: BatchSettings,
        fields: Sequence[str],
        pool: Executor,
        *,
        helpers: Executor | None = None,
        encode_bytes: int = ENCODE_BYTES,
        encode_rows: int = ENCODE_ROWS,
        before: Future[memoryview] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.settings = settings
        self._encode_bytes, self._encode_rows = encode_bytes, encode_rows
        self.rows = 0
        self.bytes = 0
        self.redacted = 0
        """How often a pattern of `redact` matched."""
        self._pool, self._helpers = pool, helpers or pool
        self._encoder: Encoder = encoder(settings, fields, memory)
        self._pending: list[Part] = []
        self._pending_bytes = self._pending_rows = 0
        self._encoding: list[Future[None]] = []
        self._before = before
        self._origins: dict[Origin, int] = {}
        self._origin: Origin | None = None
        self._origin_at = 0
        """The number of the last one."""
        self._open: dict[FileId, _OpenSpan] = {}
        self._spans: list[Span | _OpenSpan] = []

    def add(
        self,
        arena: NDArray[np.uint8],
        lines: Lines,
        takes: Sequence[Take],
        observed_us: int,
        gathering: Future[Columns] | None = None,
    ) -> int:
        """Adds the rows of one framed arena; `takes` has one element a read. Returns rows that were no UTF-8.

        `gathering`: the columns of the same rows, being made on another thread. The arena may be reused when
        this returns.
        """
        if not len(lines.starts):
            return 0
        view = memoryview(arena)  # type: ignore[arg-type]  # numpy arrays have the buffer protocol from 3.12 typing on
        gathered = gathering.result() if gathering else None
        taken = [take for take in takes if take.rows]
        spans = [
            self._extend(take, view[take.at : take.at + take.end - take.start], observed_us) for take in taken
        ]
        columns = gathered or columns_of(arena, lines, self.settings)
        self._pending.append(part_of(arena, lines, taken, observed_us, columns))
        if columns.content is not None:
            first = 0
            for span, take in zip(spans, taken, strict=True):
                span.hold(columns.content_of(first, first + take.rows))
                first += take.rows
        self.redacted += columns.redacted
        size = sum(take.end - take.start for take in taken)
        self.rows += len(lines.starts)
        self.bytes += size
        self._pending_bytes += size
        self._pending_rows += len(lines.starts)
        if self._pending_bytes >= self._encode_bytes or self._pending_rows >= self._encode_rows:
            self._encode_pending()
        return columns.repaired

    def seal(self) -> Sealed:
        """Ends the batch: its rows, spans and encoded object are fixed from now on."""
        self._encode_pending()
        spans = tuple(span.close() if isinstance(span, _OpenSpan) else span for span in self._spans)
        origins = tuple(self._origins)
        encoding, encode = self._encoding, self._encoder
        body = self._pool.submit(_finish, encode, encoding, origins, spans)
        return Sealed(self.settings, self.rows, self.bytes, origins, spans, body, encode, self.redacted)

    def is_full(self, max_bytes: int, max_object_bytes: int) -> bool:
        """Whether it holds so many source bytes, or they make an object so large, or are of so many files."""
        is_large = self.bytes >= max_bytes or self._object_bytes() >= max_object_bytes
        return is_large or len(self._spans) >= MOST_SPANS

    def catch_up(self) -> None:
        """Waits until the encoder is less than two row groups behind, with helpers three: more would only
        pile up in memory.
        """
        if self._before is not None and (self._encoding or self._before.done()):
            self._before.result()
            self._before = None
        while len(self._encoding) > (1 if self._helpers is self._pool else 2):
            self._encoding.pop(0).result()

    def _object_bytes(self) -> float:
        """How large the object becomes of what is there. What is not encoded yet is taken to be like the
        rest: JSON of short lines is many times what they were, and compressed a small part.
        """
        size, taken = self._encoder.made
        if taken:
            return size / taken * self.bytes
        plain_json = (self.settings.format, self.settings.compression) == ("ndjson", "none")
        return self.bytes + self.rows * JSON_ROW_BYTES if plain_json else self.bytes

    def _extend(self, take: Take, data: memoryview, observed_us: int) -> _OpenSpan:
        span = self._open.get(take.file)
        if span is None or span.last.end != take.start:
            if take.origin is not self._origin:  # to hash it takes longer than all else here
                self._origin, self._origin_at = take.origin, self._number_of(take.origin)
            span = self._open[take.file] = _OpenSpan(take, self._origin_at)
            self._spans.append(span)
        span.grow(take, data, observed_us)
        return span

    def _number_of(self, origin: Origin) -> int:
        return self._origins.setdefault(origin, len(self._origins))

    def _encode_pending(self) -> None:
        if self._pending:
            parts, self._pending = self._pending, []
            self._pending_bytes = self._pending_rows = 0
            prepared = self._helpers.submit(self._encoder.prepare, parts)
            self._encoding.append(self._pool.submit(_take_step, prepared))


def _take_step(prepared: Future[Step]) -> None:
    prepared.result()()


def _finish(
    encode: Encoder,
    encoding: Sequence[Future[None]],
    origins: Sequence[Origin],
    spans: Sequence[Span],
) -> memoryview:
    for future in encoding:
        future.result()
    return encode.finish(
        (FileId(origins[span.origin].source, span.path, span.generation), span.start, span.end)
        for span in spans
    )


def part_of(
    arena: NDArray[np.uint8], lines: Lines, taken: Sequence[Take], observed_us: int, columns: Columns
) -> Part:
    """The rows of one framed arena, detached from it; `taken` are the reads that have rows."""
    counts = np.array([take.rows for take in taken], np.int64)
    shift = np.array([take.start - take.at for take in taken], np.int64)
    raw = columns.message is None
    contents = (
        tuple(_copied(arena[take.at : take.at + take.end - take.start]) for take in taken) if raw else ()
    )
    at = lines.decoded.at if lines.decoded is not None else lines.starts
    return Part(
        files=tuple((take.file, take.origin) for take in taken),
        starts=tuple(take.start for take in taken),
        ends=tuple(take.end for take in taken),
        counts=counts,
        offset=at + np.repeat(shift, counts),
        message=columns.message,
        raw=columns.raw,
        eol=lines.eol,
        observed_us=observed_us,
        contents=contents,
        time=columns.time,
        stream=columns.stream,
        has_room=columns.has_room,
    )


def _copied(data: NDArray[np.uint8]) -> pa.Buffer:
    """In Arrow's memory: it is used again, while the interpreter's goes back to the system each time."""
    copy = pa.allocate_buffer(len(data))
    np.frombuffer(copy, np.uint8)[:] = data
    return copy
