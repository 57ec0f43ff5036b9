"""When to look where: at busy sources often, at quiet ones rarely, at finished ones when they change.

Work comes in ticks, one each poll interval: what may have changed is listed, and what is due is looked at,
a little in each turn, so that reading never waits for it. What was hinted at comes first.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from collector.errors import VolumeError
from collector.events import Emit, EntrySkipped, FileUnreadable, ScanDone, VolumeUnreadable
from collector.intake.catalog import Catalog
from collector.intake.discover import Discovery, Look, Skipped
from collector.intake.listing import Listing
from collector.intake.look import AsItWas, Glance, Looker
from collector.intake.names import encode_name
from collector.intake.track import LONG_SINCE, TrackedSource

if TYPE_CHECKING:
    from collector.intake.hinted import Hinted

BUSY_SECONDS = 10.0
"""A source that grew within this time is looked at every turn."""

LONGEST_INTERVAL_SECONDS = 30.0

SCAN_PART = 5
"""Listing, and looking again, take at most this part of the time, however many sources there are."""

TURN_SECONDS = 0.005
"""After so long the rest waits for the next turn."""

WATCHED_LISTING_SECONDS = 10.0
"""Where notification tells of each new directory, nothing is listed more often."""

SHORTEST_INTERVAL_SECONDS = 0.05
YOUNG_LOOKS = 16
"""However many hints come, a source is looked at no more often than that, but for its first looks."""


class Scanner:
    def __init__(
        self,
        discovery: Discovery,
        catalog: Catalog,
        hinted: Hinted | None,
        *,
        volume: str,
        shard: int,
        poll_interval_seconds: float,
        monotonic: Callable[[], float],
        emit: Emit,
        follow: bool = True,
        looker: Looker | None = None,
    ) -> None:
        """Without `follow` one look is enough, unless it leaves something open."""
        self._monotonic = monotonic
        self._follow = follow
        self._discovery = discovery
        self._catalog = catalog
        self._hinted = hinted
        self._looker = looker or Looker(discovery)
        self._name, self._shard = volume, shard
        self._poll_interval = poll_interval_seconds
        self._emit = emit
        self._listing = Listing(discovery, trusts_mtimes=self._looker.trusts_mtimes, recall=catalog.recall)
        self._listing_on: Iterator[None] | None = None
        self._tick_at = self._list_at = self._list_fully_at = 0.0
        self._tick_began = float("-inf")
        self._in_tick = False
        self._spent = self._spent_again = 0.0
        """In this tick, in seconds: on all, and on all but first looks."""
        self._new: deque[TrackedSource] = deque()
        self._due: deque[TrackedSource] = deque()
        self._is_first = True
        self._is_behind = False
        """Whether hints wait that could be followed now."""
        self._reported: set[str] = set()
        self.unreadable = ""
        """Why the volume cannot be listed; empty while it can."""
        self.last_at: float | None = None
        self.last_seconds = 0.0

    def scan(
        self, now: float, seconds: float, until: Callable[[TrackedSource], bool] = lambda _: False
    ) -> list[TrackedSource]:
        """Looks where it is time to, for a few milliseconds; returns the sources that were looked at. Stops
        where `until` says so. Without `follow` all is done at once.

        `now` is by the wall clock, `seconds` by a clock that only goes forward: schedules keep to that.
        """
        began = self._monotonic()
        self._take_hints(now, seconds)
        if not self._in_tick and seconds >= self._tick_at:
            self._begin_tick(seconds)

        def is_enough() -> bool:
            return self._follow and self._monotonic() - began >= TURN_SECONDS

        self._list(now, seconds, is_enough)
        looked = [] if self.unreadable else self._look_around(now, seconds, is_enough, until)
        if self._in_tick:
            self._spent += self._monotonic() - began
            if self._is_tick_over():
                self._end_tick(now)
        return looked

    def _is_tick_over(self) -> bool:
        """When its work is done, or looks again have had their part of it: the rest is due in the next."""
        has_had_part = self._spent_again * SCAN_PART >= self._poll_interval
        is_done = not (self._listing_on or self._new or (self._due and not has_had_part))
        return is_done or bool(self.unreadable)

    @property
    def has_more(self) -> bool:
        """Whether the next turn should follow at once."""
        return self._in_tick or self._is_behind

    def next_at(self, seconds: float) -> float:
        """When the next scan has something to do."""
        if self.has_more:
            return seconds
        if self._catalog.urgent:
            return min(seconds + SHORTEST_INTERVAL_SECONDS, self._tick_at)
        return self._tick_at

    # --- ticks

    def _begin_tick(self, seconds: float) -> None:
        self._in_tick, self._tick_began = True, seconds
        self._spent = self._spent_again = 0.0
        if self._is_first:
            for source in self._catalog:
                self._catalog.schedule.at(source, 0.0)
        self._listing.forget(self._catalog.take_forgotten())
        if seconds >= self._list_at or self.unreadable:
            is_told = self._hinted is not None and self._hinted.is_whole
            self._list_at = seconds + (WATCHED_LISTING_SECONDS if is_told else 0.0)
            fully = seconds >= self._list_fully_at
            if fully:
                self._list_fully_at = seconds + LONGEST_INTERVAL_SECONDS
            self._listing_on = self._listing.run(seconds, fully=fully)
        self._due.extend(self._catalog.schedule.take_due(seconds))

    def _end_tick(self, now: float) -> None:
        self._tick_at = self._tick_began + max(self._poll_interval, SCAN_PART * self._spent_again)
        self._in_tick = False
        self._is_first = self._is_first and bool(self.unreadable)
        if not self.unreadable:
            self.last_at, self.last_seconds = now, self._spent
            sources, files = len(self._catalog.sources), self._catalog.files()
            self._emit(ScanDone(self._name, self._shard, self._spent, sources, files))

    def _take_hints(self, now: float, seconds: float) -> None:
        """Moves the sources that something happened under to the front."""
        if self._hinted is None:
            return
        self._hinted.take(now)
        if self._hinted.overflowed:  # what was not told may be anywhere
            self._list_fully_at = 0.0
            for source in self._catalog:
                self._catalog.schedule.at(source, 0.0)
        if self._hinted.overflowed or self._hinted.wants_listing:
            self._list_at = 0.0
            self._tick_at = min(self._tick_at, self._tick_began + SHORTEST_INTERVAL_SECONDS)

    # --- listing

    def _list(self, now: float, seconds: float, is_enough: Callable[[], bool]) -> None:
        """Lists on, if a listing is under way."""
        if self._listing_on is None:
            return
        began = self._monotonic()
        try:
            for _ in self._listing_on:
                self._take_found(now)
                if is_enough():
                    return
            self._take_found(now)
            self._check_mounted()
        except OSError as error:
            self._unreadable(os.strerror(error.errno or 0))
        except VolumeError as error:
            self._unreadable(error.message)
        else:
            self.unreadable = ""
            self._take_gone()
            self._report(".", self._listing.skipped, self._reported)
        finally:
            self._spent_again += self._monotonic() - began
        self._listing_on = None

    def _take_found(self, now: float) -> None:
        found, self._listing.found = self._listing.found, []
        for directory in found:
            if self._discovery.is_mine(directory):
                source = self._catalog.source(directory, now)
                source.directory = directory
                self._new.append(source)
        if self._hinted is not None:
            self._hinted.watch_levels(self._listing.entered)
        self._listing.entered.clear()

    def _take_gone(self) -> None:
        for directory in self._listing.gone:
            source = self._catalog.sources.get(directory.source)
            if source is not None:
                source.looked_at = LONG_SINCE  # whatever it said in this tick
                self._due.append(source)

    def _check_mounted(self) -> None:
        """An unmounted volume is an empty directory: that is no proof that all files were deleted."""
        if self._listing.is_empty and self._catalog.sources and self._discovery.moved():
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

    # --- looking

    def _look_around(
        self,
        now: float,
        seconds: float,
        is_enough: Callable[[], bool],
        until: Callable[[TrackedSource], bool],
    ) -> list[TrackedSource]:
        """Looks at what was hinted at, at what is new, and at what is due, until it is enough."""
        looked: list[TrackedSource] = []
        self._is_behind = False
        for part, is_hinted in self._parts(seconds):
            began = self._monotonic()
            again = any(source.looks for source in part)
            if self._hinted is not None:
                self._hinted.before_look(part)
            glances = self._looker.glances(part, seconds, fully=is_hinted)
            for source, glance in zip(part, glances, strict=True):
                if self._take_in(source, glance, now, seconds):
                    looked.append(source)
                    if until(source):
                        return looked
            if again:
                self._spent_again += self._monotonic() - began
            if is_enough():
                self._is_behind = is_hinted
                break
        return looked

    def _parts(self, seconds: float) -> Iterator[tuple[list[TrackedSource], bool]]:
        """Sources to be looked at together, and whether somebody asked for that."""
        urgent = deque(source for source in self._catalog.urgent if self._may_look(source, seconds))
        due = self._due if self._in_tick else deque()
        for sources, is_hinted in ((urgent, True), (self._new, False), (due, False)):
            while sources:
                part = dict.fromkeys(sources.popleft() for _ in range(min(self._looker.most, len(sources))))
                known = [each for each in part if self._is_to_be_looked_at(each, is_hinted=is_hinted)]
                if known:
                    yield known, is_hinted

    def _may_look(self, source: TrackedSource, seconds: float) -> bool:
        is_young = self._follow and source.looks < YOUNG_LOOKS
        return is_young or seconds - source.looked_at >= SHORTEST_INTERVAL_SECONDS

    def _is_to_be_looked_at(self, source: TrackedSource, *, is_hinted: bool) -> bool:
        """Whether it is still known, and was not looked at in this tick: what a checkpoint knows is both new
        and due in the first one.
        """
        is_known = self._catalog.sources.get(source.source) is source
        return is_known and (is_hinted or source.looked_at < self._tick_began)

    def _take_in(self, source: TrackedSource, glance: Glance, now: float, seconds: float) -> bool:
        """Takes in what was seen; false where that is nothing, or nothing new of a finished source."""
        self._catalog.urgent.pop(source, None)
        source.looked_at = seconds
        if isinstance(glance, AsItWas):
            self._look_rarer(source)
            self._catalog.schedule.at(source, seconds + source.look_every)
            return not source.finished
        if isinstance(glance, OSError):
            self._catalog.schedule.at(source, seconds + self._poll_interval)
            self._unreadable_below(source, [("", os.strerror(glance.errno or 0))])
            return False
        look = self._hinted.seen_with(source, glance) if self._hinted else glance
        self._unreadable_below(source, look.unreadable if look else ())
        if look is None:
            self._catalog.vanished(source, now)
        else:
            if look.skipped:
                source.skipped = source.skipped or set()
                self._report(source.source, look.skipped, source.skipped)
            self._catalog.observe(source, look, now)
            source.looked(look, seconds, stood_seconds=self._stood_seconds(look, now))
        if self._hinted is not None:
            self._hinted.after_look(source, look)
        self._schedule(source, now, seconds)
        return True

    def _stood_seconds(self, look: Look, now: float) -> float:
        """For how long the directory is known to be as it is: what stood there at the start has an mtime
        by the clock of this machine, where mtimes are to be trusted.
        """
        return now - look.mtime_ns / 1e9 if self._is_first and self._looker.trusts_mtimes else 0.0

    def _unreadable_below(self, source: TrackedSource, unreadable: Sequence[tuple[str, str]]) -> None:
        """Notes which directories of the source cannot be read, and tells of them when that changes."""
        error = "; ".join(f"{encode_name(path)}: {why}" for path, why in unreadable)
        if error != source.error:
            for path, why in unreadable:
                self._emit(FileUnreadable(self._name, source.source, encode_name(path), why))
        source.error = error

    def _schedule(self, source: TrackedSource, now: float, seconds: float) -> None:
        # Who does not follow looks again only where a further try may do: else one look told all.
        is_busy = now - source.newest < BUSY_SECONDS if self._follow else self._catalog.is_stuck(source)
        if source.finished or source.unsettled or source.missing or is_busy:
            source.look_every = self._poll_interval
        elif self._follow:
            if self._is_first:  # it is as quiet as its files are old
                source.look_every = (now - max(source.newest, source.mtime_ns / 1e9)) / 4
            self._look_rarer(source)
        else:
            source.look_every = LONGEST_INTERVAL_SECONDS
        self._catalog.schedule.at(source, seconds + max(source.look_every, self._poll_interval))

    def _look_rarer(self, source: TrackedSource) -> None:
        source.look_every = min(max(2 * source.look_every, self._poll_interval), LONGEST_INTERVAL_SECONDS)
