"""Checks one shard's records as they come: numbers dense, epochs rising, each by the owner of its epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from collector.errors import ExportDamaged
from collector.model import BatchRecord, CommitRecord, OpenRecord, VoidRecord
from collector.query.export import Shard, sequence_of
from collector.query.report import Difference, Kind
from collector.query.strict import unknown_keys
from collector.records import decode_record, encode_record, object_key

Found = Callable[[Difference], None]


class Sequence:
    def __init__(self, shard: Shard, found: Found) -> None:
        self.records = 0
        self._shard = shard
        self._found = found
        self._next = 0
        self._open: OpenRecord | None = None
        self._last_batch: int | None = None
        self._unread = False

    def checked(self, bodies: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, CommitRecord]]:
        """The records that can be read, with their keys; what is wrong with the sequence is reported."""
        for key, body in bodies:
            self.records += 1
            self._check_number(key)
            try:
                record = decode_record(body, key)
            except ExportDamaged as error:
                self._unread = True
                self._report("damaged", key, error.message)
                continue
            for unknown in unknown_keys(body, encode_record(record)):
                self._report("damaged", key, f"has a key that no record has: {unknown}")
            self._check_place(key, record)
            self._check_owner(key, record)
            yield key, record

    def _check_number(self, key: str) -> None:
        number = sequence_of(self._shard, key)
        if number is None:
            return
        if number != self._next:
            missing = str(self._next) if number == self._next + 1 else f"{self._next} to {number - 1}"
            self._report(
                "sequence", key, f"shard {self._shard.number}: record {missing} is missing before it"
            )
            self._unread = True
        self._next = number + 1

    def _check_place(self, key: str, record: CommitRecord) -> None:
        place = (record.volume, record.shard, record.sequence)
        if place != (self._shard.volume, self._shard.number, self._next - 1):
            says = f"volume {record.volume}, shard {record.shard}, number {record.sequence}"
            self._report("sequence", key, f"the record is of another place: {says}")
        if isinstance(record, BatchRecord):
            own = object_key(record.volume, record.shard, record.sequence, record.sealed_at, record.settings)
            if record.object_key != own:
                self._report("sequence", key, f"names {record.object_key} as its object, not {own}")

    def _check_owner(self, key: str, record: CommitRecord) -> None:
        """Where records before are missing or unreadable, an owner may have opened in one of them."""
        if isinstance(record, OpenRecord):
            if self._open is not None and record.epoch <= self._open.epoch:
                self._report("sequence", key, f"epoch {record.epoch} follows epoch {self._open.epoch}")
            self._open, self._unread = record, False
            return
        owner = (self._open.epoch, self._open.owner.instance) if self._open else None
        if owner != (record.epoch, record.instance) and not self._unread:
            self._report(
                "sequence", key, f"a record of epoch {record.epoch} by {record.instance}, who has not opened"
            )
        if isinstance(record, BatchRecord):
            self._last_batch = record.sequence
        elif isinstance(record, VoidRecord) and record.voids not in (None, self._last_batch):
            self._report("sequence", key, f"voids record {record.voids}, which is not the last batch")

    def _report(self, kind: Kind, key: str, detail: str) -> None:
        self._found(Difference(kind, detail, self._shard.volume, key=key))
