"""The commit protocol: one shard's dense sequence of create-only records, and who may write it.

`docs/decisions/0002-commit-protocol.md` says why it is so. In short: an owner opens the shard at the
next number, completes or voids what its predecessor left, then claims number after number, each
batch record before its object. What stands under a number stands for ever; whoever finds a number
taken looks whose record that is. No clock decides anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice

from collector.errors import BrokenInvariant, ExportDamaged, Fenced, JoblogError, ObjectMissing
from collector.events import Emit, ShardFenced, ShardOpened, StoreUnconditional
from collector.model import BatchRecord, CommitRecord, Loss, OpenRecord, Owner, VoidRecord
from collector.records import (
    SEQUENCE_DIGITS,
    SHARD_DIGITS,
    RecordHead,
    commits_prefix,
    decode_head,
    decode_record,
    encode_record,
    object_key,
    record_key,
)
from collector.sink.store import Store
from collector.value import value

SNAPSHOTS = "_joblog/snapshots/"
SNAPSHOT_SUFFIX = ".jsonl.zst"
FEW = 10
"""So many records are read in turn: a usual start finds a record or two, and needs no threads for them."""

READERS = 8
READ_AHEAD = 4 * READERS

WEAKENS = (
    "it ignores create-only puts (If-None-Match: *), so two collectors that run at the same time with "
    "one volume name could both write, and lines could be there twice; one collector alone is safe"
)


@value
class Taken:
    """What a new owner of a shard finds.

    `records` are those not seen before, in order, without the owner's own open record (`opened`).
    `unfinished` is the one batch record whose object is not there: to be completed or voided first.
    """

    opened: OpenRecord
    records: tuple[CommitRecord, ...]
    unfinished: BatchRecord | None


class Ledger:
    """One shard's records, as one owner reads and writes them. Used by one thread at a time, but for
    `expect_owned`.

    `sequence` is the next number to claim and `epoch` the owner's; both mean something after `take`.
    Every method may raise a StoreError. After a retryable one the same call is made again with the
    same arguments: nothing is written twice by that.
    """

    def __init__(
        self,
        store: Store,
        *,
        volume: str,
        shard: int,
        owner: Owner,
        clock: Callable[[], datetime],
        emit: Emit,
    ) -> None:
        self.sequence = 0
        self.epoch = 0
        self._store = store
        self._volume = volume
        self._shard = shard
        self._owner = owner
        self._clock = clock
        self._emit = emit
        self.standing = b""
        """The record that was last claimed, or that said what is void, as it stands in the destination."""
        self._pending: BatchRecord | VoidRecord | None = None
        self._unfinished: BatchRecord | None = None
        self._fenced: Fenced | None = None

    def read(self, first: int) -> Iterator[CommitRecord]:
        """All records from number `first` on, in order. Raises ExportDamaged for a gap or a bad record.

        The listing only says how far to read: a number that it leaves out is asked for all the same.
        """
        numbers = self._numbers(first)
        for number in islice(numbers, FEW):
            yield self._followed_record(number)
        with ThreadPoolExecutor(READERS, thread_name_prefix="joblog-records") as pool:
            records = (pool.submit(self._followed_record, number) for number in numbers)
            ahead = deque(islice(records, READ_AHEAD))
            try:
                while ahead:
                    yield ahead.popleft().result()
                    ahead.extend(islice(records, 1))
            finally:
                for unread in ahead:
                    unread.cancel()

    def expect_seen(self, seen: int) -> RecordHead | None:
        """The last record below number `seen`, up to which a checkpoint has seen them; None for number 0.

        It is the proof that the checkpoint speaks of this destination. Raises ExportDamaged where it is gone.
        """
        if not seen:
            return None
        key = record_key(self._volume, self._shard, seen - 1)
        try:
            head = decode_head(self._store.get(key), key)
            self._expect_place(head, key)
            return head
        except ObjectMissing:
            raise ExportDamaged(
                f"{self._place(seen - 1)} is not there, but the checkpoint has seen it",
                hint="if the destination was changed or emptied on purpose, use an empty state folder",
            ) from None

    def take(self, *, seen: int, unfinished: BatchRecord | None = None, epoch: int = 0) -> Taken:
        """Takes the shard over: reads the records from number `seen` on, then opens at the next one.

        `seen` is the next number by the local checkpoint (0: none), `unfinished` a batch record below
        it that the checkpoint did not know to be complete, `epoch` the highest below it. Other owners
        are fenced from here on. Raises ExportDamaged where the records do not go on from `seen`.
        """
        self.epoch = 0
        self._pending = self._unfinished = self._fenced = None
        seen_last = self.expect_seen(seen)
        epoch = max(epoch, seen_last.epoch if seen_last else 0)
        records: list[CommitRecord] = []
        while True:
            records.extend(self.read(seen + len(records)))
            next_epoch = max([epoch, *(record.epoch for record in records)]) + 1
            opened = self._open_record(seen + len(records), next_epoch)
            standing = self._first(opened)
            if standing == opened:
                break
            records.append(standing)
        self._probe(opened)
        last = _last_batch(records, unfinished)
        self._unfinished = last if self.lacks_object(last) else None
        self.sequence, self.epoch = opened.sequence + 1, opened.epoch
        self._emit(
            ShardOpened(self._volume, self._shard, opened.sequence, opened.epoch, self._owner.instance)
        )
        return Taken(opened, tuple(records), self._unfinished)

    def claim(self, make: Callable[[int, int], BatchRecord]) -> BatchRecord:
        """Writes `make(sequence, epoch)` at the next number. Raises Fenced if the shard was taken over.

        After StoreUnavailable the record may stand there, now or later; so until a further call has
        settled it, `make` must give the very same record: anything else is a BrokenInvariant.
        """
        self._expect_unfenced()
        if self._unfinished is not None:
            raise BrokenInvariant(
                f"{self._place(self.sequence)}: claimed while the object of number "
                f"{self._unfinished.sequence} is neither put nor void"
            )
        record = make(self.sequence, self.epoch)
        self._expect_own_place(record)
        self._append(record)
        self._unfinished = record
        return record

    def void(self, voids: int | None, losses: tuple[Loss, ...], *, partial: bool = False) -> VoidRecord:
        """Writes at the next number that bytes are gone: those of the unfinished record `voids`, or others.

        With `partial`, other spans of that record are left, so its object is still to be put.
        Raises Fenced and is settled like `claim`.
        """
        self._expect_unfenced()
        if voids is not None and (self._unfinished is None or self._unfinished.sequence != voids):
            raise BrokenInvariant(f"{self._place(voids)}: voided, but it is not unfinished")
        record = self._pending
        if not isinstance(record, VoidRecord) or (record.voids, record.losses, record.partial) != (
            voids,
            losses,
            partial,
        ):
            record = VoidRecord(
                volume=self._volume,
                shard=self._shard,
                sequence=self.sequence,
                epoch=self.epoch,
                instance=self._owner.instance,
                voided_at=self._clock(),
                voids=voids,
                losses=losses,
                partial=partial,
            )
        self._append(record)
        if voids is not None and not partial:
            self._unfinished = None
        return record

    def put_object(self, record: BatchRecord, body: bytes | memoryview) -> bool:
        """Puts the object of the unfinished `record`. False if it was there: the same rows, so fine too."""
        self._expect_unfenced()
        if record != self._unfinished:
            raise BrokenInvariant(f"{record.object_key}: put, but its record is not the unfinished one")
        new = self._store.put_new(record.object_key, body)
        self._unfinished = None
        return new

    def expect_owned(self) -> None:
        """Raises Fenced where a later owner opened the shard. For whoever finds, beside the records, what he
        did not write; any thread may call it.
        """
        self._expect_unfenced()
        for number in self._numbers(self.sequence):
            record = self._followed_record(number)
            if isinstance(record, OpenRecord) and record.epoch > self.epoch:
                raise self._lost_to(record)

    def newest_snapshot(self) -> tuple[int, bytes] | None:
        """A checkpoint after all records below the number, as it was put; None if there is none."""
        prefix = snapshots_prefix(self._volume, self._shard)
        numbers = [_number(entry.key, prefix, SNAPSHOT_SUFFIX) for entry in self._store.list(prefix)]
        newest = max((number for number in numbers if number is not None), default=None)
        if newest is None:
            return None
        return newest, self._store.get(snapshot_key(self._volume, self._shard, newest))

    def put_snapshot(self, sequence: int, body: bytes) -> None:
        """Puts a checkpoint after all records below `sequence`. One that is there says the same: it stays."""
        self._store.put_new(snapshot_key(self._volume, self._shard, sequence), body)

    def _numbers(self, first: int) -> Iterator[int]:
        prefix = commits_prefix(self._volume, self._shard)
        after = record_key(self._volume, self._shard, first - 1) if first else ""
        for entry in self._store.list(prefix, after=after):
            number = _number(entry.key, prefix, ".json")
            if number is not None:
                yield from range(first, number + 1)
                first = number + 1

    def _record(self, number: int) -> CommitRecord:
        """Raises ObjectMissing, or ExportDamaged."""
        key = record_key(self._volume, self._shard, number)
        record = decode_record(self._store.get(key), key)
        self._expect_place(record, key)
        return record

    def _expect_place(self, record: CommitRecord | RecordHead, key: str) -> None:
        place = record_key(record.volume, record.shard, record.sequence)
        if place != key:
            raise ExportDamaged(
                f"{self._store.url}: {key} holds the record of {place}",
                hint="restore the record that was under this key",
            )

    def _followed_record(self, number: int) -> CommitRecord:
        """A record that must be there: something was seen under its number, or under a higher one."""
        try:
            return self._record(number)
        except ObjectMissing:
            raise ExportDamaged(
                f"{self._place(number)} is missing, though others follow it",
                hint="restore it: nothing may delete below _joblog/commits/, no lifecycle rule either",
            ) from None

    def _open_record(self, sequence: int, epoch: int) -> OpenRecord:
        return OpenRecord(
            volume=self._volume,
            shard=self._shard,
            sequence=sequence,
            epoch=epoch,
            owner=self._owner,
            opened_at=self._clock(),
        )

    def _first(self, record: CommitRecord) -> CommitRecord:
        """Puts `record` at its number and returns what stands there then: it, or what was first."""
        key = record_key(self._volume, self._shard, record.sequence)
        self.standing = encode_record(record)
        if self._store.put_new(key, self.standing):
            return record
        return self._followed_record(record.sequence)

    def _probe(self, opened: OpenRecord) -> None:
        """Puts the open record again, which stands: only a store that ignores conditions says 'created'."""
        if not self._store.conditional:
            return
        key = record_key(self._volume, self._shard, opened.sequence)
        if self._store.put_new(key, encode_record(opened)):
            self._store.note_unconditional()
            self._emit(StoreUnconditional(self._store.url, WEAKENS))

    def lacks_object(self, record: BatchRecord | None) -> bool:
        """Whether the object of `record` is not there (yet)."""
        return record is not None and self._store.size_bytes(record.object_key) is None

    def _append(self, record: BatchRecord | VoidRecord) -> None:
        """Makes `record` stand at the next number, or raises for whose record stands there instead.

        A record that was first is often this one: its put had timed out, and landed all the same.
        """
        if self._pending not in (None, record):
            raise BrokenInvariant(
                f"{self._place(self.sequence)}: another record was put here, its outcome is not known yet"
            )
        self._pending = record
        standing = self._first(record)
        if standing != record:
            raise self._lost_to(standing)
        self._pending = None
        self.sequence += 1

    def _lost_to(self, standing: CommitRecord) -> JoblogError:
        place = self._place(standing.sequence)
        if isinstance(standing, OpenRecord) and standing.epoch > self.epoch:
            who = standing.owner
            by = f"{who.instance} on {who.host}, pid {who.pid}, at {standing.opened_at.isoformat()}"
        elif not self._store.conditional:
            by = "a second collector, unnoticed because the destination ignores create-only puts"
        else:
            return BrokenInvariant(
                f"{place}: a {standing.kind} record of epoch {standing.epoch} stands behind the open "
                f"record of epoch {self.epoch}"
            )
        self._fenced = Fenced(
            f"{place}: the shard was taken over by {by}",
            hint="run only one collector for each volume name, or give each collector its own",
        )
        self._emit(ShardFenced(self._volume, self._shard, by))
        return self._fenced

    def _expect_unfenced(self) -> None:
        if self._fenced is not None:
            raise self._fenced
        if not self.epoch:
            raise BrokenInvariant(f"{self._place(self.sequence)}: written before the shard was taken")

    def _expect_own_place(self, record: BatchRecord) -> None:
        place = (record.volume, record.shard, record.sequence, record.epoch, record.instance)
        mine = (self._volume, self._shard, self.sequence, self.epoch, self._owner.instance)
        key = object_key(record.volume, record.shard, record.sequence, record.sealed_at, record.settings)
        if place != mine or record.object_key != key:
            raise BrokenInvariant(f"{self._place(self.sequence)}: the record was made for another place")

    def _place(self, sequence: int) -> str:
        return f"{self._store.url}: {record_key(self._volume, self._shard, sequence)}"


def snapshots_prefix(volume: str, shard: int) -> str:
    return f"{SNAPSHOTS}{volume}/{shard:0{SHARD_DIGITS}d}/"


def snapshot_key(volume: str, shard: int, sequence: int) -> str:
    return f"{snapshots_prefix(volume, shard)}{sequence:0{SEQUENCE_DIGITS}d}{SNAPSHOT_SUFFIX}"


def _number(key: str, prefix: str, suffix: str) -> int | None:
    """The number in a key, or None for what is not ours (a folder marker, say)."""
    name = key.removeprefix(prefix).removesuffix(suffix)
    if len(name) != SEQUENCE_DIGITS or not (name.isascii() and name.isdigit()):
        return None
    return int(name) if key == f"{prefix}{name}{suffix}" else None


def _last_batch(records: list[CommitRecord], unfinished: BatchRecord | None) -> BatchRecord | None:
    """The one batch record that can lack its object: the last one, unless it was voided.

    Each owner finishes what it found and what it claimed before it claims anew; so all before are finished.
    """
    for record in records:
        if isinstance(record, BatchRecord):
            unfinished = record
        elif isinstance(record, VoidRecord) and unfinished and record.voids == unfinished.sequence:
            unfinished = unfinished if record.partial else None
    return unfinished
