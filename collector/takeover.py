"""How a collector takes a shard: lock, checkpoint, records, open record, and what its predecessor left.

A batch record without its object is completed: the same spans are read again from the volume, their
hashes compared, and the same rows put under the same key. What is gone from the volume is declared
void first; the rest of the batch still gets its object.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import replace

from xxhash import xxh3_128_hexdigest

from collector.errors import ExportDamaged, VolumeError
from collector.events import BytesLost, CheckpointRebuilt, Emit, ObjectCompleted, RecordVoided
from collector.intake.discover import Discovery, SourceDir
from collector.intake.framing import framing
from collector.intake.layout import Layout
from collector.intake.listing import all_sources
from collector.intake.names import decode_name, encode_name
from collector.intake.volume import VANISHED, Volume, close
from collector.model import BatchRecord, CommitRecord, Loss, Span, VoidRecord
from collector.rows.batch import Batch
from collector.rows.compress import compress, decompress
from collector.rows.remake import remake
from collector.sink.ledger import Ledger
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder
from collector.value import value


@value
class Found:
    """One span of an unfinished batch, and its bytes as the volume still has them."""

    span: Span
    data: bytes


@value
class Surveyed:
    """A shard as it stands: the checkpoint with all records applied, of which the folder lacks `records`.

    `is_rebuilt`: the folder has nothing at all. `lacks_object`: that of the last batch record is missing.
    """

    checkpoint: Checkpoint
    records: tuple[CommitRecord, ...]
    is_rebuilt: bool
    lacks_object: bool


def survey(folder: StateFolder, ledger: Ledger) -> Surveyed:
    """Reads all that there is of the shard, without taking it."""
    known = _known(folder, ledger)
    checkpoint = known.checkpoint
    ledger.expect_seen(checkpoint.sequence)
    records = []
    for record in ledger.read(checkpoint.sequence):
        checkpoint.apply(record)
        records.append(record)
    return replace(known, records=tuple(records), lacks_object=ledger.lacks_object(checkpoint.unfinished))


def take_over(
    folder: StateFolder, ledger: Ledger, emit: Emit, surveyed: Surveyed | None = None
) -> Checkpoint:
    """Opens the shard and returns its checkpoint with every record applied. The folder is locked.

    Where the folder has none, it is rebuilt from the destination. `unfinished` may be left in it. What was
    `surveyed` under the same lock is not read again.
    """
    known = surveyed or _known(folder, ledger)
    checkpoint = known.checkpoint
    taken = ledger.take(seen=checkpoint.sequence, unfinished=checkpoint.unfinished, epoch=checkpoint.epoch)
    for record in (*taken.records, taken.opened):
        checkpoint.apply(record)
    done = None
    if taken.unfinished is None and checkpoint.unfinished is not None:
        done = checkpoint.unfinished.sequence
        checkpoint.completed(done)
    if known.is_rebuilt:
        folder.compact(checkpoint)
        if checkpoint.sequence > 1:
            emit(CheckpointRebuilt(folder.volume, folder.shard, checkpoint.sequence, len(checkpoint.files)))
    else:
        folder.append(records=[*known.records, *taken.records, taken.opened], completed=done)
    return checkpoint


def _known(folder: StateFolder, ledger: Ledger) -> Surveyed:
    """What the folder has; where that is nothing, the newest snapshot in the destination."""
    checkpoint = folder.load()
    is_rebuilt = checkpoint is None
    return Surveyed(
        checkpoint or _from_snapshot(ledger, folder), (), is_rebuilt=is_rebuilt, lacks_object=False
    )


def pack_snapshot(checkpoint: Checkpoint) -> bytes:
    """The checkpoint as it is put into the destination."""
    return compress(checkpoint.dump())


def _from_snapshot(ledger: Ledger, folder: StateFolder) -> Checkpoint:
    newest = ledger.newest_snapshot()
    if newest is None:
        return Checkpoint(folder.volume, folder.shard)
    sequence, body = newest
    place = f"{folder.volume} shard {folder.shard}: the snapshot of record {sequence} in the destination"
    checkpoint = Checkpoint.load(decompress(body, place).splitlines(keepends=True), place=place)
    if (checkpoint.volume, checkpoint.shard, checkpoint.sequence) != (folder.volume, folder.shard, sequence):
        raise ExportDamaged(
            f"{place} is of another shard or record", hint="remove it: the records are enough"
        )
    return checkpoint


class Completion:
    """Puts the object of an unfinished batch record, or says what is gone of it."""

    def __init__(
        self,
        volume: Volume,
        discovery: Discovery,
        *,
        ledger: Ledger,
        folder: StateFolder,
        pool: Executor,
        emit: Emit,
    ) -> None:
        self._volume = volume
        self._discovery = discovery
        self._ledger = ledger
        self._folder = folder
        self._pool = pool
        self._emit = emit

    def complete(self, checkpoint: Checkpoint) -> tuple[Loss, ...]:
        """Returns what was lost. Afterwards the checkpoint has nothing unfinished."""
        record = checkpoint.unfinished
        if record is None:
            return ()
        self._check_mounted(record)
        missing, left = [], []
        for span in _not_voided(record, checkpoint):
            found = self._find(record, span)
            if found is None:
                missing.append(_loss(record, span))
            else:
                left.append(found)
        losses = tuple(missing)
        if losses:
            self._declare(record, losses, checkpoint, partial=bool(left))
        if left:
            batch = Batch(record.settings, Layout.parse(record.settings.layout).field_names, self._pool)
            body = remake(batch, record, [(each.span, each.data) for each in left], framing(record.settings))
            self._ledger.put_object(record, body)
            checkpoint.completed(record.sequence)
            self._folder.append(completed=record.sequence)
            self._emit(ObjectCompleted(record.volume, record.shard, record.sequence, record.object_key))
        return losses

    def _declare(
        self, record: BatchRecord, losses: tuple[Loss, ...], checkpoint: Checkpoint, *, partial: bool
    ) -> None:
        void: VoidRecord = self._ledger.void(record.sequence, losses, partial=partial)
        checkpoint.apply(void)
        self._folder.append(records=[void])
        why = "bytes that a batch had taken are gone from the volume, and its object was never put"
        self._emit(RecordVoided(record.volume, record.shard, record.sequence, why))
        for loss in losses:
            self._emit(
                BytesLost(
                    record.volume, loss.source, loss.path, loss.generation, loss.start, loss.end, loss.reason
                )
            )

    def _check_mounted(self, record: BatchRecord) -> None:
        """An unmounted volume is an empty directory: that is no proof that the bytes are gone."""
        self._discovery.devices = {span.evidence.device for span in record.spans}
        try:
            empty = not all_sources(self._discovery)
        except OSError as error:
            raise _unreadable(self._volume, "", error) from None
        if empty and self._discovery.moved():
            raise VolumeError(
                f"volume {self._volume.path} is empty, and on another file system than before, "
                f"but bytes of batch {record.sequence} must be read from it again",
                hint="mount it; if it was emptied on purpose, make an empty directory in it",
            )

    def _find(self, record: BatchRecord, span: Span) -> Found | None:
        """The span's bytes, wherever a rotation moved them meanwhile."""
        directory = SourceDir("/".join(parts_of(record.origins[span.origin].source)), flat=False)
        for name in self._names(directory, span):
            data = self._read(directory, name, span)
            if data is not None:
                return Found(span, data)
        return None

    def _names(self, directory: SourceDir, span: Span) -> Iterator[str]:
        """Where to look: under its last name, its first, then in all files that are long enough."""
        likely = [decode_name(span.name), decode_name(span.path)]
        yield from likely
        try:
            look = self._discovery.look(directory)
        except OSError as error:
            raise _unreadable(self._volume, span.path, error) from None
        if look is not None:
            others = [sight for sight in look.files if sight.size >= span.end and sight.name not in likely]
            others.sort(key=lambda sight: sight.inode != span.evidence.inode)
            yield from (sight.name for sight in others)

    def _read(self, directory: SourceDir, name: str, span: Span) -> bytes | None:
        """None where there is no such file, or it holds other bytes. What cannot be read is not gone."""
        try:
            descriptor = self._volume.open_file((*directory.parts, *name.split("/")))
            try:
                data = _pread(descriptor, span.start, span.end)
            finally:
                close(descriptor)
        except OSError as error:
            if error.errno in VANISHED:
                return None
            raise _unreadable(self._volume, name, error) from None
        return data if xxh3_128_hexdigest(data) == span.xxh3_128 else None


def parts_of(source: str) -> tuple[str, ...]:
    """The raw directory names of an encoded source."""
    return () if source == "." else tuple(decode_name(source).split("/"))


def _not_voided(record: BatchRecord, checkpoint: Checkpoint) -> Iterator[Span]:
    """The record's spans that no earlier owner declared void already."""
    for span in record.spans:
        source = record.origins[span.origin].source
        known = checkpoint.sources.get(source)
        if known is None or _loss(record, span) not in known.losses:
            yield span


def _unreadable(volume: Volume, name: str, error: OSError) -> VolumeError:
    where = f"{volume.path}: {encode_name(name)}" if name else str(volume.path)
    return VolumeError(
        f"volume {where}: {os.strerror(error.errno or 0)}",
        hint="a batch that was claimed must be read again from it: make it readable",
    )


def _loss(record: BatchRecord, span: Span) -> Loss:
    source = record.origins[span.origin].source
    return Loss(source, span.path, span.generation, span.start, span.end, "void")


def _pread(descriptor: int, start: int, end: int) -> bytes:
    pieces = []
    while start < end:
        piece = os.pread(descriptor, end - start, start)
        if not piece:
            break
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)
