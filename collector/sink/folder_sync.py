"""Makes the names in a folder durable, for many threads at once: one fsync serves all who wait for it."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path


class FolderSync:
    """Of one folder. Whoever calls while an fsync is under way needs the next one, since the running one may
    have begun before the caller's name was there; of all who wait for it, one makes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed = threading.Condition()
        self._running = False
        self._begun = self._done = 0

    def __call__(self) -> None:
        """Returns when every name that stood in the folder before the call is durable. Raises OSError: then
        the others try for themselves.
        """
        with self._changed:
            wanted = self._begun + 1
            while self._done < wanted:
                if self._running:
                    self._changed.wait()
                else:
                    self._make()

    def _make(self) -> None:
        self._running = True
        self._begun += 1
        number = self._begun
        self._changed.release()
        try:
            fsync_folder(self._folder)
        except BaseException:
            number = 0
            raise
        finally:
            self._changed.acquire()
            self._done = max(self._done, number)
            self._running = False
            self._changed.notify_all()


def fsync_folder(folder: Path) -> None:
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
