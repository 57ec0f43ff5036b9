"""A volume's files, opened so that nobody who can write to it can lead the collector out of it.

Every path component is opened relative to the descriptor of the one before it, and no symbolic link
is followed, so that a directory swapped for a link between look and open is refused by the kernel.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from collector.errors import VolumeError

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO that nobody writes to would wait for ever.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

VANISHED = frozenset({errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
"""Errors that say: what was there a moment ago is not there now. Ordinary on a volume others write to."""

LEFT = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY})
"""Errors that say: this directory is not empty, or something is mounted on it."""

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors that say something of this process or machine, and nothing of what was asked for."""


class Volume:
    """The root directory, held by descriptor between `refresh`es. Used by one thread."""

    def __init__(self, path: Path) -> None:
        """Raises VolumeError where `path` is no directory that can be read."""
        self.path = path
        self._root = -1
        self._near: tuple[str, int] | None = None
        """The directory that a file was last opened in by `open_near`."""
        self.device = 0
        try:
            self.refresh()
        except OSError as error:
            raise VolumeError(
                f"volume {path}: {os.strerror(error.errno or 0)}",
                hint="is it mounted, and may this user read it?",
            ) from None

    def refresh(self) -> None:
        """Opens the root anew: the volume may have been mounted again. Raises OSError."""
        root = os.open(self.path, DIRECTORY)
        self.close()
        self._root = root
        self.device = os.fstat(root).st_dev

    def close(self) -> None:
        self.leave()
        if self._root >= 0:
            close(self._root)
            self._root = -1

    def open_directory(self, parts: Sequence[str]) -> int:
        """A descriptor of the directory; the caller closes it. Raises OSError."""
        if not parts:
            return os.dup(self._root)
        descriptor = os.open(parts[0], DIRECTORY | os.O_NOFOLLOW, dir_fd=self._root)
        for part in parts[1:]:
            try:
                below = os.open(part, DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            finally:
                close(descriptor)
            descriptor = below
        return descriptor

    def status(self, path: str) -> os.stat_result | None:
        """What has this name below the root now; None where nothing has. Opens nothing. Raises OSError.

        A link in the middle is followed, to tell no more than that something else has the name.
        """
        try:
            return os.stat(path or ".", dir_fd=self._root, follow_symlinks=False)
        except OSError as error:
            if error.errno not in VANISHED:
                raise
            return None

    def open_file(self, parts: Sequence[str]) -> int:
        """A descriptor of a regular file; the caller closes it. Raises OSError, ENXIO for other kinds."""
        directory = self.open_directory(parts[:-1])
        try:
            return self.open_within(directory, parts[-1])[0]
        finally:
            close(directory)

    def open_near(self, path: str) -> tuple[int, os.stat_result]:
        """As `open_file` of a path, and what the file is. The directory that it is in stays open for the next
        one, which is often its neighbour, until `leave`: whoever opens a number of files leaves when they are
        done.
        """
        directory, _, name = path.rpartition("/")
        if self._near is None or self._near[0] != directory:
            self.leave()
            self._near = directory, self.open_directory(directory.split("/") if directory else ())
        return self.open_within(self._near[1], name)

    def leave(self) -> None:
        """Closes the directory that `open_near` kept: its name may lead to another one soon."""
        if self._near is not None:
            close(self._near[1])
            self._near = None

    def open_within(self, directory: int, name: str) -> tuple[int, os.stat_result]:
        """A descriptor of a regular file in a directory that is open, and what the file is; the caller closes
        it. Raises OSError, ENXIO for other kinds.
        """
        descriptor = os.open(name, FILE, dir_fd=directory)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.ENXIO, "not a regular file")
        except OSError:
            close(descriptor)
            raise
        return descriptor, status

    def unlink(self, parts: Sequence[str], device: int, inode: int) -> None:
        """Removes the name of this regular file. Raises OSError, ESTALE where it leads to another one."""
        directory = self.open_directory(parts[:-1])
        try:
            status = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
            is_it = (status.st_dev, status.st_ino) == (device, inode)
            if not (is_it and stat.S_ISREG(status.st_mode)):
                raise OSError(errno.ESTALE, "another file has its name")
            os.unlink(parts[-1], dir_fd=directory)
        finally:
            close(directory)

    def rmdir(self, parts: Sequence[str]) -> bool:
        """Removes an empty directory; false where it is not empty, or another file system is mounted there.
        Raises OSError.
        """
        parent = self.open_directory(parts[:-1])
        try:
            os.rmdir(parts[-1], dir_fd=parent)
        except OSError as error:
            if error.errno not in LEFT:
                raise
            return False
        finally:
            close(parent)
        return True

    def space(self) -> tuple[int, int]:
        """Total and free bytes of the file system, as a user who is not root may fill it. Raises OSError."""
        told = os.fstatvfs(self._root)
        return told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize

    def is_read_only(self) -> bool:
        return bool(os.fstatvfs(self._root).f_flag & os.ST_RDONLY)

    def may_change(self, parts: Sequence[str]) -> bool:
        """Whether this process may remove entries of the directory. Raises OSError."""
        directory = self.open_directory(parts)
        try:
            return os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True)
        finally:
            close(directory)


def close(descriptor: int) -> None:
    """Closes a descriptor that was only read from. On network file systems close may say that the file
    vanished (ESTALE): by then there is nothing left to lose.
    """
    try:  # noqa: SIM105 - `suppress` takes longer than the close
        os.close(descriptor)
    except OSError:
        pass
