"""What an export holds: its shards, their commit records in order, and the receipts.

Bodies come in parallel, a few at a time, so memory is that of a few records. A damaged record raises
ExportDamaged where it is decoded, so that each reader decides what that means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from collector.errors import ExportDamaged
from collector.model import BatchRecord, CommitRecord, OpenRecord, Receipt, VoidRecord
from collector.query.fetch import in_order
from collector.records import (
    COMMITS,
    RECEIPTS,
    SEQUENCE_DIGITS,
    SHARD_DIGITS,
    commits_prefix,
    decode_receipt,
    decode_record,
    receipt_key,
    receipt_prefix,
)
from collector.sink.store import Store
from collector.value import value

_SHARD = re.compile(rf"[0-9]{{{SHARD_DIGITS}}}")
_SEQUENCE = re.compile(rf"([0-9]{{{SEQUENCE_DIGITS}}})\.json")
_REVISION = re.compile(r"(.+)\.([1-9][0-9]*)\.json")


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    volume: str
    number: int

    @property
    def prefix(self) -> str:
        return commits_prefix(self.volume, self.number)


@value
class Claim:
    """A batch record and what became of it: `voids` say which of its spans are gone from the volume.

    `last` says that no batch record follows it in its shard yet, so its object may still be on the way.
    """

    key: str
    record: BatchRecord
    voids: tuple[VoidRecord, ...]
    last: bool

    @property
    def given_up(self) -> bool:
        """Whether no object is to come: no span was left."""
        return any(not void.partial for void in self.voids)


def shards(store: Store) -> list[Shard]:
    """All shards of all volumes of an export."""
    return [
        Shard(volume, int(number))
        for volume in store.folders(COMMITS)
        for number in store.folders(f"{COMMITS}{volume}/")
        if _SHARD.fullmatch(number)
    ]


def sequence_of(shard: Shard, key: str) -> int | None:
    """The sequence number that a key of the shard's folder names; None for a foreign key."""
    match = _SEQUENCE.fullmatch(key.removeprefix(shard.prefix))
    return int(match[1]) if match else None


def record_bodies(store: Store, shard: Shard, *, after: str = "") -> Iterator[tuple[str, bytes]]:
    """The shard's commit records as they are stored, in order, with their keys; those after `after`."""
    keys = (entry.key for entry in store.list(shard.prefix, after=after))
    return in_order(store.get, (key for key in keys if sequence_of(shard, key) is not None))


def decoded(bodies: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, CommitRecord]]:
    """Raises ExportDamaged at the first record that cannot be read."""
    for key, body in bodies:
        yield key, decode_record(body, key)


def claims(records: Iterable[tuple[str, CommitRecord]]) -> Iterator[Claim | OpenRecord | VoidRecord]:
    """The records in order, but each batch with its voids, and only when all that may void it is known."""
    held: tuple[str, BatchRecord] | None = None
    voids: list[VoidRecord] = []
    for key, record in records:
        if isinstance(record, BatchRecord):
            if held:
                yield Claim(*held, tuple(voids), last=False)
            held, voids = (key, record), []
        elif isinstance(record, VoidRecord) and held and record.voids == held[1].sequence:
            voids.append(record)
            yield record
        else:
            yield record
    if held:
        yield Claim(*held, tuple(voids), last=True)


def batches(store: Store, *, keep: Callable[[bytes], bool] | None = None) -> Iterator[Claim | VoidRecord]:
    """The claims and voids of all shards, shard by shard. `keep` says of a body whether to decode it."""
    for shard in shards(store):
        bodies = record_bodies(store, shard)
        wanted = (pair for pair in bodies if keep is None or keep(pair[1]))
        for item in claims(decoded(wanted)):
            if not isinstance(item, OpenRecord):
                yield item


def newest_receipts(store: Store, namespace: str | None = None) -> Iterator[tuple[str, Receipt]]:
    """The last revision of each source's receipt: all, or those of one namespace ("" for none)."""
    prefix = RECEIPTS if namespace is None else f"{RECEIPTS}{namespace or '_'}/"
    newest: dict[str, tuple[int, str]] = {}
    for key in receipt_keys(store, prefix):
        match = _REVISION.fullmatch(key)
        if match:
            newest[match[1]] = max(newest.get(match[1], (0, "")), (int(match[2]), key))
    for key, body in in_order(store.get, (key for _, key in newest.values())):
        yield key, decode_receipt(body, key)


def newest_receipt(store: Store, namespace: str | None, source: str, volume: str) -> Receipt | None:
    """The last revision of one source's receipt, if there is one."""
    prefix = receipt_prefix(namespace, source, volume)
    numbers = (key.removeprefix(prefix).removesuffix(".json") for key in receipt_keys(store, prefix))
    revision = max((int(number) for number in numbers if number.isascii() and number.isdigit()), default=0)
    if not revision:
        return None
    key = receipt_key(namespace, source, volume, revision)
    return decode_receipt(store.get(key), key)


def receipt_keys(store: Store, prefix: str = RECEIPTS) -> Iterator[str]:
    return (entry.key for entry in store.list(prefix) if entry.key.endswith(".json"))


def damaged(key: str, error: Exception) -> ExportDamaged:
    """What a reader says of an object that native code could not read."""
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ExportDamaged(f"{key}: cannot be read: {first}")
