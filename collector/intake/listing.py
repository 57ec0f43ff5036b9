"""Which sources there are: the levels of directories above them, listed a little at a time.

A level whose mtime stands still since its last listing holds what it held: where directories have mtimes
that can be trusted, only the others are listed. What a listing finds that an mtime had denied ends the trust.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from collector.intake.discover import STEADY_SECONDS, Discovery, Skipped, SourceDir, kind_of
from collector.intake.volume import EXHAUSTED, VANISHED, close

if TYPE_CHECKING:
    from collector.intake.watch import Parts

SLICE = 1000
"""Entries that are listed before somebody may say that it is enough for now."""


class _Level:
    """A directory that holds sources, or further levels. `sources` by name."""

    __slots__ = ("flat", "levels", "listed_at", "parts", "sources", "stamp", "stamped_at")

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.sources: dict[str, SourceDir] = {}
        self.levels: dict[str, _Level] = {}
        self.flat: SourceDir | None = None
        """The source of the files that are directly in it, where there are any."""
        self.stamp: tuple[int, int, int] | None = None
        self.stamped_at = self.listed_at = float("-inf")

    def is_steady(self, stamp: tuple[int, int, int], seconds: float) -> bool:
        """Whether it was listed long enough after its mtime last moved. Notes when that was."""
        if stamp != self.stamp:
            self.stamp, self.stamped_at = stamp, seconds
        return self.listed_at - self.stamped_at >= STEADY_SECONDS

    def all_sources(self) -> Iterator[SourceDir]:
        todo = [self]
        while todo:
            level = todo.pop()
            yield from level.sources.values()
            if level.flat is not None:
                yield level.flat
            todo += level.levels.values()


class Listing:
    """`run` goes through all levels; what it found and missed stands in `found` and `gone` after it."""

    def __init__(
        self,
        discovery: Discovery,
        *,
        trusts_mtimes: bool,
        recall: Callable[[SourceDir], SourceDir] = lambda directory: directory,
    ) -> None:
        """`recall` gives a source's directory as it is known already."""
        self._discovery, self._volume = discovery, discovery.volume
        self._recall = recall
        self._root = _Level(())
        self.trusts_mtimes = trusts_mtimes
        self.found: list[SourceDir] = []
        self.gone: list[SourceDir] = []
        self.skipped: list[Skipped] = []
        self.entered: list[Parts] = []
        """Levels that were not there before."""
        self._changes = 0

    def run(self, seconds: float, *, fully: bool) -> Iterator[None]:
        """Lists what may have changed, or (`fully`) everything; each step is a pause. Raises OSError where
        the root cannot be listed; any other directory that vanishes meanwhile is simply not there.
        """
        self.found, self.gone, self.skipped, self.entered = [], [], [], []
        self._changes = 0
        self._volume.refresh()
        todo = [self._root]
        while todo:
            level = todo.pop()
            try:
                yield from self._list(level, seconds, fully=fully)
            except OSError as error:
                if not level.parts or error.errno in EXHAUSTED:
                    raise
                self._lost(level, has_vanished=error.errno in VANISHED)
            todo += level.levels.values()
        if not self.is_empty:
            self._discovery.devices.add(self._volume.device)

    @property
    def is_empty(self) -> bool:
        """Whether there is no source at all."""
        return not any(True for _ in self._root.all_sources())

    def forget(self, sources: Iterable[SourceDir]) -> None:
        """Nobody remembers these: should they be there, they are new."""
        for source in sources:
            level = self._level_of(source)
            if level is None:
                continue
            if source.flat and level.flat is not None:
                level.flat = level.stamp = None
            elif not source.flat and level.sources.pop(source.parts[-1], None) is not None:
                level.stamp = None

    def _level_of(self, source: SourceDir) -> _Level | None:
        level: _Level | None = self._root
        for name in source.parts if source.flat else source.parts[:-1]:
            level = level.levels.get(name) if level is not None else None
        return level

    def _list(self, level: _Level, seconds: float, *, fully: bool) -> Iterator[None]:
        directory = self._volume.open_directory(level.parts)
        try:
            status = os.fstat(directory)
            stamp = status.st_dev, status.st_ino, status.st_mtime_ns
            is_steady = level.is_steady(stamp, seconds)
            if is_steady and self.trusts_mtimes and not fully:
                return
            before = self._changes
            with os.scandir(directory) as entries:
                yield from self._compare(level, entries)
        finally:
            close(directory)
        level.listed_at = seconds
        if is_steady and self._changes > before:
            self.trusts_mtimes = False

    def _compare(self, level: _Level, entries: Iterator[os.DirEntry[str]]) -> Iterator[None]:
        missing, missing_levels, has_files = set(level.sources), set(level.levels), False
        while part := list(islice(entries, SLICE)):
            for entry in part:
                name = entry.name
                if name in missing:
                    missing.discard(name)
                elif name in missing_levels:
                    missing_levels.discard(name)
                elif entry.is_dir(follow_symlinks=False):
                    self._add(level, name)
                elif entry.is_file(follow_symlinks=False):
                    has_files = True
                else:
                    self.skipped.append(("/".join((*level.parts, name)), kind_of(entry)))
            yield
        self._changes += len(missing)
        for name in missing:
            self.gone.append(level.sources.pop(name))
        for name in missing_levels:
            self.gone += level.levels.pop(name).all_sources()
        self._set_flat(level, is_there=has_files)

    def _add(self, level: _Level, name: str) -> None:
        parts = (*level.parts, name)
        at = self._discovery.source_at(parts)
        if at.flat:
            level.levels[name] = _Level(parts)
            self.entered.append(parts)
        else:
            at = self._recall(at)
            level.sources[at.parts[-1]] = at
            self.found.append(at)
            self._changes += 1

    def _set_flat(self, level: _Level, *, is_there: bool) -> None:
        if is_there and level.flat is None:
            level.flat = SourceDir("/".join(level.parts), flat=True)
            self.found.append(level.flat)
        elif not is_there and level.flat is not None:
            self.gone.append(level.flat)
            level.flat = None

    def _lost(self, level: _Level, *, has_vanished: bool) -> None:
        """It is gone with all below it, or cannot be listed: as a source of its own it then says so at each
        look, and no other source waits.
        """
        level.stamp = None
        if has_vanished:
            self.gone += level.all_sources()
            level.sources, level.levels, level.flat = {}, {}, None
        else:
            self._set_flat(level, is_there=True)


def all_sources(discovery: Discovery) -> list[SourceDir]:
    """All sources of this shard, there now. Raises OSError where the root cannot be listed."""
    listing = Listing(discovery, trusts_mtimes=False)
    for _ in listing.run(0.0, fully=True):
        pass
    return [source for source in listing.found if discovery.is_mine(source)]
