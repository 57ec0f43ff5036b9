"""Notification as a hint: where to look now. Nothing depends on it; the scan finds the same, only later.

inotify sees nothing of what another node writes to a network file system, and its queue overflows, so
it is used only on local file systems, and an event only moves a source to the front.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from collector.events import Emit, WatchLimited

# Opening and reading files, as the collector itself does, must not make events.
EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]

NETWORK_TYPES = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "ceph",
    "9p",
    "lustre",
    "glusterfs",
    "gluster",
    "beegfs",
    "afs",
    "gpfs",
)


def choose(path: Path, wanted: Literal["auto", "inotify", "poll"]) -> tuple[Literal["inotify", "poll"], str]:
    """How the volume is watched, and why, in words."""
    if wanted != "auto":
        return wanted, "configured"
    kind = file_system_type(path)
    if kind.startswith("fuse") or kind in NETWORK_TYPES:
        return "poll", f"{kind} does not tell what other nodes write"
    return "inotify", f"{kind} is local"


def file_system_type(path: Path) -> str:
    """The type of the file system that holds `path`: the innermost mount around it, of those mounted there
    the last, by /proc/self/mountinfo (proc_pid_mountinfo(5)).
    """
    best, kind = "", "an unknown file system"
    real = os.path.realpath(path)
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        mount = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split(" ")[4])
        is_around = real == mount or real.startswith(mount.rstrip("/") + "/")
        if is_around and len(mount) >= len(best):
            best, kind = mount, rest.split(" ")[0]
    return kind


class Watch:
    """Collects hints; `wake` is called from another thread at each. `hints` is emptied by its reader."""

    def __init__(self, path: Path, volume: str, wake: Callable[[], None], emit: Emit) -> None:
        self._root = os.fsencode(os.path.realpath(path))
        self._wake = wake
        self._hints: set[str] = set()
        self._lock = threading.Lock()
        self._observer: BaseObserver | None = None
        handler = FileSystemEventHandler()
        handler.on_any_event = self._on_event  # type: ignore[method-assign]
        try:
            observer = Observer()
            observer.schedule(handler, os.fsdecode(self._root), recursive=True, event_filter=EVENTS)
            observer.start()
        except OSError as error:
            emit(
                WatchLimited(
                    volume=volume,
                    why=f"{os.strerror(error.errno or 0)}; polling instead. "
                    "Raise fs.inotify.max_user_watches or fs.inotify.max_user_instances",
                )
            )
            return
        self._observer = observer

    def take_hints(self) -> set[str]:
        """Names directly below the volume under which something happened since the last call."""
        with self._lock:
            hints, self._hints = self._hints, set()
        return hints

    def close(self) -> None:
        if self._observer is not None:
            # watchdog may know a directory twice that was replaced again and again, and then fails to forget
            # the second. Its threads were told to end before that, and hold no process up.
            with suppress(KeyError):
                self._observer.stop()
            self._observer.join()

    def _on_event(self, event: FileSystemEvent) -> None:
        for path in (event.src_path, event.dest_path):
            name = os.fsencode(path)[len(self._root) + 1 :].split(b"/", 1)[0]
            if name:
                with self._lock:
                    self._hints.add(os.fsdecode(name))
        self._wake()
