"""What is remembered of each source and file while it is collected.

Two positions, one gate: `read_offset` is how far a file was read into batches; `committed_offset` how
far the destination has it, and only a durable commit moves that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from collector.intake.discover import STEADY_SECONDS, FileSight, Look, SourceDir
from collector.intake.few import Few
from collector.intake.stems import Stems
from collector.model import Evidence, FileCheckpoint, FileId, FinishedBy, Origin

if TYPE_CHECKING:
    from hashlib import _Hash

HEAD_BYTES = 1024
TAIL_BYTES = 256
HASH_BYTES = 16
NOTHING = hashlib.sha256(b"").digest()[:HASH_BYTES]


def short_hash(data: bytes | bytearray | memoryview) -> bytes:
    """The hash that evidence is written with, in hex digits: the first 16 bytes of SHA-256."""
    return hashlib.sha256(data).digest()[:HASH_BYTES]


def _hash_of(digits: str) -> bytes:
    """What is no hash is that of nothing that could be read."""
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""


NO_GENERATIONS: Few[int] = Few()
LONG_SINCE = float("-inf")
NOT_SCHEDULED = -1.0
NONE_DEFERRED: Mapping[str, float] = MappingProxyType({})


@lru_cache(1024)
def _only(path: str, generation: int) -> Few[int]:
    return Few({path: generation})


def without(files: tuple[TrackedFile, ...], tracked: TrackedFile) -> tuple[TrackedFile, ...]:
    """Raises ValueError where it is not among them."""
    at = files.index(tracked)
    return files[:at] + files[at + 1 :]


class TrackedFile:
    """One content of one path. Compared by identity."""

    __slots__ = (
        "committed_offset",
        "descriptor",
        "device",
        "failures",
        "file",
        "gone",
        "grown_at",
        "has_holes",
        "head_bytes",
        "head_hash",
        "hole_end",
        "inode",
        "least_read_bytes",
        "longest",
        "missing",
        "mtime_ns",
        "name",
        "origin",
        "prefix",
        "read_offset",
        "restored_sha256",
        "retry_at",
        "size",
        "source",
        "suspect",
        "tail_bytes",
        "tail_hash",
        "taken_offset",
        "terminated",
        "waits_at",
    )

    def __init__(
        self, source: TrackedSource, file: FileId, origin: Origin, name: str, *, is_new: bool = True
    ) -> None:
        """`is_new`: nothing of it was read before this process began."""
        self.source = source
        self.file = file
        self.origin = origin
        self.name = name
        self.device = self.inode = 0
        self.size = 0
        self.longest = 0
        """The largest size known to be this content's: by a size alone another one can look like growth."""
        self.mtime_ns: int | None = None
        self.read_offset = self.taken_offset = self.committed_offset = 0
        """`taken_offset` is where the last row ended: before `read_offset` where a hole was skipped."""
        self.terminated = True
        """Whether the last row that was taken, if any, ended in a line feed."""
        self.head_bytes = self.tail_bytes = 0
        self.head_hash = self.tail_hash = NOTHING
        self.prefix: _Hash | None = hashlib.sha256() if is_new else None
        self.restored_sha256 = b""
        """Of all that was read, where a checkpoint told it and no more was read since."""
        """Hash of all data read so far; None after a restart in the middle of the file."""
        self.has_holes = False
        """Whether a hole was skipped since the start."""
        self.hole_end = 0
        """Where the hole ends that follows the data, 0 where none does: `size` is that of the data."""
        self.grown_at = 0.0
        self.suspect = False
        """Whether the reader found other bytes before the offset than it had read."""
        self.waits_at = -1
        """The size at which what is left is no complete line; -1 where nothing is left waiting."""
        self.least_read_bytes = 0
        self.missing = 0
        self.gone = False
        self.retry_at = 0.0
        """When it is read again after it could not be; 0 where it could."""
        self.failures = 0
        """How often in a row it could not be read."""
        self.descriptor = -1

    def restore(self, checkpoint: FileCheckpoint) -> None:
        """Continues where the checkpoint says. What stands there is checked before it is read on."""
        self.read_offset = self.taken_offset = self.committed_offset = checkpoint.offset
        self.size = self.longest = checkpoint.offset
        evidence = checkpoint.evidence
        self.device, self.inode = evidence.device, evidence.inode
        self.head_bytes, self.head_hash = evidence.head_bytes, _hash_of(evidence.head_hash)
        is_short = evidence.tail_hash == evidence.head_hash  # then one copy will do
        self.tail_bytes = evidence.tail_bytes
        self.tail_hash = self.head_hash if is_short else _hash_of(evidence.tail_hash)
        self.restored_sha256 = _hash_of(evidence.prefix_sha256 or "")
        self.terminated = checkpoint.terminated or not checkpoint.bytes

    def sighted(self, sight: FileSight) -> None:
        self.name = sight.name
        if sight.size < self.size:
            self.longest = max(self.longest, self.size)
        # Numbers that are as before are kept: they are shared with other files, or with other positions.
        if (sight.device, sight.inode) != (self.device, self.inode):
            self.device, self.inode = sight.device, sight.inode
        if sight.size != self.size:
            self.size = sight.size
        self.mtime_ns, self.hole_end = sight.mtime_ns, sight.hole_end
        self.missing = 0
        self.suspect = False

    def is_as_seen(self, sight: FileSight) -> bool:
        """Whether a look found all of it read, and found it just so before: then it tells nothing new."""
        return (
            self.mtime_ns == sight.mtime_ns
            and self.size == sight.size == self.read_offset == self.longest
            and self.hole_end == sight.hole_end
            and not (self.suspect or self.missing)
        )

    def end_in_hole(self, hole_end: int) -> None:
        """Nothing but a hole follows what was read, up to here: its data ends at `read_offset`."""
        self.hole_end, self.size = hole_end, self.read_offset
        if self.longest <= hole_end:
            self.longest = self.size

    @property
    def seen_bytes(self) -> int:
        """What is lost if it vanishes."""
        return max(self.longest, self.size)

    @property
    def is_restored(self) -> bool:
        """Whether it is known from a checkpoint, and was not seen since."""
        return self.mtime_ns is None and self.read_offset > 0

    @property
    def is_unsure(self) -> bool:
        """Whether it grew since the reader last saw that it is what it was."""
        return self.size > max(self.read_offset, self.longest) and self.read_offset > 0

    @property
    def unread_bytes(self) -> int:
        return max(0, self.size - self.read_offset)

    @property
    def has_news(self) -> bool:
        """Whether there is something to read that was not found to be half a line already."""
        return self.size > self.read_offset and self.size != self.waits_at

    def evidence(self) -> Evidence:
        """By what the file is known again, as of `read_offset`."""
        return Evidence(
            device=self.device,
            inode=self.inode,
            head_bytes=self.head_bytes,
            head_hash=self.head_hash.hex(),
            tail_bytes=self.tail_bytes,
            tail_hash=self.tail_hash.hex(),
            prefix_sha256=self.prefix.hexdigest() if self.prefix is not None else None,
        )


