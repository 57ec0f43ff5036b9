"""Reads again what was committed of a file, for the hash of all of it."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace

from collector.intake.names import decode_name
from collector.intake.track import short_hash
from collector.intake.volume import Volume, close
from collector.model import FileCheckpoint, ReceiptFile


def hashed(volume: Volume, directory: tuple[str, ...], at: FileCheckpoint, file: ReceiptFile) -> ReceiptFile:
    """`file` with the hash of its data as the volume has it; unchanged where that is gone, or unreadable."""
    if at is None:
        return file
    try:
        descriptor = volume.open_file((*directory, *decode_name(at.name).split("/")))
    except OSError:
        return file
    try:
        return replace(file, sha256=data_sha256(descriptor, at) if _is_still_there(descriptor, at) else None)
    except OSError:
        return file
    finally:
        close(descriptor)


def _is_still_there(descriptor: int, at: FileCheckpoint) -> bool:
    """Whether the file holds what was committed. Its name may lead to another one by now."""
    known = at.evidence
    head = os.pread(descriptor, known.head_bytes, 0)
    tail = os.pread(descriptor, known.tail_bytes, at.offset - known.tail_bytes)
    return (short_hash(head).hex(), short_hash(tail).hex()) == (known.head_hash, known.tail_hash)


def data_sha256(descriptor: int, at: FileCheckpoint) -> str:
    """Of all that was committed, holes left out."""
    digest = hashlib.sha256()
    start = 0
    for hole_start, hole_end in (*at.holes, (at.offset, at.offset)):
        _update(digest, descriptor, start, hole_start)
        start = hole_end
    return digest.hexdigest()


def _update(digest: hashlib._Hash, descriptor: int, start: int, end: int) -> None:
    while start < end:
        data = os.pread(descriptor, min(1 << 20, end - start), start)
        if not data:
            raise OSError(errno.ESTALE, "truncated while it was read")
        digest.update(data)
        start += len(data)
