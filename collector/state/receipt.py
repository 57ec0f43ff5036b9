"""What a source held when it was finished, as its checkpoint tells it. Values only, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from operator import attrgetter

from collector.errors import BrokenInvariant
from collector.model import (
    FileCheckpoint,
    FinishedBy,
    Loss,
    Receipt,
    ReceiptFile,
    ReceiptLoss,
    SourceCheckpoint,
)
from collector.state.checkpoint import Checkpoint

_SHA256_OF_NOTHING = sha256().hexdigest()


def build(
    checkpoint: Checkpoint,
    source: str,
    *,
    finished_by: FinishedBy,
    empty_files: Sequence[tuple[str, int]] = (),
) -> Receipt:
    """The next revision of the source's receipt. Files, objects and losses come in a fixed order.

    A file that the checkpoint has no hash of gets null.
    `empty_files` are (encoded path, generation) of files that have no bytes, and so no checkpoint.
    Raises BrokenInvariant for a source that the checkpoint does not know (`note_source` comes first).
    """
    known = checkpoint.sources.get(source)
    if known is None:
        raise BrokenInvariant(f"a receipt of source {source}, of which nothing is known")
    files = checkpoint.files.receipt_files(source)
    if empty_files:
        have = {(file.path, file.generation) for file in files}
        files += [_empty(path, generation) for path, generation in set(empty_files) - have]
    return Receipt(
        namespace=known.origin.namespace,
        job=known.origin.job,
        pod=known.origin.pod,
        volume=checkpoint.volume,
        source=source,
        revision=known.revision + 1,
        finished_by=finished_by,
        tombstone=None,
        files=tuple(sorted(files, key=attrgetter("path", "generation"))),
        objects=tuple(sorted(known.objects)),
        losses=tuple(sorted(map(_loss, known.losses), key=_place)),
        first_observed_at=known.first_observed_at,
        last_observed_at=known.last_observed_at,
    )


def says_the_same(standing: Receipt, receipt: Receipt) -> bool:
    """Whether the receipt that stands proves all that the new one would.

    A collector that lost its state, and whose source is gone from the volume, knows no more what
    finished it, which empty files it had, or the hash of what it read before: then what stands says more.
    """
    return (
        _substance(standing.files, standing.files) == _substance(receipt.files, standing.files)
        and (standing.source, standing.volume) == (receipt.source, receipt.volume)
        and (standing.objects, standing.losses) == (receipt.objects, receipt.losses)
    )


def carried(before: Receipt, receipt: Receipt) -> Receipt:
    """`receipt` with what an earlier revision knew of files that are gone from the volume meanwhile: hashes,
    the holes that they ended in, and empty files.
    """
    known = {(file.path, file.generation): file for file in before.files}
    files = [_more_of(known.get((file.path, file.generation)), file) for file in receipt.files]
    have = {(file.path, file.generation) for file in files}
    files += [file for place, file in known.items() if not file.bytes and place not in have]
    return replace(receipt, files=tuple(sorted(files, key=attrgetter("path", "generation"))))


def _more_of(before: ReceiptFile | None, file: ReceiptFile) -> ReceiptFile:
    if before is None or before.bytes != file.bytes or file.sha256 is not None:
        return file
    return before if before.holes[: len(file.holes)] == file.holes else file


def difference(
    receipt: Receipt, volume: str, known: SourceCheckpoint, files: Sequence[FileCheckpoint]
) -> str:
    """What the receipt does not prove of all that is known of the source; empty where it proves it all."""
    if (receipt.volume, receipt.source, receipt.revision) != (volume, known.source, known.revision):
        return "its receipt is another one's"
    proven = {(file.path, file.generation): file for file in receipt.files if file.bytes}
    held = {(at.file.path, at.file.generation): at for at in files if at.bytes}
    if proven.keys() != held.keys():
        return "its receipt lists other files"
    for place, at in held.items():
        file = proven[place]
        if file.bytes != at.bytes or file.holes[: len(at.holes)] != at.holes:
            return "its receipt lists other bytes"
    if set(receipt.losses) != set(map(_loss, known.losses)):
        return "its receipt lists other losses"
    return "" if set(receipt.objects) == set(known.objects) else "its receipt lists other objects"


def _substance(files: Sequence[ReceiptFile], hashes: Sequence[ReceiptFile]) -> list[ReceiptFile]:
    """The files that have bytes; where one has no hash, with that of the same file in `hashes`."""
    known = {(file.path, file.generation): file.sha256 for file in hashes}
    return [
        replace(file, sha256=file.sha256 or known.get((file.path, file.generation)))
        for file in files
        if file.bytes
    ]


def _empty(path: str, generation: int) -> ReceiptFile:
    return ReceiptFile(path=path, generation=generation, bytes=0, lines=0, sha256=_SHA256_OF_NOTHING)


def _loss(loss: Loss) -> ReceiptLoss:
    return ReceiptLoss(
        path=loss.path, generation=loss.generation, start=loss.start, end=loss.end, reason=loss.reason
    )


def _place(loss: ReceiptLoss) -> tuple[str, int, int, int]:
    return loss.path, loss.generation, loss.start, loss.end
