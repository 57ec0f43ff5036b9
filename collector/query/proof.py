"""Proves one object against its record: each span's rows, line feeds, offsets and bytes.

Rows are fed in runs; each span keeps where its next row should begin and a running hash, so an object
of any size needs the memory of one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128

from collector.model import FileId, Span
from collector.query.files import FileProof, new_hash
from collector.query.report import Kind
from collector.query.rows import FileRows, ObjectRef, file_of

FAULTS_PER_SPAN = 10

Fault = tuple[Kind, FileId, int, int, str]
"""Kind, file, start, end, what is wrong."""


class SpanProof:
    """One span while its rows come by. What begins a file begins its hash too."""

    def __init__(
        self, file: FileId, span: Span, of_file: FileProof, *, count_rows: bool, lines_in_rows: bool = False
    ) -> None:
        self.file, self.span, self.of_file = file, span, of_file
        self.at = span.start
        self.rows = self.line_feeds = self.stray = 0
        self.terminated = True
        self.faults: list[Fault] = []
        self.done = False
        self.twice: list[tuple[int, int]] = []
        self._count_rows, self._lines_in_rows = count_rows, lines_in_rows
        self._is_counted = False
        self._hash = xxh3_128()

    def count(
        self, offsets: NDArray[np.int64], eol: NDArray[np.bool_], content: memoryview | None = None
    ) -> None:
        """Rows that do not hold the bytes of the file: they can be counted, and ascend. Where the record has
        the hash of what they hold, `content` is proven by it; lines that were not kept prove nothing.
        """
        self._is_counted = True
        if content is not None:
            self._hash.update(content)
        expected = self.span.start if not self.rows else None
        if expected is not None and offsets[0] != expected:
            self._fault("gap", expected, int(offsets[0]), "rows are missing")
        before = np.concatenate([[self.at - 1 if expected is None else expected - 1], offsets[:-1]])
        for row in np.flatnonzero(offsets <= before)[:FAULTS_PER_SPAN].tolist():
            self._fault("twice", int(offsets[row]), int(before[row]) + 1, "a row is there again")
        self.rows += len(offsets)
        self.at = int(offsets[-1]) + 1
        self.terminated = bool(eol[-1])
        if self.rows == self.span.rows and not self.faults:
            self.done = True
            self.of_file.hash = None  # that of the whole file cannot be made from here on
            if content is not None and self._hash.hexdigest() != self.span.content_xxh3_128:
                what = "the rows hold something else than the record says (XXH3)"
                self._fault("differs", self.span.start, self.span.end, what)
                self.of_file.broken(self.span)
            else:
                self.twice = self.of_file.proven(self.span, self.span.ends_line)

    def feed(
        self,
        offsets: NDArray[np.int64],
        lengths: NDArray[np.int64],
        eol: NDArray[np.bool_],
        data: memoryview,
    ) -> None:
        """Rows of this file that begin within the span, in the order of the object."""
        if self.at == self.span.start:
            self._begin()
        expected = np.empty_like(offsets)
        expected[0] = self.at
        expected[1:] = offsets[:-1] + lengths[:-1]
        for row in np.flatnonzero(offsets != expected)[:FAULTS_PER_SPAN].tolist():
            self._out_of_place(int(expected[row]), int(offsets[row]), int(lengths[row]))
        self.rows += len(offsets)
        self.line_feeds += _line_feeds(data) if self._lines_in_rows else int(np.count_nonzero(eol))
        self.at = int(offsets[-1] + lengths[-1])
        self.terminated = bool(eol[-1])
        self._hash.update(data)
        if self.of_file.hash is not None:
            self.of_file.hash.update(data)
        if self.at == self.span.end and not self.faults:
            self._conclude()

    def finish(self) -> list[Fault]:
        """What is wrong with the span, now that all rows of the object came by."""
        if self.done and not (self._is_counted and self.rows > self.span.rows):
            self.of_file.spoiled |= bool(self.faults)  # rows came after the last one
            return self.faults
        start, end = self.span.start, self.span.end
        if self._is_counted:
            if self.rows < self.span.rows:
                self._fault("gap", self.at, end, "rows are missing")
            elif self.rows > self.span.rows:
                self._fault("extra", start, end, f"there are {self.rows} rows, not {self.span.rows}")
        elif self.at < end:
            self._fault("gap", self.at, end, "rows are missing")
        elif self.at > end:
            self._fault("extra", end, self.at, "rows go beyond the end of the span")
        self.of_file.broken(self.span)
        if not self.faults:
            self._fault("differs", start, end, "the bytes are not those of the record")
        return self.faults

    def _begin(self) -> None:
        if self.of_file.bytes == 0 and self.of_file.wants_hash:
            self.of_file.hash = new_hash()

    def _conclude(self) -> None:
        """All rows are there, back to back: now the bytes and counts must be those of the record."""
        span = self.span
        self.done = True
        if self._hash.hexdigest() != span.xxh3_128:
            self._fault("differs", span.start, span.end, "the bytes are not those of the record (XXH3)")
        elif self.line_feeds != span.line_feeds or (self._count_rows and self.rows != span.rows):
            counted = (
                f"{self.rows} rows and {self.line_feeds} line feeds, not {span.rows} and {span.line_feeds}"
            )
            self._fault("differs", span.start, span.end, f"there are {counted}")
        if self.faults:
            self.of_file.broken(span)
        else:
            self.twice = self.of_file.proven(span, self.terminated)

    def _out_of_place(self, expected: int, offset: int, length: int) -> None:
        if offset > expected:
            self._fault("gap", expected, offset, "rows are missing")
        else:
            self._fault("twice", offset, min(expected, offset + length), "a row is there again")

    def _fault(self, kind: Kind, start: int, end: int, what: str) -> None:
        self.faults.append((kind, self.file, start, end, what))


class ObjectProof:
    """All spans of one object."""

    def __init__(self, ref: ObjectRef, file_proof: Callable[[FileId], FileProof]) -> None:
        self.rows = 0
        self.strays: list[Fault] = []
        self._spans: dict[FileId, list[SpanProof]] = {}
        count_rows = ref.settings.format != "raw"
        self._only_counts = ref.settings.drops_messages
        for origin, span in ref.spans:
            file = file_of(origin, span)
            if span.end > span.start:
                proof = SpanProof(
                    file,
                    span,
                    file_proof(file),
                    count_rows=count_rows,
                    lines_in_rows=ref.settings.multiline is not None,
                )
                self._spans.setdefault(file, []).append(proof)
        for spans in self._spans.values():
            spans.sort(key=lambda proof: proof.span.start)

    def feed(self, rows: FileRows) -> None:
        self.rows += len(rows.offsets)
        spans = self._spans.get(rows.file, [])
        if rows.odd:
            first, last = int(rows.offsets[0]), int(rows.offsets[-1] + rows.lengths[-1])
            what = f"rows have another {' and '.join(rows.odd)} than the record says"
            self.strays.append(("differs", rows.file, first, last, what))
        plain = not self._only_counts and spans and spans[0].span.content_xxh3_128 is None
        if plain and len(spans) == 1 and _lies_within(rows, spans[0].span):
            spans[0].feed(rows.offsets, rows.lengths, rows.eol, rows.data)
            return
        starts = np.array([proof.span.start for proof in spans], np.int64)
        ends = np.array([proof.span.end for proof in spans], np.int64)
        index = np.searchsorted(starts, rows.offsets, side="right") - 1
        if len(spans):
            index[rows.offsets >= ends[index]] = -1
        for start, stop in _stretches(index):
            self._feed_stretch(spans, int(index[start]), rows, start, stop)

    def finish(self) -> Iterator[SpanProof]:
        for spans in self._spans.values():
            yield from spans

    def _feed_stretch(
        self, spans: list[SpanProof], index: int, rows: FileRows, start: int, stop: int
    ) -> None:
        at = slice(start, stop)
        if index < 0:
            last = int(rows.offsets[stop - 1] + rows.lengths[stop - 1])
            first = int(rows.offsets[start])
            self.strays.append(("extra", rows.file, first, last, "rows that no span of the record names"))
            return
        before = int(rows.lengths[:start].sum())
        size = int(rows.lengths[at].sum())
        if self._only_counts:
            spans[index].count(rows.offsets[at], rows.eol[at])
            return
        data = rows.data[before : before + size]
        if spans[index].span.content_xxh3_128 is not None:
            spans[index].count(rows.offsets[at], rows.eol[at], data)
            return
        spans[index].feed(rows.offsets[at], rows.lengths[at], rows.eol[at], data)


def _line_feeds(data: memoryview) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))


def _lies_within(rows: FileRows, span: Span) -> bool:
    return bool(rows.offsets.min() >= span.start and rows.offsets.max() < span.end)


def _stretches(index: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    cuts = np.flatnonzero(np.diff(index)) + 1
    edges = [0, *cuts.tolist(), len(index)]
    yield from pairwise(edges)
