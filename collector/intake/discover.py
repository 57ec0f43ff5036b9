"""Which sources and files exist: a scan of directories, relative to descriptors, that follows no link."""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from sys import intern
from typing import Literal, Protocol

from collector.intake.globs import Selection
from collector.intake.holes import is_sparse
from collector.intake.layout import Layout
from collector.intake.names import encode_name
from collector.intake.volume import VANISHED, Volume, close
from collector.value import value

DEEPEST_LEVEL = 256
"""Directories below a source deeper than this are not looked into, and counted."""

STEADY_SECONDS = 2.0
"""A directory's mtime that has stood for so long moves at the next change: file systems count in seconds at
worst.
"""

Skipped = tuple[str, Literal["symlink", "special", "depth"]]


@value
class SourceDir:
    """A directory that holds one Pod's files: `path` is raw, below the volume's root, which is "" itself.
    `flat`: only the files directly in it belong to it.
    """

    path: str
    flat: bool

    @property
    def source(self) -> str:
        """The encoded name."""
        return encode_name(self.path) or "."

    @property
    def parts(self) -> tuple[str, ...]:
        """The raw names that the path is made of."""
        return tuple(self.path.split("/")) if self.path else ()

    def below(self, name: str) -> str:
        """The raw path of a raw name below the source."""
        return f"{self.path}/{name}" if self.path else name


@value
class FileSight:
    """One regular file as a scan saw it. `name` is raw, relative to the source.

    Where a `sparse` file is known to end in a hole, `size` is that of its data, and `hole_end` its length.
    """

    name: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    sparse: bool = False
    hole_end: int = 0


class FilePlace(Protocol):
    """A file as it was seen last."""

    name: str
    device: int
    inode: int
    size: int
    mtime_ns: int | None


