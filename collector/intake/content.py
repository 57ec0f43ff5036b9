"""Reads evidence back from the volume: does this file still start, and go on, as it did?

What cannot be read cannot be told: then OSError is raised, and nothing is decided.
"""

from __future__ import annotations

import hashlib
import os

from collector.intake.track import HEAD_BYTES, TrackedFile, short_hash
from collector.intake.volume import VANISHED, Volume, close

LARGEST_PREFIX_BYTES = 256 << 20
"""Up to this size a copy is compared as a whole, beyond it by head and tail."""


def is_there(volume: Volume, tracked: TrackedFile) -> bool:
    """Whether the file's name still leads to it, or may do so."""
    try:
        descriptor = _open(volume, tracked, tracked.name)
    except OSError as error:
        return error.errno not in VANISHED
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    finally:
        close(descriptor)
    return (status.st_dev, status.st_ino) == (tracked.device, tracked.inode)


def same_content(volume: Volume, tracked: TrackedFile, name: str) -> bool:
    """Whether the file now called `name` holds what was read of `tracked`: head and tail are compared.

    False where nothing was read: there is no evidence.
    """
    if tracked.read_offset == 0:
        return False
    descriptor = _open(volume, tracked, name)
    try:
        head = os.pread(descriptor, tracked.head_bytes, 0)
        tail = os.pread(descriptor, tracked.tail_bytes, tracked.read_offset - tracked.tail_bytes)
    finally:
        close(descriptor)
    return short_hash(head) == tracked.head_hash and short_hash(tail) == tracked.tail_hash


def same_prefix(volume: Volume, tracked: TrackedFile, name: str) -> bool:
    """Whether `name` is a copy of all that was read of `tracked`. Compares every byte where the hash of
    all of them is at hand (not where holes were skipped) and they are few enough; else head and tail.
    """
    if not same_content(volume, tracked, name):
        return False
    if tracked.prefix is None or tracked.has_holes or tracked.read_offset > LARGEST_PREFIX_BYTES:
        return True
    descriptor = _open(volume, tracked, name)
    try:
        return _hash(descriptor, tracked.read_offset) == tracked.prefix.hexdigest()
    finally:
        close(descriptor)


def same_so_far(volume: Volume, original: TrackedFile, name: str, size: int) -> bool:
    """Whether the first and the last of the `size` bytes of the file `name` are those of `original` there.

    True also where `original` is no longer that long: what it was cannot be seen any more.
    """
    copy = _open(volume, original, name)
    try:
        first = _open(volume, original, original.name)
        try:
            if os.fstat(first).st_size < size:
                return True
            length = min(HEAD_BYTES, size)
            return all(os.pread(copy, length, at) == os.pread(first, length, at) for at in (0, size - length))
        finally:
            close(first)
    finally:
        close(copy)


def starts_alike(volume: Volume, tracked: TrackedFile, name: str, size: int) -> bool:
    """Whether the file `name` of `size` bytes starts as `tracked` did; True where it is too short to tell."""
    if size < tracked.head_bytes:
        return True
    descriptor = _open(volume, tracked, name)
    try:
        return short_hash(os.pread(descriptor, tracked.head_bytes, 0)) == tracked.head_hash
    finally:
        close(descriptor)


def _hash(descriptor: int, length: int) -> str:
    digest = hashlib.sha256()
    position = 0
    while position < length:
        data = os.pread(descriptor, min(1 << 20, length - position), position)
        if not data:
            break
        digest.update(data)
        position += len(data)
    return digest.hexdigest()


def _open(volume: Volume, tracked: TrackedFile, name: str) -> int:
    return volume.open_file((*tracked.source.directory.parts, *name.split("/")))
