"""How far a shard is committed: the projection of its commit records and receipts. No I/O here.

Whoever applies the same records gets the same checkpoint: the collector as it commits, its next
start from the state folder, and a rebuild from the destination alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from collector.errors import BrokenInvariant
from collector.model import (
    BatchRecord,
    CommitRecord,
    FileCheckpoint,
    FileId,
    Loss,
    OpenRecord,
    Origin,
    SourceCheckpoint,
    Span,
    VoidRecord,
)
from collector.records import SEQUENCE_DIGITS, SHARD_DIGITS
from collector.state.codec import (
    NOT_INTACT,
    SnapshotHeader,
    damaged,
    decode_snapshot_header,
    encode_snapshot_header,
    encode_source,
    intact,
    is_source,
)
from collector.state.file_table import FileTable
from collector.state.source_line import SourceLines

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Checkpoint:
    """One shard's state. Read the attributes, change them by the methods only.

    `sequence` is the next record number not applied, `epoch` the highest one applied. `unfinished`
    is the last applied batch record that is not known to have its object. `journal` is the number
    of the last journal line that the snapshot which this was loaded from held.
    """

    def __init__(self, volume: str, shard: int) -> None:
        self.volume = volume
        self.shard = shard
        self.sequence = 0
        self.epoch = 0
        self.unfinished: BatchRecord | None = None
        self.files = FileTable()
        self.sources: dict[str, SourceCheckpoint] = {}
        self.journal = 0

    def apply(self, record: CommitRecord) -> None:
        """Takes the next record in. Raises BrokenInvariant, and changes nothing, where it cannot follow:
        another shard's, a wrong number, a lower epoch, a span that starts before the committed offset.
        """
        self._check_follows(record)
        if isinstance(record, BatchRecord):
            self._apply_batch(record)
        elif isinstance(record, VoidRecord):
            self._apply_void(record)
        self.epoch = record.epoch
        self.sequence = record.sequence + 1

    def completed(self, sequence: int) -> None:
        """The object of batch record `sequence` is known to be there."""
        if sequence >= self.sequence:
            raise self._broken(f"record {sequence} is said to be complete before it was applied")
        if self.unfinished is not None and self.unfinished.sequence == sequence:
            self.unfinished = None

    def note_source(self, source: SourceCheckpoint) -> None:
        """Replaces what is known of one source: receipts, finished by what, its origin."""
        self.sources[source.source] = source

    def retire(self, source: str) -> None:
        """The source is gone from the volume: drops its files, and keeps what a new directory of the
        same name must not repeat. A source that has left no trace needs none.
        """
        known = self.sources.get(source)
        if known is None:
            return
        floor = max((at.file.generation + 1 for at in self.files.of(source)), default=0)
        self.files.drop(source)
        self.sources[source] = SourceCheckpoint(
            source=source,
            origin=known.origin,
            revision=known.revision,
            retired=True,
            generation_floor=max(floor, known.generation_floor),
        )

    def files_of(self, source: str) -> list[FileCheckpoint]:
        """The source's files, in no particular order, without a look at those of others."""
        return list(self.files.of(source))

    def dump(self, *, journal: int = 0) -> Iterator[bytes]:
        """The lines of `checkpoint.jsonl`: a header, then each source with its files, all in order."""
        yield encode_snapshot_header(
            SnapshotHeader(
                volume=self.volume,
                shard=self.shard,
                sequence=self.sequence,
                epoch=self.epoch,
                journal=journal,
                sources=len(self.sources),
                files=len(self.files),
                unfinished=self.unfinished,
            )
        )
        for source in sorted(self.sources):
            yield encode_source(self.sources[source])
            yield from self.files.lines(source)

    @classmethod
    def load(cls, lines: Iterable[bytes], *, place: str = "checkpoint") -> Checkpoint:
        """Reads what `dump` gave. Raises StateDamaged with `place` and the line number, and StateError
        for a newer format.
        """
        rest = enumerate(lines, start=1)
        number, first = next(rest, (1, b""))
        header = decode_snapshot_header(first, f"{place}:{number}")
        loaded = cls(header.volume, header.shard)
        loaded.sequence, loaded.epoch = header.sequence, header.epoch
        loaded.unfinished, loaded.journal = header.unfinished, header.journal
        read = SourceLines()
        for number, line in rest:
            if not intact(line):
                raise damaged(f"{place}:{number}", NOT_INTACT)
            if is_source(line):
                source = read.decode(line, f"{place}:{number}")
                loaded.sources[source.source] = source
            elif not loaded.files.load(line, f"{place}:{number}", loaded.sources):
                raise damaged(f"{place}:{number}", "a file that stands twice, or before its source")
        if (len(loaded.sources), len(loaded.files)) != (header.sources, header.files):
            raise damaged(f"{place}:{number}", f"ends before the last of {header.files} files")
        return loaded

    def _check_follows(self, record: CommitRecord) -> None:
        if (record.volume, record.shard) != (self.volume, self.shard):
            raise self._broken(f"a record of volume {record.volume} shard {record.shard}")
        if record.sequence != self.sequence:
            raise self._broken(f"record {record.sequence} where {self.sequence} comes next")
        lowest = self.epoch + 1 if isinstance(record, OpenRecord) else self.epoch
        if record.epoch < lowest:
            raise self._broken(
                f"record {record.sequence} has epoch {record.epoch}, at least {lowest} follows"
            )

    def _apply_batch(self, record: BatchRecord) -> None:
        touched = self._touched(record)
        moved: dict[tuple[str, str, int], FileCheckpoint] = {}
        for span in record.spans:
            file = _spanned(record, span)
            key = file.source, span.path, span.generation
            before = moved.get(key) or self.files.find(file)
            holes = self._holes(file, before.offset if before else 0, span, record)
            moved[key] = _advanced(file, before, span, holes)
        for at in moved.values():
            self.files.put(at)
        objects: dict[tuple[str, ...], tuple[str, ...]] = {}
        for source, touch in touched.items():
            noted = _noted(self.sources.get(source), touch, record, objects)
            self.sources[noted.source] = noted
        self.unfinished = record

    def _touched(self, record: BatchRecord) -> dict[str, _Touch]:
        """What the record says of each source that it speaks of."""
        touched: dict[str, _Touch] = {}
        for span in record.spans:
            if not 0 <= span.origin < len(record.origins):
                raise self._broken(f"record {record.sequence} has no origin {span.origin}")
            origin = record.origins[span.origin]
            touch = touched.get(origin.source)
            if touch is None:
                touch = touched[origin.source] = _Touch(origin)
            touch.rows += span.rows
            for _, at in span.reads:
                touch.observed_us.append(at)
        for loss in record.losses:
            touch = touched.setdefault(loss.source, _Touch(_origin_of(loss.source, record.origins)))
            touch.losses.append(loss)
        return touched

    def _holes(
        self, file: FileId, offset: int, span: Span, record: BatchRecord
    ) -> tuple[tuple[int, int], ...]:
        """What lies between the committed offset and the span, and is not known as lost."""
        if span.start < offset or span.end < span.start:
            raise self._broken(
                f"record {record.sequence} takes {file.source}/{file.path} generation {file.generation} "
                f"from {span.start} to {span.end}, {offset} is committed"
            )
        if span.start == offset:
            return ()
        known = self.sources.get(file.source)
        losses = (*(known.losses if known else ()), *record.losses)
        lost = [(loss.start, loss.end) for loss in losses if _file_of(loss) == file]
        return _without(offset, span.start, lost)

    def _apply_void(self, record: VoidRecord) -> None:
        claimed = self.unfinished
        for loss in record.losses:
            if claimed is not None and claimed.sequence == record.voids:
                self._take_back(claimed, loss)
            known = self.sources.get(loss.source) or SourceCheckpoint(loss.source, Origin(loss.source))
            self.sources[loss.source] = replace(known, losses=(*known.losses, loss), finished_by=None)
        if record.voids is None:
            return
        if not record.partial:
            self._forget_object(record.voids, list(self.sources))
            if self.unfinished is not None and self.unfinished.sequence == record.voids:
                self.unfinished = None
        elif claimed is not None and claimed.sequence == record.voids:
            self._forget_object(record.voids, self._emptied(claimed))

    def _emptied(self, claimed: BatchRecord) -> set[str]:
        """The sources of which the object will hold nothing: all their spans are void."""
        sources = {claimed.origins[span.origin].source for span in claimed.spans}
        lost = (loss for source in sources for loss in self.sources[source].losses)
        void = {(_file_of(loss), loss.start, loss.end) for loss in lost if loss.reason == "void"}
        return sources - {
            file.source
            for span in claimed.spans
            if (file := _spanned(claimed, span), span.start, span.end) not in void and span.rows
        }

    def _take_back(self, claimed: BatchRecord, loss: Loss) -> None:
        """The span was counted when its record stood, and is in no object. Its file goes on behind it."""
        file = _file_of(loss)
        at = self.files.get(file)
        gone = (
            span
            for span in claimed.spans
            if _spanned(claimed, span) == file and (span.start, span.end) == (loss.start, loss.end)
        )
        span = next(gone, None)
        if at is None or span is None:
            return
        left = replace(
            at,
            bytes=at.bytes - (span.end - span.start),
            line_feeds=at.line_feeds - span.line_feeds,
            terminated=span.starts_line is not False if span.end == at.offset else at.terminated,
            evidence=replace(at.evidence, prefix_sha256=None),
        )
        self.files.put(left)

    def _forget_object(self, sequence: int, sources: Iterable[str]) -> None:
        """The object of `sequence` will hold nothing of these sources. Its key is known by its number: the
        record itself may have been applied, and its object seen, before the shard's next owner gave it up.
        """
        name = f"/{self.volume}-{self.shard:0{SHARD_DIGITS}d}-{sequence:0{SEQUENCE_DIGITS}d}."
        for source in sources:
            known = self.sources[source]
            left = tuple(key for key in known.objects if name not in key)
            if len(left) != len(known.objects):
                self.sources[source] = replace(known, objects=left)

    def _broken(self, what: str) -> BrokenInvariant:
        return BrokenInvariant(f"volume {self.volume} shard {self.shard}: {what}")


