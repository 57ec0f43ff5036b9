"""Which objects hold how much of which file: what the `objects` and `losses` of receipts are checked by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from collector.model import FileId, Loss, Origin, Receipt, ReceiptFile
from collector.query.files import FileKey
from collector.query.intervals import Range
from collector.query.rows import ObjectRef, file_of

Fault = tuple[str, ReceiptFile | None]
"""What is wrong, and with which file of the receipt, where it is one."""


class Holdings:
    """Of the sources that have receipts, as the records tell it."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], dict[str, dict[FileId, int]]] = defaultdict(dict)
        self._names: dict[tuple[str, str], set[tuple[str | None, ...]]] = defaultdict(set)

    def add(self, volume: str, ref: ObjectRef, has_receipt: Callable[[str, str], bool]) -> None:
        """Takes in what the record of an object says of the sources that have receipts."""
        for origin, span in ref.spans:
            if not has_receipt(volume, origin.source):
                continue
            file = file_of(origin, span)
            self._names[volume, origin.source].add(_names(origin))
            if span.rows and not ref.is_lost(origin, span):
                held = self._objects[volume, origin.source].setdefault(ref.key, {})
                held[file] = held.get(file, 0) + span.end - span.start

    def faults(self, receipt: Receipt) -> Iterator[Fault]:
        """What the receipt says of its objects, and of whose they are, that the records do not."""
        held = self._objects.get((receipt.volume, receipt.source), {})
        names = self._names.get((receipt.volume, receipt.source))
        if names and (receipt.namespace, receipt.job, receipt.pod) not in names:
            yield "says another namespace, job or pod than the records", None
        for key in receipt.objects:
            if key not in held:
                yield f"names an object that holds nothing of it: {key}", None
        for file in receipt.files:
            at = FileId(receipt.source, file.path, file.generation)
            there = sum(held.get(key, {}).get(at, 0) for key in set(receipt.objects))
            if there != file.bytes:
                yield f"says {file.bytes} bytes, but the objects that it names hold {there}", file


def unfounded(
    receipt: Receipt, losses: dict[FileKey, list[tuple[int, Loss]]]
) -> Iterator[tuple[FileId, Range]]:
    """Losses that the receipt lists, and no record."""
    for loss in receipt.losses:
        file = FileId(receipt.source, loss.path, loss.generation)
        known = {(one.start, one.end, one.reason) for _, one in losses.get((receipt.volume, file), ())}
        if (loss.start, loss.end, loss.reason) not in known:
            yield file, (loss.start, loss.end)


def _names(origin: Origin) -> tuple[str | None, ...]:
    return origin.namespace, origin.job, origin.pod
