"""A volume's files, opened so that nobody who can write to it can lead the collector out of it.

Every path component is opened relative to the descriptor of the one before it, and no symbolic link
is followed, so that a directory swapped for a link between look and open is refused by the kernel.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from collector.errors import VolumeError

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO that nobody writes to would wait for ever.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

VANISHED = frozenset({errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
"""Errors that say: what was there a moment ago is not there now. Ordinary on a volume others write to."""


class Volume:
    """The root directory, held by descriptor between `refresh`es. Used by one thread."""

    def __init__(self, path: Path) -> None:
        """Raises VolumeError where `path` is no directory that can be read."""
        self.path = path
        self._root = -1
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

    def open_file(self, parts: Sequence[str]) -> int:
        """A descriptor of a regular file; the caller closes it. Raises OSError, ENXIO for other kinds."""
        directory = self.open_directory(parts[:-1])
        try:
            descriptor = os.open(parts[-1], FILE, dir_fd=directory)
        finally:
            close(directory)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.ENXIO, "not a regular file")
        except OSError:
            close(descriptor)
            raise
        return descriptor


def close(descriptor: int) -> None:
    """Closes a descriptor that was only read from. On network file systems close may say that the file
    vanished (ESTALE): by then there is nothing left to lose.
    """
    with suppress(OSError):
        os.close(descriptor)
