"""Durable writes, and the edge where the operating system's errors become StateError."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.errors import StateError

_HINTS = {
    errno.EACCES: "make the state folder writable for this user, or name another with --state",
    errno.EPERM: "make the state folder writable for this user, or name another with --state",
    errno.EROFS: "mount it writable, or name another state folder with --state",
    errno.ENOSPC: "free some space there, or name another state folder with --state",
    errno.EDQUOT: "raise the quota, or name another state folder with --state",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or lower limits.open_files",
    errno.EIO: "check the disk; a state folder elsewhere is rebuilt from the destination",
    errno.ENOENT: "it is created at the next start and rebuilt from the destination",
    errno.ENOTDIR: "name a folder with --state",
    errno.EEXIST: "name a folder with --state",
    errno.ENOLCK: "name a state folder with --state on a file system that has locks",
}


@contextmanager
def state_errors(path: Path) -> Iterator[None]:
    """Turns each OSError into a StateError that names the path and says what to do."""
    try:
        yield
    except OSError as error:
        place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(path)
        why = os.strerror(error.errno) if error.errno else str(error)
        hint = _HINTS.get(error.errno or 0, "name another state folder with --state")
        raise StateError(f"state folder: {place}: {why}", hint=hint) from None


def write_whole(path: Path, lines: Iterable[bytes]) -> None:
    """Puts a new content under `path`: after a crash there is the old one or the new one, whole."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def expect_in_place(fd: int, path: Path) -> None:
    """Raises StateError where `path` does not lead to the open file any more: nobody would find it again."""
    mine = os.fstat(fd)
    try:
        there = path.stat()
    except FileNotFoundError:
        there = None
    if there is None or (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
        raise StateError(
            f"{path} was {'replaced' if there else 'deleted'} while it was in use",
            hint="start joblog again: what is missing is rebuilt from the destination",
        )


def size_bytes(path: Path) -> int:
    """0 where the file is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
