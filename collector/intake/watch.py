"""Notification as a hint: where to look now. Nothing depends on it; the scan finds the same, only later.

inotify sees nothing of what another node writes to a network file system, and its queue overflows, so
it is used only on local file systems. An event moves a source to the front; of a file that was just
created it opens a descriptor, because by the time of the next look it may have been deleted.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from watchdog.observers.inotify_c import (
    DEFAULT_EVENT_BUFFER_SIZE,
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from collector.events import Emit, WatchLimited
from collector.intake.volume import Volume, close

Parts = tuple[str, ...]
"""Raw names of directories below the volume."""

# Opening, reading and closing files, as the collector itself does, makes no events.
EVENTS = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
)

MOST_OPENED = 512
"""Files that are open before anybody asked for them; of further ones only the name is told."""

MOST_FRESH = 4096
"""Files whose first bytes are waited for, and told without delay."""

REST_SECONDS = 0.005
"""So long a new file may wait to be told of beside others that grow."""

_LIMITS = {
    errno.ENOSPC: "fs.inotify.max_user_watches",
    errno.EMFILE: "fs.inotify.max_user_instances",
}


@dataclass(slots=True)
class Hints:
    """What happened since the last call.

    `entries`: directories in which something came or went. `bytes`: files that were written to, by directory
    and name. `opened`: descriptors of files that were created, for their taker to close.
    `overflowed`: there was more than that.
    """

    entries: dict[Parts, None] = field(default_factory=dict)
    bytes: dict[tuple[Parts, str], None] = field(default_factory=dict)
    opened: list[tuple[Parts, str, int]] = field(default_factory=list)
    overflowed: bool = False


class Interest(Protocol):
    """Which files and directories matter. Asked from another thread than the one that looks."""

    def wants_file(self, directory: Parts, name: str) -> bool: ...

    def wants_directory(self, directory: Parts) -> bool: ...


class _Events(InotifyFD):
    """Rests for a moment between reads that tell only of more bytes. Who writes line by line makes thousands
    of events a second; those of one file in a row come as one where nobody took the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.may_rest = False

    def read_events(self, *, event_buffer_size: int = DEFAULT_EVENT_BUFFER_SIZE) -> list[InotifyEvent]:
        if self.may_rest:
            self.stopped_event.wait(REST_SECONDS)
        events = super().read_events(event_buffer_size=event_buffer_size)
        self.may_rest = all(event.is_modify for event in events)
        return events


