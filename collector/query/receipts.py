"""What receipts say, kept small until the files are proven, and compared then."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator

from collector.errors import ExportDamaged
from collector.model import FileId, Loss, Receipt, ReceiptFile
from collector.query.files import FileKey, FileProof, Mark
from collector.query.holdings import Holdings, unfounded
from collector.query.intervals import Ranges
from collector.query.report import Difference
from collector.query.strict import unknown_keys
from collector.records import decode_receipt, encode_receipt, receipt_key

SHA256_OF_NOTHING = hashlib.sha256().hexdigest()


class Receipts:
    """All revisions of all receipts of an export, by volume and source."""

    def __init__(self, found: Callable[[Difference], None]) -> None:
        self._found = found
        self._all: dict[tuple[str, str], list[Receipt]] = defaultdict(list)
        self._marks: dict[FileKey, set[int]] = defaultdict(set)

    def read(self, bodies: Iterable[tuple[str, bytes]]) -> None:
        for key, body in bodies:
            try:
                receipt = decode_receipt(body, key)
            except ExportDamaged as error:
                self._found(Difference("damaged", error.message, key=key))
                continue
            if key != _key(receipt):
                says = f"says that it is {_key(receipt)}"
                self._found(Difference("receipt", says, receipt.volume, receipt.source, key=key))
                continue
            self._check_keys(receipt, key, body)
            self._all[receipt.volume, receipt.source].append(receipt)
            for file in receipt.files:
                if file.bytes:
                    self._marks[_file_key(receipt, file)].add(file.bytes)

    def _check_keys(self, receipt: Receipt, key: str, body: bytes) -> None:
        for unknown in unknown_keys(body, encode_receipt(receipt)):
            detail = f"has a key that no receipt has: {unknown}"
            self._found(Difference("receipt", detail, receipt.volume, receipt.source, key=key))

    def count(self, volume: str) -> int:
        return sum(len(revisions) for (of, _), revisions in self._all.items() if of == volume)

    def sources(self, volume: str) -> set[str]:
        return {source for of, source in self._all if of == volume}

    def has(self, volume: str, source: str) -> bool:
        return (volume, source) in self._all

    def volumes(self) -> set[str]:
        return {volume for volume, _ in self._all}

    def marks_at(self, key: FileKey) -> frozenset[int]:
        """The lengths of the file that its source's receipts speak of."""
        return frozenset(self._marks.get(key, ()))

    def excuse(self, files: dict[FileKey, FileProof]) -> None:
        """Tells the files of the holes and losses that receipts list; adds those that have no bytes."""
        for receipt in self._every():
            for file in receipt.files:
                proof = files.setdefault(_file_key(receipt, file), FileProof())
                for start, end in file.holes:
                    proof.excuse(start, end)
            for loss in receipt.losses:
                at = FileId(receipt.source, loss.path, loss.generation)
                proof = files.setdefault((receipt.volume, at), FileProof())
                proof.lose(loss.start, loss.end)

    def compare(self, files: dict[FileKey, FileProof], objects: Collection[str], volume: str | None) -> None:
        """Reports each receipt that says something else than what was proven."""
        for receipt in self._every():
            if volume not in (None, receipt.volume):
                continue
            for file in receipt.files:
                fault = _file_fault(file, files.get(_file_key(receipt, file)))
                if fault:
                    self._report(receipt, file, fault)
            for key in receipt.objects:
                if key not in objects:
                    detail = f"names an object that is not there: {key}"
                    self._found(
                        Difference("missing", detail, receipt.volume, receipt.source, key=_key(receipt))
                    )

    def compare_holdings(self, holdings: Holdings, volume: str | None, explained: Collection[str]) -> None:
        """Reports what receipts say of their objects that the records do not, and revisions that are missing.
        A receipt whose key is in `explained` has a difference already.
        """
        for (of, source), revisions in self._all.items():
            if volume not in (None, of):
                continue
            there = {receipt.revision for receipt in revisions}
            for missing in sorted(set(range(1, max(there))) - there):
                detail = f"revision {missing} is not there, but revision {max(there)} is"
                self._found(Difference("receipt", detail, of, source, key=_key(revisions[-1])))
            for receipt in revisions:
                for fault, file in holdings.faults(receipt) if _key(receipt) not in explained else ():
                    if file:
                        self._report(receipt, file, fault)
                    else:
                        self._found(Difference("receipt", fault, of, source, key=_key(receipt)))

    def compare_losses(self, losses: dict[FileKey, list[tuple[int, Loss]]], volume: str | None) -> int:
        """Reports losses of the records that no receipt of their source lists, where it has one. Each comes
        with its record's number: what was lost behind the last object that a receipt names may have been
        lost after it was written, and a further receipt will list it: returns how many bytes these are.
        And reports losses that no record knows.
        """
        later_bytes = 0
        for receipt in self._every():
            for file, place in unfounded(receipt, losses) if volume in (None, receipt.volume) else ():
                where = (receipt.volume, file.source, file.path, file.generation, *place)
                detail = "listed as lost, but no record says so"
                self._found(Difference("receipt", detail, *where, key=_key(receipt)))
        for (of, file), lost in losses.items():
            revisions = self._all.get((of, file.source), [])
            if volume not in (None, of):
                continue
            newest = max((_sequence(key) for receipt in revisions for key in receipt.objects), default=-1)
            every = (loss for receipt in revisions for loss in receipt.losses)
            same = (loss for loss in every if (loss.path, loss.generation) == (file.path, file.generation))
            listed = Ranges((loss.start, loss.end) for loss in same)
            later = Ranges((loss.start, loss.end) for sequence, loss in lost if sequence > newest)
            if revisions:
                later_bytes += sum(end - start for place in later for start, end in listed.missing(*place))
            due = Ranges((loss.start, loss.end) for sequence, loss in lost if sequence <= newest)
            for low, high in due:
                for start, end in listed.missing(low, high):
                    where = (of, file.source, file.path, file.generation, start, end)
                    detail = "lost by the records, but not listed as lost"
                    self._found(Difference("receipt", detail, *where, key=_key(revisions[-1])))
        return later_bytes

    def _every(self) -> Iterator[Receipt]:
        for revisions in self._all.values():
            yield from revisions

    def _report(self, receipt: Receipt, file: ReceiptFile, fault: str) -> None:
        end = max([file.bytes, *(hole_end for _, hole_end in file.holes)])
        where = (receipt.volume, receipt.source, file.path, file.generation, 0, end)
        self._found(Difference("receipt", fault, *where, key=_key(receipt)))


def _key(receipt: Receipt) -> str:
    return receipt_key(receipt.namespace, receipt.source, receipt.volume, receipt.revision)


def _sequence(key: str) -> int:
    """The number of the record that names this object."""
    number = key.rpartition("-")[2].partition(".")[0]
    return int(number) if number.isdigit() else -1


def _file_key(receipt: Receipt, file: ReceiptFile) -> FileKey:
    return receipt.volume, FileId(receipt.source, file.path, file.generation)


def _file_fault(file: ReceiptFile, proof: FileProof | None) -> str:
    """What the receipt says of a file that is not so; "" where all is."""
    if not file.bytes:
        mark: Mark | None = Mark(SHA256_OF_NOTHING, 0)
    else:
        mark = proof.marks.get(file.bytes) if proof else None
    if mark is None:
        if proof is not None and proof.spoiled:
            return ""  # what is wrong with its spans was reported
        there = proof.bytes if proof else 0
        return f"says {file.bytes} bytes, but {there} are there" + (
            ", and no span ends where it says" if there > file.bytes else ""
        )
    if file.lines != mark.lines:
        return f"says {file.lines} lines, but {mark.lines} are there"
    if file.sha256 and mark.sha256 and file.sha256 != mark.sha256:
        return "says another SHA-256 than that of the bytes that are there"
    return ""
