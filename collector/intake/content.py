"""Reads evidence back from the volume: does this file still start, and go on, as it did?

What cannot be read cannot be told: then OSError is raised, and nothing is decided.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace

from collector.intake.discover import FileSight
from collector.intake.holes import next_data
from collector.intake.track import HEAD_BYTES, TrackedFile, TrackedSource, short_hash
from collector.intake.volume import VANISHED, Volume, close

LARGEST_PREFIX_BYTES = 256 << 20
"""Up to this size a copy is compared as a whole, beyond it by head and tail."""


class Asked:
    """Whether a file that was seen holds what was read of a known one. It is read at most once, and only
    where somebody wants to know.
    """

    __slots__ = ("_answer", "_known", "_sight", "_volume")

    def __init__(self, volume: Volume, known: TrackedFile, sight: FileSight) -> None:
        self._volume, self._known, self._sight = volume, known, sight
        self._answer: bool | None = None

    def __call__(self) -> bool:
        """Raises OSError where it cannot be told."""
        if self._answer is None:
            self._answer = same_content(self._volume, self._known, self._sight)
        return self._answer


def up_to_holes(volume: Volume, source: TrackedSource, sights: Sequence[FileSight]) -> Sequence[FileSight]:
    """The sights; but a file of which nothing but a hole is left to read is as long as was read."""
    if not any(sight.sparse for sight in sights):
        return sights
    files = (*source.past, *source.gone, *source.files.values())
    known = {(tracked.device, tracked.inode): tracked for tracked in files}
    return [
        _up_to_hole(volume, source, sight, known.get((sight.device, sight.inode))) if sight.sparse else sight
        for sight in sights
    ]


def _up_to_hole(
    volume: Volume, source: TrackedSource, sight: FileSight, tracked: TrackedFile | None
) -> FileSight:
    start = tracked.read_offset if tracked else 0
    if sight.size <= start:
        return sight
    if tracked and (tracked.hole_end, tracked.mtime_ns) == (sight.size, sight.mtime_ns):
        return replace(sight, size=start, hole_end=sight.size)
    try:
        descriptor = _open_seen(volume, source, sight)
        try:
            is_hole = next_data(descriptor, start, sight.size)[0] == sight.size
        finally:
            close(descriptor)
    except OSError:
        return sight  # the reader will say why it cannot be read
    return replace(sight, size=start, hole_end=sight.size) if is_hole else sight


def is_there(volume: Volume, tracked: TrackedFile) -> bool:
    """Whether the file's name still leads to it, or may do so."""
    try:
        descriptor = _open(volume, tracked.source, tracked.name)
    except OSError as error:
        return error.errno not in VANISHED
    try:
        status = os.fstat(descriptor)
    except OSError as error:
        return error.errno not in VANISHED
    finally:
        close(descriptor)
    return (status.st_dev, status.st_ino) == (tracked.device, tracked.inode)


def same_content(volume: Volume, tracked: TrackedFile, sight: FileSight | TrackedFile) -> bool:
    """Whether the file that was seen holds what was read of `tracked`: head and tail are compared.

    False where nothing was read: there is no evidence.
    """
    if tracked.read_offset == 0:
        return False
    descriptor = _open_seen(volume, tracked.source, sight)
    try:
        head = _read(descriptor, tracked.head_bytes, 0)
        tail_at = tracked.read_offset - tracked.tail_bytes
        is_all = tracked.read_offset <= len(head)
        tail = (
            head[tail_at : tracked.read_offset] if is_all else _read(descriptor, tracked.tail_bytes, tail_at)
        )
    finally:
        close(descriptor)
    return short_hash(head) == tracked.head_hash and short_hash(tail) == tracked.tail_hash


def still_holds(volume: Volume, tracked: TrackedFile) -> bool:
    """Whether the file holds what was read of it, under its name; or may do so."""
    try:
        return same_content(volume, tracked, tracked)
    except OSError as error:
        return error.errno not in VANISHED


def same_prefix(volume: Volume, tracked: TrackedFile, sight: FileSight) -> bool:
    """Whether the file that was seen is a copy of all that was read of `tracked`. Compares every byte where
    the hash of all of them is at hand (not where holes were skipped) and they are few enough; else head
    and tail.
    """
    if not same_content(volume, tracked, sight):
        return False
    if tracked.prefix is None or tracked.has_holes or tracked.read_offset > LARGEST_PREFIX_BYTES:
        return True
    return _prefix_of(volume, tracked, sight).digest() == tracked.prefix.digest()


