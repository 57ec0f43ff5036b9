"""Reads evidence back from the volume: does this file still start, and go on, as it did?"""

from __future__ import annotations

import hashlib
import os

from collector.intake.track import TrackedFile, short_hash
from collector.intake.volume import Volume, close

LARGEST_PREFIX_BYTES = 256 << 20
"""Up to this size a copy is compared as a whole, beyond it by head and tail."""


def is_there(volume: Volume, tracked: TrackedFile) -> bool:
    """Whether the file's name still leads to it."""
    descriptor = _open(volume, tracked, tracked.name)
    if descriptor < 0:
        return False
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    finally:
        close(descriptor)
    return (status.st_dev, status.st_ino) == (tracked.device, tracked.inode)


def same_content(volume: Volume, tracked: TrackedFile, name: str) -> bool:
    """Whether the file now called `name` holds what was read of `tracked`: head and tail are compared.

    False where it is gone, or cannot be read. False too where nothing was read: there is no evidence.
    """
    if tracked.read_offset == 0:
        return False
    descriptor = _open(volume, tracked, name)
    if descriptor < 0:
        return False
    try:
        head = os.pread(descriptor, tracked.head_bytes, 0)
        tail = os.pread(descriptor, tracked.tail_bytes, tracked.read_offset - tracked.tail_bytes)
    except OSError:
        return False
    finally:
        close(descriptor)
    return short_hash(head) == tracked.head_hash and short_hash(tail) == tracked.tail_hash


def same_prefix(volume: Volume, tracked: TrackedFile, name: str) -> bool:
    """Whether `name` is a copy of all that was read of `tracked`. Compares every byte where the hash of
    all of them is at hand and they are few enough; else head and tail.
    """
    if not same_content(volume, tracked, name):
        return False
    if tracked.prefix is None or tracked.read_offset > LARGEST_PREFIX_BYTES:
        return True
    descriptor = _open(volume, tracked, name)
    if descriptor < 0:
        return False
    try:
        return _hash(descriptor, tracked.read_offset) == tracked.prefix.hexdigest()
    except OSError:
        return False
    finally:
        close(descriptor)


def same_head(volume: Volume, tracked: TrackedFile, name: str, size: int) -> bool:
    """Whether the file `name` of `size` bytes starts like `tracked`, as far as both go."""
    descriptor = _open(volume, tracked, name)
    if descriptor < 0:
        return False
    try:
        length = min(size, tracked.head_bytes)
        head = os.pread(descriptor, length, 0)
        if length == tracked.head_bytes:
            return short_hash(head) == tracked.head_hash
        original = _open(volume, tracked, tracked.name)
        if original < 0:
            return False
        try:
            return head == os.pread(original, length, 0)
        finally:
            close(original)
    except OSError:
        return False
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
    """A descriptor, or -1 where there is no such file any more or it cannot be opened."""
    try:
        return volume.open_file((*tracked.source.directory.parts, *name.split("/")))
    except OSError:
        return -1