@dataclass(slots=True)
class _Touch:
    """What one batch record says of one source. `observed_us` are microseconds since the epoch."""

    origin: Origin
    rows: int = 0
    observed_us: list[int] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)


def _advanced(
    file: FileId, before: FileCheckpoint | None, span: Span, holes: tuple[tuple[int, int], ...]
) -> FileCheckpoint:
    return FileCheckpoint(
        file=file,
        name=span.name,
        offset=span.end,
        bytes=(before.bytes if before else 0) + span.end - span.start,
        line_feeds=(before.line_feeds if before else 0) + span.line_feeds,
        terminated=span.ends_line if span.rows or before is None else before.terminated,
        evidence=span.evidence,
        holes=(*(before.holes if before else ()), *holes),
    )


def _noted(
    known: SourceCheckpoint | None,
    touch: _Touch,
    record: BatchRecord,
    objects: dict[tuple[str, ...], tuple[str, ...]],
) -> SourceCheckpoint:
    """A source that was retired, or finished, is so no more. Its origin is that of its file seen first.

    `objects` are those of sources of the same record, by those that they had before: kept once for all.
    """
    known = known or SourceCheckpoint(touch.origin.source, touch.origin)
    seen = [at for at in (known.first_observed_at, known.last_observed_at) if at is not None]
    if touch.observed_us:  # only the first and the last one: a source may have thousands of files
        seen += [_at(min(touch.observed_us)), _at(max(touch.observed_us))]
    # Field by field: `replace` takes four times as long, of each source of each record.
    return SourceCheckpoint(
        source=known.source,
        origin=touch.origin if known.retired or not known.origin.matched else known.origin,
        objects=objects.setdefault(known.objects, (*known.objects, record.object_key))
        if touch.rows
        else known.objects,
        losses=(*known.losses, *touch.losses),
        first_observed_at=min(seen, default=None),
        last_observed_at=max(seen, default=None),
        revision=known.revision,
        tombstone=known.tombstone,
        generation_floor=known.generation_floor,
        receipted_at=known.receipted_at,
    )


@lru_cache(maxsize=1024)
def _at(microseconds: int) -> datetime:
    """The same object for the many files that are read at once."""
    return _EPOCH + timedelta(microseconds=microseconds)


def _origin_of(source: str, origins: Sequence[Origin]) -> Origin:
    return next((origin for origin in origins if origin.source == source), Origin(source))


def _without(start: int, end: int, taken: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """[start, end) without the ranges `taken`."""
    left: list[tuple[int, int]] = []
    for first, last in sorted(taken):
        if first > start:
            left.append((start, min(first, end)))
        start = max(start, last)
        if start >= end:
            break
    if start < end:
        left.append((start, end))
    return tuple(left)


def _spanned(record: BatchRecord, span: Span) -> FileId:
    return FileId(record.origins[span.origin].source, span.path, span.generation)


def _file_of(loss: Loss) -> FileId:
    return FileId(loss.source, loss.path, loss.generation)
