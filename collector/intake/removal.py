"""Deletes what was collected: one file, the tombstone, the directories that are empty then.

A file is looked at through a descriptor right before its name is removed, and once more right after. Whatever
is not exactly what was collected is left. Everything is opened relative to descriptors; no link is followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress

from collector.errors import VolumeError
from collector.intake.discover import DEEPEST_LEVEL, FileSight, Look, SourceDir
from collector.intake.track import TrackedFile, TrackedSource, short_hash
from collector.intake.volume import VANISHED, Volume, close
from collector.model import FileId
from collector.value import value

MOST_TRIED = 200
"""Directories that are looked at before it is said that this user may delete nowhere."""

CHANGED = "a file changed after its receipt"
OTHER_FILE_SYSTEM = "another file system is mounted below it"


@value
class Doomed:
    """A file to be deleted under all its `names` in the source (raw), if it is still what was collected."""

    tracked: TrackedFile
    names: tuple[str, ...]


@value
class Removal:
    """`why` it was left, empty where it was deleted. `descriptor` is of a file that grew while it was
    deleted, to `size` bytes: the caller reads and closes it; else -1.
    """

    why: str = ""
    descriptor: int = -1
    size: int = 0


@value
class Match:
    """What of a source is to be deleted, or `why` nothing is. `left` files have no receipt, and no bytes."""

    doomed: tuple[Doomed, ...] = ()
    left: int = 0
    why: str = ""


def expect_deletable(volume: Volume, sources: Sequence[SourceDir], *, in_root: bool) -> None:
    """Raises VolumeError where nothing can be deleted. `in_root`: sources stand directly in the root."""
    what = ""
    try:
        if volume.is_read_only():
            what = "it is mounted read-only"
        elif in_root and not volume.may_change(()):
            what = "this user may not delete in it"
        elif sources and not any(may_delete(volume, each) for each in sources[:MOST_TRIED]):
            what = "this user may not delete in its directories"
    except OSError as error:
        what = os.strerror(error.errno or 0)
    if what:
        raise VolumeError(
            f"volume {volume.path}: retention is configured, but {what}",
            hint="mount it writable, for a user that may delete what Jobs write, or leave `retention` out",
        )


def may_delete(volume: Volume, directory: SourceDir) -> bool:
    """Whether this process may delete what stands directly in the directory."""
    try:
        return volume.may_change(directory.parts)
    except OSError as error:
        return error.errno in VANISHED  # one that is gone proves nothing


def length_of(tracked: TrackedFile) -> int:
    """The length of the file of which all is read; the hole that it may end in counts."""
    return max(tracked.read_offset, tracked.hole_end)


def match(source: TrackedSource, look: Look, device: int, receipted: frozenset[FileId]) -> Match:
    """Whether the source holds what its receipt says, and nothing else that has bytes.

    `device` is that of the source's directory. Two names of one file are one file.
    """
    if look.unreadable:
        return Match(why="part of it cannot be read")
    known = {(tracked.device, tracked.inode): tracked for tracked in source.files.values()}
    names: dict[TrackedFile, list[str]] = {}
    left = 0
    for sight in look.files:
        tracked = known.get((sight.device, sight.inode))
        if sight.device != device:
            return Match(why=OTHER_FILE_SYSTEM)
        if not sight.size and (tracked is None or tracked.file not in receipted):
            left += 1
        elif tracked is None or tracked.file not in receipted:
            return Match(why="a file came after its receipt")
        elif not _is_unchanged(tracked, sight):
            return Match(why=CHANGED)
        else:
            names.setdefault(tracked, []).append(sight.name)
    return Match(tuple(Doomed(tracked, tuple(each)) for tracked, each in names.items()), left)


def _is_unchanged(tracked: TrackedFile, sight: FileSight) -> bool:
    is_whole = tracked.read_offset >= tracked.size and tracked.committed_offset >= tracked.taken_offset
    return is_whole and (sight.size, sight.mtime_ns) == (length_of(tracked), tracked.mtime_ns)


def times_of(source: TrackedSource) -> frozenset[tuple[FileId, int | None]]:
    """When each file of the source was last written to, as the last look saw it."""
    return frozenset((tracked.file, tracked.mtime_ns) for tracked in source.files.values())


def device_of(volume: Volume, directory: SourceDir) -> int:
    """Raises OSError."""
    descriptor = volume.open_directory(directory.parts)
    try:
        return os.fstat(descriptor).st_dev
    finally:
        close(descriptor)


def remove(volume: Volume, directory: SourceDir, doomed: Doomed) -> Removal:
    """Deletes one file, unless it changed. Raises OSError."""
    places = [(*directory.parts, *name.split("/")) for name in doomed.names]
    tracked = doomed.tracked
    descriptor = volume.open_file(places[0])
    size = -1
    try:
        if not _is_as_read(descriptor, tracked):
            return Removal(why=CHANGED)
        for parts in places:
            volume.unlink(parts, tracked.device, tracked.inode)
        size = os.fstat(descriptor).st_size
    finally:
        if size <= length_of(tracked):
            close(descriptor)
    if size > length_of(tracked):
        return Removal(descriptor=descriptor, size=size)
    return Removal()


def _is_as_read(descriptor: int, tracked: TrackedFile) -> bool:
    """Whether this is the file that was read, of this length, not written to since, by the same evidence."""
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) != (tracked.device, tracked.inode):
        return False
    if (status.st_size, status.st_mtime_ns) != (length_of(tracked), tracked.mtime_ns):
        return False
    head = os.pread(descriptor, tracked.head_bytes, 0)
    tail = os.pread(descriptor, tracked.tail_bytes, tracked.read_offset - tracked.tail_bytes)
    return (short_hash(head), short_hash(tail)) == (tracked.head_hash, tracked.tail_hash)


def remove_tombstone(volume: Volume, directory: SourceDir, name: str) -> None:
    """Removes the tombstone, if a regular file has that name. Raises OSError."""
    parts = (*directory.parts, name)
    with suppress(FileNotFoundError):
        descriptor = volume.open_file(parts)
        try:
            status = os.fstat(descriptor)
        finally:
            close(descriptor)
        volume.unlink(parts, status.st_dev, status.st_ino)


def remove_directories(volume: Volume, directory: SourceDir) -> Iterator[bool]:
    """Removes the source's directories as far as they are empty, the deepest first; a step for each. The last
    step says whether the source's own is gone. Raises OSError.
    """
    for parts in reversed(_directories(volume, directory.parts, device_of(volume, directory))):
        yield volume.rmdir(parts)


def _directories(volume: Volume, top: tuple[str, ...], device: int) -> list[tuple[str, ...]]:
    """The directory and those below it on the same file system, each before those in it."""
    found = [top]
    for parts in found:
        if len(parts) - len(top) > DEEPEST_LEVEL:
            continue
        try:
            descriptor = volume.open_directory(parts)
        except OSError as error:
            if error.errno not in VANISHED:
                raise
            continue
        try:
            if os.fstat(descriptor).st_dev == device:
                with os.scandir(descriptor) as entries:
                    found += [(*parts, each.name) for each in entries if each.is_dir(follow_symlinks=False)]
        finally:
            close(descriptor)
    return found


def is_empty_of_files(volume: Volume, directory: SourceDir) -> bool:
    """Whether nothing but directories stands directly in it. Raises OSError."""
    descriptor = volume.open_directory(directory.parts)
    try:
        with os.scandir(descriptor) as entries:
            return all(stat.S_ISDIR(each.stat(follow_symlinks=False).st_mode) for each in entries)
    finally:
        close(descriptor)
