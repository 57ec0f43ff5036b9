"""Makes the names in a folder durable, for many threads at once: one fsync serves all who wait for it."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path


class _Round:
    """One fsync, and those who wait for it. The first of them makes it."""

    __slots__ = ("done", "is_led", "succeeded")

    def __init__(self) -> None:
        self.is_led = self.succeeded = False
        self.done = threading.Event()


class FolderSync:
    """Of one folder. Whoever calls while an fsync is under way needs the next one, since the running one may
    have begun before the caller's name was there.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._running: _Round | None = None
        self._next = _Round()

    def __call__(self) -> None:
        """Returns when every name that stood in the folder before the call is durable. Raises OSError: then
        the others try for themselves.
        """
        succeeded = False
        while not succeeded:
            with self._lock:
                mine, running = self._next, self._running
                leads, mine.is_led = not mine.is_led, True
            if leads:
                self._make(mine, after=running)
            else:
                mine.done.wait()
            succeeded = mine.succeeded

    def _make(self, mine: _Round, *, after: _Round | None) -> None:
        try:
            if after is not None:
                after.done.wait()
            with self._lock:
                self._running, self._next = mine, _Round()
            fsync_folder(self._folder)
            mine.succeeded = True
        finally:
            with self._lock:
                if self._next is mine:  # interrupted while it waited
                    self._next = _Round()
            mine.done.set()


def fsync_folder(folder: str | Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # File systems that know no fsync of folders (CIFS, some in user space) say so like this.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
