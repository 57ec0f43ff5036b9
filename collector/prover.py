"""Proves, before a source is deleted, that the destination has all of it.

Its receipt is fetched and must list exactly what the checkpoint has, its objects must be there, and files
that were touched after the receipt must hold what it says: they are read again as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from collector.errors import ObjectMissing, StoreError, VolumeError
from collector.expiry import Choice
from collector.intake.discover import SourceDir
from collector.intake.rehash import data_sha256
from collector.intake.removal import CHANGED
from collector.intake.volume import Volume, close
from collector.model import FileCheckpoint, FileId, Receipt, SourceCheckpoint
from collector.records import decode_receipt
from collector.sink.store import Store
from collector.state.receipt import difference
from collector.value import value

TRUST_SECONDS = 60.0
"""How long an object that was there counts as there: many receipts name the same ones."""


@value
class Order:
    """A source as it is known now, to be proved. `times` are when its files were last written to;
    `touched` are those for which that was after the receipt: by raw name, with what was committed of them.
    """

    choice: Choice
    directory: SourceDir
    key: str
    known: SourceCheckpoint
    files: tuple[FileCheckpoint, ...]
    times: frozenset[tuple[FileId, int | None]]
    touched: tuple[tuple[str, FileCheckpoint], ...]


@value
class Proof:
    """`why` the source is not proved, empty where it is: then `receipted` are its files."""

    order: Order
    why: str = ""
    receipted: frozenset[FileId] = frozenset()


class Prover:
    """Asks the destination, and reads again what was touched. Used by several threads at once."""

    def __init__(self, store: Store, name: str, volume: Volume, monotonic: Callable[[], float]) -> None:
        self._store, self._name, self._volume = store, name, volume
        self._monotonic = monotonic
        self._there: dict[str, float] = {}
        """Until when an object counts as there."""

    def prove(self, order: Order) -> Proof:
        try:
            receipt = decode_receipt(self._store.get(order.key), order.key)
        except ObjectMissing:
            return Proof(order, f"its receipt {order.key} is not in the destination")
        except StoreError as error:
            return Proof(order, f"its receipt cannot be read: {error.message}")
        why = difference(receipt, self._name, order.known, order.files) or self._lacks_object(receipt)
        why = why or self._changed(order, receipt)
        files = (FileId(receipt.source, file.path, file.generation) for file in receipt.files)
        return Proof(order, why, frozenset(files))

    def _lacks_object(self, receipt: Receipt) -> str:
        now = self._monotonic()
        for key in receipt.objects:
            if self._there.get(key, float("-inf")) > now:
                continue
            try:
                size = self._store.size_bytes(key)
            except StoreError as error:
                return f"its objects cannot be looked at: {error.message}"
            if not size:
                return f"its object {key} is not in the destination"
            self._there[key] = now + TRUST_SECONDS
        if len(self._there) > 10_000:
            self._there = {}
        return ""

    def _changed(self, order: Order, receipt: Receipt) -> str:
        """Whether a file whose time changed after the receipt holds other bytes than the receipt says."""
        if not order.touched:
            return ""
        hashes = {(file.path, file.generation): file.sha256 for file in receipt.files}
        try:
            volume = Volume(self._volume.path)
        except VolumeError as error:
            return error.message
        try:
            for name, at in order.touched:
                place = (*order.directory.parts, *name.split("/"))
                if _hash(volume, place, at) != (hashes.get((at.file.path, at.file.generation)) or "?"):
                    return CHANGED
        except OSError as error:
            return os.strerror(error.errno or 0)
        finally:
            volume.close()
        return ""


def _hash(volume: Volume, parts: tuple[str, ...], at: FileCheckpoint) -> str:
    descriptor = volume.open_file(parts)
    try:
        return data_sha256(descriptor, at)
    finally:
        close(descriptor)