@value
class Look:
    """All of one source at one moment: files by name, whether the tombstone stands, what was passed over.

    `unreadable` are the directories below the source that could not be listed, and the files that could not
    be looked at, each with the reason. `below` are the directories below it, `mtime_ns` is its own.
    """

    files: tuple[FileSight, ...]
    tombstone: bool
    skipped: tuple[Skipped, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    below: tuple[tuple[str, ...], ...] = ()
    mtime_ns: int = 0


@dataclass(slots=True)
class _Seen:
    """A look while it is taken."""

    files: list[FileSight] = field(default_factory=list)
    tombstone: bool = False
    skipped: list[Skipped] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    below: list[tuple[str, ...]] = field(default_factory=list)
    mtime_ns: int = 0


class Discovery:
    def __init__(
        self, volume: Volume, layout: Layout, selection: Selection, *, tombstone: str, shard: int, shards: int
    ) -> None:
        self.volume = volume
        self._layout = layout
        self._selection = selection
        self._tombstone = tombstone
        self._shard, self._shards = shard, shards
        self.devices = {volume.device}
        """File systems that the volume is known to have been on."""

    def directory(self, parts: tuple[str, ...]) -> SourceDir:
        """The source whose raw directory names these are, as `sources` would find it."""
        flat = len(parts) < self._layout.source_depth and all(
            self._layout.level_matches(depth, name) for depth, name in enumerate(parts)
        )
        return SourceDir("/".join(parts), flat=flat)

    def moved(self) -> bool:
        """Whether the root is on a file system on which nothing was ever found."""
        return self.volume.device not in self.devices

    def is_mine(self, source: SourceDir) -> bool:
        return self._shards == 1 or zlib.crc32(source.source.encode()) % self._shards == self._shard

    def source_at(self, parts: tuple[str, ...]) -> SourceDir:
        """The source that the directory of these raw names is, or is in. A directory above all sources is
        one of its own (`flat`), of the files directly in it.
        """
        for depth, name in enumerate(parts):
            # The deepest level is one of sources, whatever their names.
            is_deepest = depth + 1 == self._layout.source_depth
            if is_deepest or not self._layout.level_matches(depth, name):
                return SourceDir("/".join(parts[: depth + 1]), flat=False)
        return SourceDir("/".join(parts), flat=True)

    def wants_directory(self, directory: tuple[str, ...]) -> bool:
        """Whether files of this shard may be in it, or below it."""
        source = self.source_at(directory)
        return source.flat or self.is_mine(source)

    def wants_file(self, directory: tuple[str, ...], name: str) -> bool:
        """Whether a file of that name there is to be collected by this shard."""
        source = self.source_at(directory)
        below = directory[len(source.parts) :]
        if not self.is_mine(source) or (not below and not source.flat and name == self._tombstone):
            return False
        return self._selection.matches("/".join((*below, name)))

    def mtime_ns(self, source: SourceDir) -> int | None:
        """When an entry of the source's directory last came or went; None where it is gone."""
        status = self.volume.status(source.path)
        return status.st_mtime_ns if status and stat.S_ISDIR(status.st_mode) else None

    def is_as_it_was(self, source: SourceDir, mtime_ns: int, files: Iterable[FilePlace]) -> bool:
        """Whether the source's directory and these files in it are just what they were at the last look: then
        another one would tell nothing new. Opens nothing. Raises OSError.
        """
        if self.mtime_ns(source) != mtime_ns:
            return False
        for file in files:
            status = self.volume.status(source.below(file.name))
            if status is None or status.st_size != file.size or status.st_mtime_ns != file.mtime_ns:
                return False
            if status.st_ino != file.inode or status.st_dev != file.device:
                return False
        return True

    def look(self, source: SourceDir) -> Look | None:
        """All files of the source by name, or None where its directory is gone. Raises OSError where that
        directory cannot be listed.
        """
        seen = _Seen()
        todo: list[tuple[str, ...]] = [()]
        while todo:
            below = todo.pop()
            try:
                todo += self._look_into(source, below, seen)
            except OSError as error:
                # A handle that went stale may be that of the volume: only a missing name is a proof.
                gone = error.errno in VANISHED and error.errno != errno.ESTALE
                if not below and gone:
                    return None
                if not below:
                    raise
                if not gone:
                    seen.unreadable.append(("/".join(below), os.strerror(error.errno or 0)))
        seen.files.sort(key=attrgetter("name"))
        return Look(
            tuple(seen.files),
            seen.tombstone,
            tuple(seen.skipped),
            tuple(seen.unreadable),
            tuple(seen.below),
            seen.mtime_ns,
        )

    def _look_into(self, source: SourceDir, below: tuple[str, ...], seen: _Seen) -> list[tuple[str, ...]]:
        """Takes in one directory; returns those in it that are to be looked into."""
        deeper: list[tuple[str, ...]] = []
        directory = self.volume.open_directory((*source.parts, *below))
        try:
            if not below:  # before it is listed: what comes later moves it
                seen.mtime_ns = os.fstat(directory).st_mtime_ns
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if not source.flat and len(below) < DEEPEST_LEVEL:
                            deeper.append((*below, entry.name))
                        elif not source.flat:
                            seen.skipped.append(("/".join((*below, entry.name)), "depth"))
                    elif not below and self._is_tombstone(source, entry):
                        seen.tombstone = True
                    else:
                        self._see(entry, below, seen)
        finally:
            close(directory)
        seen.below += deeper
        return deeper

    def _is_tombstone(self, source: SourceDir, entry: os.DirEntry[str]) -> bool:
        is_named_so = not source.flat and entry.name == self._tombstone
        return is_named_so and entry.is_file(follow_symlinks=False)

    def _see(self, entry: os.DirEntry[str], below: tuple[str, ...], seen: _Seen) -> None:
        # The same in thousands of sources.
        name = intern("/".join((*below, entry.name)) if below else entry.name)
        if not entry.is_file(follow_symlinks=False):
            seen.skipped.append((name, kind_of(entry)))
            return
        if not self._selection.matches(name):
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            if (
                error.errno == errno.EACCES
            ):  # the directory does not let its entries be seen: so it is with all
                raise
            if error.errno not in VANISHED:
                seen.unreadable.append((name, os.strerror(error.errno or 0)))
            return
        if stat.S_ISREG(status.st_mode):
            place = (status.st_dev, status.st_ino)
            seen.files.append(FileSight(name, *place, status.st_size, status.st_mtime_ns, is_sparse(status)))


def kind_of(entry: os.DirEntry[str]) -> Literal["symlink", "special"]:
    return "symlink" if entry.is_symlink() else "special"