class Watch:
    """Collects hints on a thread of its own. There `hurry` is called where something came or went, or at the
    first bytes of a file, and `grew` at any others.
    """

    def __init__(
        self,
        volume: Volume,
        name: str,
        interest: Interest,
        *,
        grew: Callable[[], None],
        hurry: Callable[[], None],
        emit: Emit,
    ) -> None:
        """`volume` is for this watch alone, which closes it. Until `add` or `enter`, its root is watched."""
        self._volume, self._name, self._interest = volume, name, interest
        self._root = os.fsencode(os.path.realpath(volume.path))
        self._grew, self._hurry = grew, hurry
        self._emit = emit
        self._lock = threading.Lock()
        self._hints = Hints()
        self._fresh: dict[tuple[Parts, str], None] = {}
        self._watched: dict[Parts, WatchDescriptor] = {}
        self._directories: dict[WatchDescriptor, Parts] = {}
        self._ids = count(1)
        self._closed = False
        self.is_limited = False
        """Whether a directory could not be watched: polling serves it."""
        self._inotify: _Events | None = None
        try:
            self._inotify = _Events()
        except OSError as error:
            self._limited(error)
            return
        self.add(())
        self._inotify.start()

    @property
    def watched(self) -> int:
        """How many directories are."""
        return len(self._directories)

    @property
    def is_whole(self) -> bool:
        """Whether all directories that were to be watched are."""
        return not self.is_limited and () in self._watched

    def add(self, directory: Parts) -> bool:
        """Watches the directory, not what is below it. True if it was not watched before and is now."""
        if self._inotify is None or directory in self._watched or self._closed:
            return False
        path = b"/".join((self._root, *map(os.fsencode, directory)))
        try:
            # An id of its own each time: a directory that was moved has the same descriptor.
            watched = self._inotify.add_callback(path, EVENTS, self, CallbackId(next(self._ids)))
        except OSError as error:
            if error.errno in _LIMITS or not directory:
                self._limited(error)
            return False
        if watched < 0:  # not readable by this user: a look says so
            return False
        with self._lock:
            self._watched[directory] = watched
            self._directories[watched] = directory
        return True

    def enter(self, directory: Parts) -> None:
        """Watches the directory and all below it, and tells of the files that are there already."""
        todo = [directory]
        while todo:
            below = todo.pop()
            if not self._interest.wants_directory(below):
                continue
            self.add(below)
            if below not in self._watched:
                continue  # too deep, or no watch is left: nothing below it is told, looks find it
            try:
                todo += self._tell_entries(below)
            except OSError:
                continue  # it is gone again, or not for this user: a look says so

    def take_hints(self) -> Hints:
        with self._lock:
            hints, self._hints = self._hints, Hints()
        return hints

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._inotify is not None:
            self._inotify.stop()
            if self._inotify.is_alive():
                self._inotify.join()
        for _, _, descriptor in self.take_hints().opened:
            close(descriptor)
        self._volume.close()

    # --- on the thread that reads the events

    def on_event(self, event: InotifyEvent) -> None:
        directory = self._directories.get(event.wd)
        if directory is None or not event.name or self._closed:
            return
        name = os.fsdecode(event.name)
        if event.is_modify:
            self._written(directory, name)
        elif event.is_directory:
            self._moved(directory, name, came=event.is_create or event.is_moved_to)
        else:
            self._came_or_went(directory, name, came=event.is_create or event.is_moved_to)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        with self._lock:
            directory = self._directories.pop(wd, None)
            if directory is not None and self._watched.get(directory) == wd:
                del self._watched[directory]

    def on_queue_overflow(self) -> None:
        with self._lock:
            self._hints.overflowed = True
        self._hurry()

    def _written(self, directory: Parts, name: str) -> None:
        at = directory, name
        with self._lock:
            self._hints.bytes[at] = None
            is_first = at in self._fresh
            self._fresh.pop(at, None)
        if is_first:
            if self._inotify is not None:
                self._inotify.may_rest = False
            self._hurry()
        else:
            self._grew()

    def _moved(self, directory: Parts, name: str, *, came: bool) -> None:
        below = (*directory, name)
        with self._lock:
            self._hints.entries[below] = None
            # What has a watch was entered already with the directory above it, before this was read.
            is_new = came and below not in self._watched
            if not came:
                self._watched.pop(below, None)  # the next one of this name is another directory
        if is_new:
            self.enter(below)
        self._hurry()

    def _came_or_went(self, directory: Parts, name: str, *, came: bool) -> None:
        if came:
            self._open(directory, name)
        with self._lock:
            self._hints.entries[directory] = None
        self._hurry()

    def _tell_entries(self, directory: Parts) -> list[Parts]:
        """Takes in what a new directory holds; returns the directories in it."""
        deeper = []
        descriptor = self._volume.open_directory(directory)
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        deeper.append((*directory, entry.name))
                    elif entry.is_file(follow_symlinks=False):
                        self._open(directory, entry.name)
        finally:
            close(descriptor)
        with self._lock:
            self._hints.entries[directory] = None
        return deeper

    def _open(self, directory: Parts, name: str) -> None:
        """Opens a file that was just created, if it matters, before it may be gone."""
        if not self._interest.wants_file(directory, name):
            return
        with self._lock:
            if len(self._fresh) >= MOST_FRESH:
                del self._fresh[next(iter(self._fresh))]
            self._fresh[directory, name] = None
            if len(self._hints.opened) >= MOST_OPENED:
                return
        try:
            descriptor = self._volume.open_file((*directory, name))
        except OSError:
            return  # gone already, or not for this user: a look says so
        with self._lock:
            self._hints.opened.append((directory, name, descriptor))

    def _limited(self, error: OSError) -> None:
        """Says once that polling serves what cannot be watched."""
        if self.is_limited:
            return
        self.is_limited = True
        why = os.strerror(error.errno or 0)
        raising = _LIMITS.get(error.errno or 0)
        advice = f". Raise {raising}" if raising else ""
        self._emit(WatchLimited(volume=self._name, why=f"{why}; polling what is not watched{advice}"))
