"""Puts the receipts of finished sources, on threads of its own: what has to be read again, and the put."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from collector.errors import ObjectMissing, VolumeError
from collector.intake.rehash import hashed
from collector.intake.track import TrackedSource
from collector.intake.volume import Volume, close
from collector.model import FileCheckpoint, FileId, Receipt, ReceiptFile, SourceCheckpoint
from collector.records import decode_receipt, encode_receipt, receipt_key
from collector.sink.store import Store
from collector.state.receipt import carried, says_the_same
from collector.value import value

TOMBSTONE_BYTES = 256


@value
class Written:
    """`known` is what was known of the source when its receipt was made."""

    source: TrackedSource
    known: SourceCheckpoint
    receipt: Receipt
    is_new: bool


class ReceiptWriter:
    """Used by several threads at once."""

    def __init__(
        self, store: Store, volume: Volume, *, tombstone: str, expect_owned: Callable[[], None]
    ) -> None:
        """`expect_owned` raises Fenced where the shard has another owner by now."""
        self._store = store
        self._expect_owned = expect_owned
        self._volume = volume
        self._tombstone = tombstone

    def put(
        self,
        source: TrackedSource,
        known: SourceCheckpoint,
        receipt: Receipt,
        unhashed: dict[FileId, FileCheckpoint],
    ) -> Written:
        """Puts the receipt under the first revision that is free, unless it already stands.

        Where another one stands, it is of a run of which nothing is known here, or of a later owner, who
        knows more: then Fenced is raised.
        """
        before = self._standing(receipt, receipt.revision - 1)
        if before is not None:
            receipt = carried(before, receipt)
        if source.tombstone or any(file.sha256 is None for file in receipt.files):
            receipt = self._read_again(source, receipt, unhashed)
        if before is not None and says_the_same(before, receipt):
            return Written(source, known, before, is_new=False)
        while True:
            key = _key(receipt, receipt.revision)
            if self._store.put_new(key, encode_receipt(receipt)):
                return Written(source, known, receipt, is_new=True)
            standing = self._standing(receipt, receipt.revision)
            if standing is None:
                continue
            receipt = carried(standing, receipt)
            if says_the_same(standing, receipt):
                return Written(source, known, standing, is_new=False)
            self._expect_owned()
            receipt = replace(receipt, revision=receipt.revision + 1)

    def _standing(self, receipt: Receipt, revision: int) -> Receipt | None:
        """What stands under this revision of the receipt."""
        if not revision:
            return None
        key = _key(receipt, revision)
        try:
            return decode_receipt(self._store.get(key), key)
        except ObjectMissing:
            return None

    def _read_again(
        self, source: TrackedSource, receipt: Receipt, unhashed: dict[FileId, FileCheckpoint]
    ) -> Receipt:
        """Fills in what only the volume knows: the tombstone, and the hashes that a restart in the middle of
        a file left open. Where it is gone meanwhile, the receipt says less.
        """
        directory = source.directory.parts
        try:
            volume = Volume(self._volume.path)
        except VolumeError:
            return receipt
        try:
            tombstone = _tombstone(volume, (*directory, self._tombstone)) if source.tombstone else None
            files = [
                hashed(volume, directory, at, file)
                if file.sha256 is None and (at := unhashed.get(_id(receipt, file)))
                else file
                for file in receipt.files
            ]
        finally:
            volume.close()
        return replace(receipt, tombstone=tombstone, files=tuple(files))


def _key(receipt: Receipt, revision: int) -> str:
    return receipt_key(receipt.namespace, receipt.source, receipt.volume, revision)


def _id(receipt: Receipt, file: ReceiptFile) -> FileId:
    return FileId(receipt.source, file.path, file.generation)


def _tombstone(volume: Volume, parts: tuple[str, ...]) -> str | None:
    """The first bytes of the tombstone; None where it is gone."""
    try:
        descriptor = volume.open_file(parts)
    except OSError:
        return None
    try:
        return os.pread(descriptor, TOMBSTONE_BYTES, 0).decode(errors="replace")
    except OSError:
        return None
    finally:
        close(descriptor)