def holds_all_of(volume: Volume, tracked: TrackedFile, sight: FileSight) -> bool:
    """Whether the file that was seen holds each byte that was read of `tracked`, its first ones. False where
    that cannot be told: no hash of all of them is at hand, they are too many, or the file cannot be read.
    """
    known = tracked.prefix.digest() if tracked.prefix is not None else tracked.restored_sha256
    is_likely = 0 < tracked.read_offset <= min(sight.size, LARGEST_PREFIX_BYTES)
    if not known or tracked.has_holes or not is_likely:
        return False
    try:
        digest = _prefix_of(volume, tracked, sight)
    except OSError:
        return False
    if digest.digest() != known:
        return False
    tracked.prefix = tracked.prefix or digest  # so it can be told next time too, when more was read
    return True


def same_so_far(volume: Volume, original: TrackedFile, sight: FileSight) -> bool:
    """Whether the file that was seen begins and ends as `original`, which is longer, does so far."""
    copy = _open_seen(volume, original.source, sight)
    try:
        first = _open_seen(volume, original.source, original)
        try:
            length = min(HEAD_BYTES, sight.size)
            places = (0, sight.size - length)
            return all(_read(copy, length, at) == _read(first, length, at) for at in places)
        finally:
            close(first)
    finally:
        close(copy)


def starts_with_unread(volume: Volume, tracked: TrackedFile, sight: FileSight) -> bool:
    """Whether the file that was seen starts with all that is in one of which nothing was read, and that only
    its descriptor still leads to. Raises OSError.
    """
    if tracked.read_offset or tracked.descriptor < 0:
        return False
    length = os.fstat(tracked.descriptor).st_size
    if not 0 < length <= min(sight.size, LARGEST_PREFIX_BYTES):
        return False
    descriptor = _open_seen(volume, tracked.source, sight)
    try:
        return _hash(descriptor, length).digest() == _hash(tracked.descriptor, length).digest()
    finally:
        close(descriptor)


def starts_alike(volume: Volume, tracked: TrackedFile, sight: FileSight) -> bool:
    """Whether the file that was seen starts as `tracked` did; True where it is too short to tell."""
    if sight.size < tracked.head_bytes:
        return True
    descriptor = _open_seen(volume, tracked.source, sight)
    try:
        return short_hash(_read(descriptor, tracked.head_bytes, 0)) == tracked.head_hash
    finally:
        close(descriptor)


def _prefix_of(volume: Volume, tracked: TrackedFile, sight: FileSight) -> hashlib._Hash:
    """The hash of as many bytes of the file that was seen as were read of `tracked`."""
    descriptor = _open_seen(volume, tracked.source, sight)
    try:
        return _hash(descriptor, tracked.read_offset)
    finally:
        close(descriptor)


def _hash(descriptor: int, length: int) -> hashlib._Hash:
    digest = hashlib.sha256()
    position = 0
    while position < length:
        data = _read(descriptor, min(1 << 20, length - position), position)
        digest.update(data)
        position += len(data)
    return digest


def _read(descriptor: int, length: int, offset: int) -> bytes:
    """Exactly so many bytes. A file that was that long a moment ago, and is not, is being cut: what it held
    says nothing then, and the next look will see it.
    """
    data = os.pread(descriptor, length, offset)
    if len(data) < length:
        raise OSError(errno.ESTALE, "it is being cut")
    return data


def _open_seen(volume: Volume, source: TrackedSource, seen: FileSight | TrackedFile) -> int:
    """Opens what was seen, as long as it was, and nothing that has its name by now."""
    descriptor, status = volume.open_near(source.directory.below(seen.name))
    is_it = status.st_ino == seen.inode and status.st_dev == seen.device and status.st_size >= seen.size
    if not is_it:
        close(descriptor)
        raise OSError(errno.ESTALE, "it is another file by now")
    return descriptor


def _open(volume: Volume, source: TrackedSource, name: str) -> int:
    return volume.open_file(source.directory.below(name).split("/"))