class TrackedSource:
    """One source: its live files by raw name, and those that are gone but not done with."""

    __slots__ = (
        "_stems",
        "deferred",
        "directory",
        "error",
        "files",
        "finish_by",
        "finished",
        "first_seen",
        "generations",
        "gone",
        "is_deep",
        "is_steady",
        "look_at",
        "look_every",
        "looked_at",
        "looked_into_at",
        "looks",
        "missing",
        "missing_since",
        "mtime_ns",
        "mtime_since",
        "newest",
        "origin",
        "past",
        "skipped",
        "source",
        "tombstone",
        "unsettled",
    )

    def __init__(self, directory: SourceDir, source: str, origin: Origin, now: float) -> None:
        self.directory = directory
        self.source = source
        self.origin = origin
        self.files: Few[TrackedFile] = Few()
        """By raw name; changed by `put` and `take` only."""
        self._stems: Stems[TrackedFile] | None = None
        """The same files by the stem of their name, once somebody asked for that while there were several."""
        self.gone: tuple[TrackedFile, ...] = ()
        """No name led to them at the last look: read through their descriptors, or perhaps named anew."""
        self.past: tuple[TrackedFile, ...] = ()
        """Contents that were truncated or replaced: kept to know their copies by."""
        self.deferred: Mapping[str, float] = NONE_DEFERRED
        """Files that may be the copy of a copytruncate in progress, and since when; see `defer`."""
        self.generations: Few[int] = NO_GENERATIONS
        """The next generation of each path; see `set_generation`."""
        self.skipped: set[str] | None = None
        """Entries that were told to be passed over; None while there were none."""
        self.tombstone = False
        self.first_seen = now
        self.newest = 0.0
        """When anything last grew, in seconds; 0 while nothing did. At the first look mtimes say so."""
        self.error = ""
        """Why its directory could not be read at the last look; empty where it could."""
        self.looks = 0
        self.looked_at = LONG_SINCE
        self.looked_into_at = LONG_SINCE
        """When a look was more than a glance at its times."""
        self.look_at = NOT_SCHEDULED
        self.look_every = 0.0
        """Schedule, in seconds of a clock that only goes forward."""
        self.unsettled = False
        """Whether the next look is to tell what became of a file."""
        self.missing = 0
        self.missing_since = 0.0
        self.mtime_ns = 0
        """Of its directory, as of the last look; `mtime_since` is when a look first saw it."""
        self.mtime_since = 0.0
        self.is_steady = False
        """Whether a look came so long after that mtime that the next change will move it."""
        self.is_deep = False
        """Whether there are directories below it."""
        self.finish_by: FinishedBy | None = None
        """Why the source is taken for finished; None while it is not."""
        self.finished = False
        """Whether its receipt is written, and nothing changed since."""

    def looked(self, look: Look, seconds: float, *, stood_seconds: float = 0.0) -> None:
        """Notes by what the next look may know that nothing changed: its mtime stood for so long before."""
        if look.mtime_ns != self.mtime_ns:
            self.mtime_ns = look.mtime_ns
            self.mtime_since = LONG_SINCE if stood_seconds >= STEADY_SECONDS else seconds
        self.looked_into_at = seconds
        self.is_steady = seconds - self.mtime_since >= STEADY_SECONDS
        self.is_deep = bool(look.below)

    def put(self, name: str, tracked: TrackedFile) -> None:
        """`name` leads to `tracked` now, which is to be called so before another one is put."""
        self.files[name] = tracked
        if self._stems is not None:
            self._stems.put(name, tracked)

    def take(self, name: str) -> TrackedFile | None:
        """Removes what `name` leads to, and returns it."""
        self.settle(name)
        if self._stems is not None and name in self.files:
            self._stems.take(name)
        return self.files.pop(name, None)

    def namesakes(self, name: str) -> Iterator[TrackedFile]:
        """The files after which a rotation may have called another one `name`."""
        if self._stems is None and len(self.files) > 1:
            self._stems = Stems(self.files)
        return (self._stems or Stems(self.files)).namesakes(name)

    def has_namesakes(self, name: str) -> bool:
        return next(self.namesakes(name), None) is not None

    def defer(self, name: str, now: float) -> float:
        """The file may be the copy of another one; returns since when it waits for that to be known."""
        if not isinstance(self.deferred, dict):
            self.deferred = {}
        since: float = self.deferred.setdefault(name, now)
        return since

    def settle(self, name: str) -> None:
        """What the file is, is known."""
        if isinstance(self.deferred, dict):
            self.deferred.pop(name, None)

    def next_generation(self, path: str, floor: int) -> int:
        generation = self.generations.get(path, floor)
        self.set_generation(path, generation + 1)
        return generation

    def set_generation(self, path: str, following: int) -> None:
        """The next content of the path is `following`."""
        if len(self.generations) > 1:
            self.generations[path] = following
        else:
            self.set_generations(dict(self.generations.items()) | {path: following})

    def set_generations(self, following: dict[str, int]) -> None:
        """The same for all paths. What is said of one alone is shared by many sources, and never changed."""
        self.generations = Few(following) if len(following) != 1 else _only(*next(iter(following.items())))

    def give_back(self, file: FileId) -> None:
        """The file turned out to be another one: its generation is free, unless a later one was given."""
        if self.generations[file.path] == file.generation + 1:
            self.set_generation(file.path, file.generation)
