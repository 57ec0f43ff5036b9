"""Descriptors of the files that are read: at most so many at once, the longest unused one is closed first."""

from __future__ import annotations

import os
import resource
from collections import OrderedDict
from collections.abc import Iterable

from collector.intake.track import TrackedFile
from collector.intake.volume import EXHAUSTED, Volume, close

AHEAD_BYTES = 64 << 10
"""So much of each file is asked for before it is read: what follows, the system reads ahead by itself."""


class OpenFiles:
    """A file that is open here has its descriptor in `TrackedFile.descriptor`."""

    def __init__(self, volume: Volume, most: int) -> None:
        self._volume = volume
        self._most = most
        self._open: OrderedDict[TrackedFile, None] = OrderedDict()
        self._just_opened: dict[TrackedFile, os.stat_result] = {}
        """Files that `ahead` opened and nobody asked for yet, with what they were then."""
        self._blocks_read = 0
        self._waits_for_disk = True
        """Whether something was not in memory in the last round; before the first one, that may be so."""

    def __len__(self) -> int:
        return len(self._open)

    def close(self) -> None:
        for tracked in list(self._open):
            self.release(tracked)

    def release(self, tracked: TrackedFile) -> None:
        """Closes the file's descriptor, if it has one."""
        if tracked in self._open:
            del self._open[tracked]
            self._just_opened.pop(tracked, None)
            close(tracked.descriptor)
            tracked.descriptor = -1

    def adopt(self, tracked: TrackedFile, descriptor: int) -> None:
        """Reads the file through this descriptor, and closes it when it is done."""
        self.release(tracked)
        tracked.descriptor = descriptor
        self._open[tracked] = None

    def ahead(self, files: Iterable[TrackedFile]) -> None:
        """Where files are not in memory, opens those of which nothing was read yet, and lets the system begin
        to read them all: a disk has many at once far sooner than one after the other. They are asked for
        next, by `opened`, which tells what is wrong with those that cannot be read.
        """
        if not self._waits_for_disk:
            return
        for tracked in files:
            if tracked.descriptor >= 0 or tracked.read_offset or tracked.gone:
                continue
            if tracked.failures or tracked.retry_at:
                continue  # it is tried again when it is its time
            try:  # noqa: SIM105 - `suppress` takes as long as the rest
                self._open_ahead(tracked)
            except OSError:
                pass

    def leave(self) -> None:
        """Ends a round of reading: what was opened ahead and not asked for may be another file then."""
        self._just_opened.clear()
        before, self._blocks_read = self._blocks_read, _blocks_read()
        self._waits_for_disk = self._blocks_read > before

    def _open_ahead(self, tracked: TrackedFile) -> None:
        status = self.opened(tracked)
        if status is not None:
            length = min(status.st_size, AHEAD_BYTES)
            os.posix_fadvise(tracked.descriptor, 0, length, os.POSIX_FADV_WILLNEED)
            self._just_opened[tracked] = status

    def opened(self, tracked: TrackedFile) -> os.stat_result | None:
        """What the file is now, opened unless it is. None where its name leads to another. Raises OSError."""
        if tracked.descriptor >= 0:
            self._open.move_to_end(tracked)
            return self._just_opened.pop(tracked, None) or os.fstat(tracked.descriptor)
        while len(self._open) >= self._most:
            self.release(self._oldest() or next(iter(self._open)))
        descriptor, status = self._open_file(tracked)
        if status.st_ino != tracked.inode or status.st_dev != tracked.device:
            close(descriptor)
            return None
        tracked.descriptor = descriptor
        self._open[tracked] = None
        return status

    def _open_file(self, tracked: TrackedFile) -> tuple[int, os.stat_result]:
        """Where no more files may be open, closes others of its own first."""
        while True:
            try:
                return self._volume.open_near(tracked.source.directory.below(tracked.name))
            except OSError as error:
                oldest = self._oldest()
                if error.errno not in EXHAUSTED or oldest is None:
                    raise
            self.release(oldest)

    def _oldest(self) -> TrackedFile | None:
        """The longest unused one that can be opened again."""
        for known in self._open:
            if not known.gone:
                return known
        return None


def _blocks_read() -> int:
    """How much this thread has made the system read from disks."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock
