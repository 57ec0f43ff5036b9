"""Plays a reader: frames reads of files in arenas and adds them to a batch, as the collector does."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from collector.intake.frame import frame
from collector.model import BatchRecord, BatchSettings, Evidence, FileId, Lines, Origin, Span, Take
from collector.rows.batch import Batch, Sealed
from collector.rows.columns import Columns, columns_of

NOON_US = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()) * 1_000_000
SETTINGS = BatchSettings("subpath", "parquet", "zstd", 1 << 20)


def settings(
    export: str = "parquet", compression: str = "zstd", max_line_bytes: int = 1 << 20
) -> BatchSettings:
    return BatchSettings("subpath", export, compression, max_line_bytes)


def origin(source: str, **more) -> Origin:
    """The origin of a source `NAMESPACE_POD`."""
    namespace, _, pod = source.partition("_")
    return Origin(source, True, namespace, pod.rpartition("-")[0], pod, **more)


@dataclass(frozen=True)
class Row:
    """One row as the contract has it, before any encoding."""

    file: FileId
    offset: int
    data: bytes
    eol: bool
    observed_us: int


@dataclass
class Read:
    """`data` is what the file holds from where the last read of it ended, or from `start`."""

    file: FileId
    data: bytes
    final: bool = False
    start: int | None = None


@dataclass
class Reader:
    """Gives reads to a batch and keeps the rows that it should hold."""

    batch: Batch
    origins: dict[str, Origin] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    positions: dict[FileId, int] = field(default_factory=dict)
    prefixes: dict[FileId, object] = field(default_factory=dict)
    observed_us: int = NOON_US
    gatherer: Executor | None = None
    """Makes the columns; without one the batch does."""

    def add(self, *reads: Read, at: int = 0, gathering: Future[Columns] | None = None) -> int:
        """One arena with the reads back to back; `at` bytes of something else stand before them."""
        self.observed_us += 1_000_001
        arena = np.frombuffer(bytearray(b"\xff" * at + b"".join(read.data for read in reads)), np.uint8)
        lengths = np.array([len(read.data) for read in reads], np.int64)
        starts = at + np.cumsum(lengths) - lengths
        final = np.array([read.final for read in reads], np.bool_)
        lines = frame(arena, starts, lengths, final, self.batch.settings.max_line_bytes)
        takes = [self._take(read, int(starts[i]), i, lines) for i, read in enumerate(reads)]
        self._expect(arena, lines, takes)
        if self.gatherer:
            gathering = self.gatherer.submit(columns_of, arena, lines, self.batch.settings)
        repaired = self.batch.add(arena, lines, takes, self.observed_us, gathering)
        arena[:] = 0xFE  # the arena is reused: nothing may still point into it
        return repaired

    def restart(self) -> None:
        """Forgets the hashes of all that was read, as a new process does."""
        self.prefixes = dict.fromkeys(self.positions)

    def _take(self, read: Read, at: int, index: int, lines: Lines) -> Take:
        file = read.file
        start = self.positions.get(file, 0) if read.start is None else read.start
        consumed, rows = int(lines.consumed[index]), int(lines.row_counts[index])
        last = int(lines.row_counts[: index + 1].sum())
        prefix = self.prefixes.setdefault(file, None if start else hashlib.sha256())
        if prefix is not None:
            prefix.update(read.data[:consumed])
        self.positions[file] = start + consumed
        return Take(
            file=file,
            name=file.path,
            origin=self.origins.get(file.source, origin(file.source)),
            at=at,
            start=start,
            end=start + consumed,
            rows=rows,
            line_feeds=int(np.count_nonzero(lines.eol[last - rows : last])),
            terminated=bool(rows and lines.eol[last - 1]),
            evidence=Evidence(1, 2, 3, "4", 5, "6", prefix.hexdigest() if prefix else None),
        )

    def _expect(self, arena, lines: Lines, takes: Sequence[Take]) -> None:
        owners = [take for take in takes for _ in range(take.rows)]
        for take, start, end, eol in zip(owners, lines.starts, lines.ends, lines.eol, strict=True):
            offset = take.start + int(start) - take.at
            row = Row(take.file, offset, arena[start:end].tobytes(), bool(eol), self.observed_us)
            self.rows.append(row)


def record_of(sealed: Sealed) -> BatchRecord:
    body = sealed.body.result()
    return BatchRecord(
        volume="default",
        shard=0,
        sequence=1,
        epoch=1,
        instance="i",
        sealed_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
        object_key="data/x",
        object_bytes=len(body),
        rows=sealed.rows,
        bytes=sealed.bytes,
        settings=sealed.settings,
        origins=sealed.origins,
        spans=sealed.spans,
    )


def span_bytes(sealed: Sealed, contents: dict[FileId, bytes]) -> list[tuple[Span, bytes]]:
    """Each span with the bytes that its file holds there."""
    return [(span, contents[file_of(span, sealed)][span.start : span.end]) for span in sealed.spans]


def file_of(span: Span, sealed: Sealed) -> FileId:
    return FileId(sealed.origins[span.origin].source, span.path, span.generation)
