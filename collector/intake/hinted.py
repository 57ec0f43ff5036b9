"""What hints mean for sources and files: new ones are known at once, new bytes are read without a look, and
what was deleted meanwhile is read through the descriptor it left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from collector.intake.discover import Discovery, FileSight, Look
from collector.intake.holes import is_sparse
from collector.intake.register import Register
from collector.intake.track import TrackedFile, TrackedSource
from collector.intake.volume import close
from collector.intake.watch import Hints, Parts, Watch

Adopt = Callable[[TrackedFile, int], None]


class Hinted:
    def __init__(self, discovery: Discovery, catalog: Register, watch: Watch, adopt: Adopt) -> None:
        """`adopt` takes the descriptor of a file over, to read it."""
        self._discovery, self._catalog = discovery, catalog
        self._watch = watch
        self._adopt = adopt
        self._opened: dict[TrackedSource, list[tuple[str, int]]] = {}
        """Files that were opened when they were created, until the next look at their source."""
        self.wants_listing = False
        """Whether there was a hint of which only a listing tells what it means."""
        self.overflowed = False

    @property
    def is_whole(self) -> bool:
        """Whether each new directory is told of."""
        return self._watch.is_whole

    def take(self, now: float) -> None:
        """Takes in all hints since the last call: makes sources urgent, and files wanted."""
        hints = self._watch.take_hints()
        self.wants_listing, self.overflowed = False, hints.overflowed
        for directory, name, descriptor in hints.opened:
            self._put(directory, name, descriptor, now)
        for directory in hints.entries:
            source = self._source(directory, now)
            if source is not None:
                self._catalog.urgent[source] = None
        self._read_on(hints, now)

    def _source(self, directory: Parts, now: float) -> TrackedSource | None:
        """The source that the directory is, or is in; None where that is another shard's, or only a listing
        tells whether it is one.
        """
        at = self._discovery.source_at(directory)
        if not self._discovery.is_mine(at):
            return None
        known = self._catalog.sources.get(at.source)
        if known is None and at.flat:
            self.wants_listing = True
            return None
        return known or self._catalog.source(at, now)

    def _put(self, directory: Parts, name: str, descriptor: int, now: float) -> None:
        source = self._source(directory, now)
        if source is None:
            close(descriptor)
            return
        self._opened.setdefault(source, []).append((_below(source, directory, name), descriptor))
        self._catalog.urgent[source] = None

    def _read_on(self, hints: Hints, now: float) -> None:
        for directory, name in hints.bytes:
            source = self._source(directory, now)
            if source is not None and not read_on(self._catalog, source, _below(source, directory, name)):
                self._catalog.urgent[source] = None

    # --- around each look

    def watch_levels(self, directories: Iterable[Parts]) -> None:
        for directory in directories:
            self._watch.add(directory)

    def before_look(self, sources: Iterable[TrackedSource]) -> None:
        """Watches their directories before their first look: what comes later is told of."""
        for source in sources:
            if not source.looks and not source.directory.flat:
                self._watch.add(source.directory.parts)

    def seen_with(self, source: TrackedSource, look: Look | None) -> Look | None:
        """The look, with the files that only a descriptor leads to by now."""
        opened = self._opened.get(source)
        if not opened:
            return look
        there = {(sight.device, sight.inode) for sight in look.files} if look else set()
        names = {sight.name for sight in look.files} if look else set()
        added = []
        for name, descriptor in opened:
            sight = _sight(name, descriptor)
            if sight and (sight.device, sight.inode) not in there and name not in names:
                names.add(name)
                added.append(sight)
        if not added:
            return look
        if look is None:
            return Look(tuple(added), tombstone=False, skipped=())
        return replace(look, files=tuple(sorted((*look.files, *added), key=lambda sight: sight.name)))

    def after_look(self, source: TrackedSource, look: Look | None) -> None:
        """Whoever reads the files gets their descriptors, and directories below are watched too."""
        for name, descriptor in self._opened.pop(source, ()):
            tracked, sight = source.files.get(name), _sight(name, descriptor)
            is_it = tracked and sight and (tracked.device, tracked.inode) == (sight.device, sight.inode)
            if tracked is not None and is_it and tracked.descriptor < 0:
                self._adopt(tracked, descriptor)
            else:
                close(descriptor)
        parts = source.directory.parts
        added = [self._watch.add((*parts, *below)) for below in (look.below if look else ())]
        if any(added):
            self._catalog.urgent[source] = None  # what came before it was watched

    @property
    def watched(self) -> int:
        """How many directories are watched."""
        return self._watch.watched

    def close(self) -> None:
        self._watch.close()
        for opened in self._opened.values():
            for _, descriptor in opened:
                close(descriptor)
        self._opened.clear()


def read_on(catalog: Register, source: TrackedSource, name: str) -> bool:
    """Queues a file that grew, without a look. False where only a look can tell what happened to it."""
    tracked = source.files.get(name)
    if tracked is None or tracked.descriptor < 0 or tracked.missing or name in source.deferred:
        return False
    if not tracked.read_offset and (len(source.files) > 1 or source.past or source.gone):
        return False  # it may be a copy of one of those
    try:
        size = os.fstat(tracked.descriptor).st_size
    except OSError:
        return False
    if size > tracked.size:
        catalog.queue.want(tracked)
    return size >= tracked.size


def _below(source: TrackedSource, directory: Parts, name: str) -> str:
    """The file's name below its source."""
    return "/".join((*directory[len(source.directory.parts) :], name))


def _sight(name: str, descriptor: int) -> FileSight | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    place = (status.st_dev, status.st_ino)
    return FileSight(name, *place, status.st_size, status.st_mtime_ns, is_sparse(status))
