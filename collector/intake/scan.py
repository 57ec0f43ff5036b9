"""When to look where: at busy sources often, at quiet ones rarely, at finished ones when they change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from collector.errors import VolumeError
from collector.events import Emit, EntrySkipped, FileUnreadable, ScanDone, VolumeUnreadable
from collector.intake.catalog import Catalog
from collector.intake.discover import Discovery, Skipped, SourceDir
from collector.intake.names import encode_name
from collector.intake.track import TrackedSource
from collector.intake.watch import Watch

BUSY_SECONDS = 10.0
"""A source that grew within this time is looked at every turn."""

LONGEST_INTERVAL_SECONDS = 30.0
FINISHED_INTERVAL_SECONDS = 600.0

SCAN_PART = 5
"""Listing and looking take at most this part of the time, however many sources there are."""

SHORTEST_INTERVAL_SECONDS = 0.05
"""However many hints come, no source is looked at more often."""


class Scanner:
    def __init__(
        self,
        discovery: Discovery,
        catalog: Catalog,
        watch: Watch | None,
        *,
        volume: str,
        shard: int,
        poll_interval_seconds: float,
        monotonic: Callable[[], float],
        emit: Emit,
        follow: bool = True,
    ) -> None:
        """Without `follow` one look is enough, unless it leaves something open."""
        self._monotonic = monotonic
        self._follow = follow
        self._discovery = discovery
        self._catalog = catalog
        self._watch = watch
        self._name, self._shard = volume, shard
        self._poll_interval = poll_interval_seconds
        self._emit = emit
        self._list_at = 0.0
        self._listed_at = 0.0
        self._reported: set[str] = set()
        self.unreadable = ""
        """Why the volume cannot be listed; empty while it can."""
        self.last_at: float | None = None
        self.last_seconds = 0.0

    def scan(
        self, now: float, seconds: float, until: Callable[[TrackedSource], bool] = lambda _: False
    ) -> list[TrackedSource]:
        """Looks where it is time to; returns the sources that were looked at. Stops where `until` says so.

        `now` is by the wall clock, `seconds` by a clock that only goes forward: schedules keep to that.
        """
        scanned_at = self._monotonic()
        self._take_hints()
        if seconds >= self._list_at and not self._list(now, seconds):
            return []
        began = self._monotonic()
        due = [source for source in self._catalog.urgent if self._may_look(source, seconds)]
        if self._listed_at == seconds:
            known = set(due)
            due += [source for source in self._catalog if source.look_at <= seconds and source not in known]
        looked: list[TrackedSource] = []
        for source in due:
            if self._look(source, now, seconds):
                looked.append(source)
                if until(source):
                    break
        if due:
            self._done(now, self._monotonic() - began)
        if self._listed_at == seconds:
            self._list_at = max(self._list_at, seconds + SCAN_PART * (self._monotonic() - scanned_at))
        return looked

    def _done(self, now: float, took_seconds: float) -> None:
        self.last_at, self.last_seconds = now, took_seconds
        sources, files = len(self._catalog.sources), self._catalog.files()
        self._emit(ScanDone(self._name, self._shard, took_seconds, sources, files))

    def next_at(self, seconds: float) -> float:
        """When the next scan has something to do."""
        if self._catalog.urgent:
            return seconds + SHORTEST_INTERVAL_SECONDS
        return self._list_at

    def _may_look(self, source: TrackedSource, seconds: float) -> bool:
        return seconds - source.looked_at >= SHORTEST_INTERVAL_SECONDS

    def _take_hints(self) -> None:
        """Moves the sources that something happened under to the front; unknown names ask for a listing."""
        hints = self._watch.take_hints() if self._watch else set()
        for name in hints:
            under = self._catalog.under(name)
            if not under:
                # Another shard's, a new source, or a file in the root: which of them, a listing tells.
                self._list_at = min(self._list_at, self._listed_at + SHORTEST_INTERVAL_SECONDS)
            for source in under or self._catalog.under(""):
                self._catalog.urgent[source] = None

    def _list(self, now: float, seconds: float) -> bool:
        """Lists all sources; false where the volume cannot be listed just now."""
        self._list_at = seconds + self._poll_interval
        try:
            found = self._discovery.sources()
            self._check_mounted(found)
        except OSError as error:
            self._unreadable(os.strerror(error.errno or 0))
            return False
        except VolumeError as error:
            self._unreadable(error.message)
            return False
        self.unreadable = ""
        self._listed_at = seconds
        self._report(".", self._discovery.skipped, self._reported)
        there = set()
        for directory in found:
            source = self._catalog.source(directory, now)
            source.directory = directory
            there.add(source)
        for source in self._catalog:
            if source not in there:
                source.look_at = 0.0
        return True

    def _check_mounted(self, found: list[SourceDir]) -> None:
        """An unmounted volume is an empty directory: that is no proof that all files were deleted."""
        if not found and self._catalog.sources and self._discovery.moved():
            raise VolumeError("it is empty, and another file system than before: is it still mounted?")

    def _unreadable(self, why: str) -> None:
        if why != self.unreadable:
            self._emit(VolumeUnreadable(volume=self._name, error=why))
        self.unreadable = why

    def _report(self, source: str, skipped: Iterable[Skipped], reported: set[str]) -> None:
        """Tells once of each entry that was passed over."""
        for name, why in skipped:
            if name not in reported:
                reported.add(name)
                self._emit(EntrySkipped(volume=self._name, source=source, path=encode_name(name), why=why))

    def _look(self, source: TrackedSource, now: float, seconds: float) -> bool:
        """Looks at one source, unless it is finished, nothing waits or changed there, and nobody hinted."""
        hinted = self._catalog.urgent.pop(source, self) is None
        source.looked_at = seconds
        try:
            rests = source.finished and not source.unsettled
            if rests and not hinted and not self._has_changed(source, seconds):
                return False
            look = self._discovery.look(source.directory)
        except OSError as error:
            source.look_at = seconds + self._poll_interval
            self._unreadable_below(source, [("", os.strerror(error.errno or 0))])
            return False
        self._unreadable_below(source, look.unreadable if look else ())
        if look is None:
            self._catalog.vanished(source, now)
        else:
            self._report(source.source, look.skipped, source.skipped)
            self._catalog.observe(source, look, now)
        self._schedule(source, now, seconds)
        return True

    def _unreadable_below(self, source: TrackedSource, unreadable: Sequence[tuple[str, str]]) -> None:
        """Notes which directories of the source cannot be read, and tells of them when that changes."""
        error = "; ".join(f"{encode_name(path)}: {why}" for path, why in unreadable)
        if error != source.error:
            for path, why in unreadable:
                self._emit(FileUnreadable(self._name, source.source, encode_name(path), why))
        source.error = error

    def _has_changed(self, source: TrackedSource, seconds: float) -> bool:
        mtime_ns = self._discovery.mtime_ns(source.directory)
        changed = mtime_ns != source.mtime_ns or seconds >= source.look_anyway_at
        if not changed:
            self._look_rarer(source)
            source.look_at = seconds + source.look_every
        source.mtime_ns = mtime_ns
        return changed

    def _schedule(self, source: TrackedSource, now: float, seconds: float) -> None:
        # Who does not follow looks again only where a further try may do: else one look told all.
        is_busy = now - source.newest < BUSY_SECONDS if self._follow else self._catalog.is_stuck(source)
        if source.finished or source.unsettled or source.missing or is_busy:
            source.look_every = self._poll_interval
        elif self._follow:
            self._look_rarer(source)
        else:
            source.look_every = LONGEST_INTERVAL_SECONDS
        source.look_at = seconds + max(source.look_every, self._poll_interval)
        source.look_anyway_at = seconds + FINISHED_INTERVAL_SECONDS

    def _look_rarer(self, source: TrackedSource) -> None:
        source.look_every = min(max(2 * source.look_every, self._poll_interval), LONGEST_INTERVAL_SECONDS)
