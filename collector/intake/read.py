"""Files → arena: reads a little of every file that has something new, back to back into one fixed memory.

Each file gets a fair share of the arena; the rest of a large one waits for the next turn at the end of
the queue. The last bytes before the offset are read along with the new ones and compared, so that a
file that was rewritten meanwhile is noticed without another look.
"""

from __future__ import annotations

import mmap
import os
import resource
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from collector.events import Emit, FileUnreadable
from collector.intake.catalog import Catalog
from collector.intake.frame import LINE_FEED, SCAN_BYTES, first_line_feeds, frame, line_feeds
from collector.intake.framing import Frame
from collector.intake.holes import is_sparse, next_data
from collector.intake.names import encode_name
from collector.intake.opening import OpenFiles
from collector.intake.queue import REACH_SECONDS
from collector.intake.track import HEAD_BYTES, TAIL_BYTES, TrackedFile, short_hash
from collector.intake.volume import EXHAUSTED, VANISHED, Volume
from collector.model import Lines, Take

LEAST_SHARE_BYTES = 64 << 10
LEAST_LINE_BYTES = 32
"""An arena has a line for each of these, unless told otherwise. A row costs some hundred bytes on its way,
however short it is.
"""

MOST_READS = 4096
"""Files that are read into one arena, however short they are."""

AHEAD_FILES = 64
"""Files that may be opened before the first of them is read."""

ROOM_BYTES = 8 << 10
"""What an arena has beyond two lines of `max_line_bytes`: a row that is open, and half of the line after it,
are never all that a read can hold.
"""

RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
"""Between tries of a file that cannot be read: the first wait, doubled after each further one up to this."""

MOST_VANISHED = 3
"""So often a file may vanish as it is read and be seen again by the next look, before that is a failure."""


class Read(NamedTuple):
    """`length` bytes of a file from `start`, at `at` in the arena. `head` are the file's first bytes where
    they are needed for its evidence, perhaps in the arena, `tail` those before `start`. `at_end`: nothing
    more was there. `final`: what is no complete row is taken as it is; `may_wait`: else it waits until it
    is. `is_cut`: more was read, but an arena holds no more lines. `mtime_ns` is the file's, as it was opened.
    """

    tracked: TrackedFile
    at: int
    start: int
    length: int
    at_end: bool
    final: bool
    may_wait: bool
    head: bytes | memoryview
    tail: bytes
    mtime_ns: int
    is_cut: bool = False


class Reader:
    def __init__(
        self,
        volume: Volume,
        name: str,
        *,
        arena_bytes: int,
        max_line_bytes: int,
        open_files: int,
        follow: bool,
        emit: Emit,
        most_lines: int | None = None,
        framing: Frame = frame,
    ) -> None:
        """Without `follow`, a file is read only as far as the last look saw it: so reading comes to an end
        while others write.
        """
        self._follow = follow
        self._name = name
        self._max_line_bytes = max_line_bytes
        self._framing = framing
        self._volume = volume
        self._files = OpenFiles(volume, open_files)
        self._most_lines = most_lines or arena_bytes // LEAST_LINE_BYTES
        self._emit = emit
        # Anonymous memory of its own: page-aligned, and given back to the system as a whole.
        self._memory = mmap.mmap(-1, arena_bytes)
        self.arena = np.frombuffer(self._memory, np.uint8)
        self._view = memoryview(self._memory)
        self._scratch = np.empty(SCAN_BYTES, np.bool_)
        self._found = np.empty(0, np.int64)
        """Where in the arena line feeds are, of what was read last."""

    @property
    def open_files(self) -> int:
        return len(self._files)

    def close(self) -> None:
        self._files.close()

    def release(self, tracked: TrackedFile) -> None:
        """Closes the file's descriptor, if it has one."""
        self._files.release(tracked)

    def adopt(self, tracked: TrackedFile, descriptor: int) -> None:
        """Reads the file through this descriptor, and closes it when it is done."""
        self._files.adopt(tracked, descriptor)

    def fill(self, catalog: Catalog, now: float) -> list[Read]:
        """Reads from the head of the queue until the arena or the queue is used up."""
        while catalog.queue.closed:
            self.release(catalog.queue.closed.pop())
        reads: list[Read] = []
        space, position = len(self.arena), 0
        waiting = len(catalog.queue.ready)
        todo = list(islice(catalog.queue.ready, 2 * MOST_READS))
        for done, tracked in enumerate(todo):
            if done % AHEAD_FILES == 0:
                self._files.ahead(todo[done : done + AHEAD_FILES])
            left = space - position
            least = max(LEAST_SHARE_BYTES, tracked.least_read_bytes)
            share = max(left // (waiting - done), least)
            has_room = left >= least or left >= tracked.unread_bytes
            if reads and (not has_room or len(reads) >= MOST_READS):
                break
            catalog.queue.take(tracked)
            read = self._read(catalog, tracked, position, min(share, left), now)
            if read is not None:
                reads.append(read)
                position += read.length
        self._volume.leave()
        if todo:
            self._files.leave()
        if not reads:
            return []
        return self._within_lines(catalog, reads, position)

    def _within_lines(self, catalog: Catalog, reads: list[Read], size: int) -> list[Read]:
        """The reads as far as they hold `most_lines`; what is beyond that is read again in a later turn."""
        found = first_line_feeds(self.arena[:size], self._most_lines + 1, self._scratch)
        self._found = found[: self._most_lines]
        if len(found) <= self._most_lines:
            return reads
        end = int(self._found[-1]) + 1
        kept = []
        for read in reads:
            if read.at >= end:
                catalog.queue.again(read.tracked)
            elif read.at + read.length > end:
                kept.append(read._replace(length=end - read.at, at_end=False, final=False, is_cut=True))
            else:
                kept.append(read)
        return kept

    def frame(self, reads: Sequence[Read]) -> Lines:
        at = np.array([read.at for read in reads], np.int64)
        lengths = np.array([read.length for read in reads], np.int64)
        final = np.array([read.final for read in reads], np.bool_)
        lines = self._framing(self.arena, at, lengths, final, self._max_line_bytes, found=self._found)
        if len(reads) == 1 and reads[0].is_cut and not lines.consumed[0]:
            # A row of more lines than an arena may have: it comes in pieces.
            lines = self._framing(self.arena, at, lengths, ~final, self._max_line_bytes, found=self._found)
        return lines

    def take(self, catalog: Catalog, reads: Sequence[Read], lines: Lines) -> list[Take]:
        """Moves each file's read offset behind the rows that were made of it, and queues what is left."""
        takes = []
        feeds = line_feeds(lines).tolist()
        counts = zip(reads, lines.consumed.tolist(), lines.row_counts.tolist(), feeds, strict=True)
        for read, consumed, rows, found in counts:
            takes.append(self._advance(read, consumed, rows, line_feeds=found))
            if consumed:
                catalog.taken(read.tracked)
            self._requeue(catalog, read, consumed)
        return takes

    # --- one file

    def _read(self, catalog: Catalog, tracked: TrackedFile, at: int, space: int, now: float) -> Read | None:
        if now < tracked.retry_at:
            return None  # the next look asks again
        if tracked.gone and tracked.descriptor < 0:
            return None  # the next look says whether it has another name
        try:
            status = self._files.opened(tracked)
            if status is None:
                catalog.urgent[tracked.source] = None
                return None
            read = self._fill_from(catalog, tracked, status, at=at, space=space, now=now)
        except OSError as error:
            self.release(tracked)
            tracked.failures += 1
            if tracked.gone or (error.errno in VANISHED and tracked.failures <= MOST_VANISHED):
                catalog.urgent[tracked.source] = None  # the next look says whether it is gone
            else:
                catalog.queue.unreadable[tracked] = None
                self._failed(tracked, error, now)
                catalog.schedule.at(tracked.source, 0.0)  # the next looks ask again
            return None
        tracked.failures, tracked.retry_at = 0, 0.0
        catalog.queue.unreadable.pop(tracked, None)
        return read

    def _failed(self, tracked: TrackedFile, error: OSError, now: float) -> None:
        if error.errno in EXHAUSTED:
            tracked.failures = 0  # that is no fault of the file's
        doubled = RETRY_SECONDS * 2.0 ** min(max(tracked.failures - 1, 0), 10)
        tracked.retry_at = now + min(doubled, LONGEST_RETRY_SECONDS)
        self._emit(
            FileUnreadable(
                volume=self._name,
                source=tracked.file.source,
                path=encode_name(tracked.name),
                error=os.strerror(error.errno or 0),
            )
        )

    def _fill_from(
        self,
        catalog: Catalog,
        tracked: TrackedFile,
        status: os.stat_result,
        *,
        at: int,
        space: int,
        now: float,
    ) -> Read | None:
        start, length = tracked.read_offset, status.st_size
        data = (start, length)
        if is_sparse(status) and length > start:
            data = next_data(tracked.descriptor, start, length)
            if data[0] == length:
                tracked.end_in_hole(length)
                data, length = (start, start), start
        is_growing = length > tracked.size
        size = self._grown(tracked, length, now)
        if tracked.gone and size <= start and self._is_out_of_reach(tracked, now):
            catalog.reach_ended(tracked)
            return None
        if size < (start or tracked.size):
            catalog.urgent[tracked.source] = None
            return None
        if start < data[0] < size:
            self._skip_hole(catalog, tracked, data[0])
            return None
        stop = min(size, data[1]) if data[0] == start else start
        tail = bytearray(tracked.tail_bytes)
        wanted = min(space, stop - start)
        into: list[bytearray | memoryview] = [tail, self._view[at : at + wanted]]
        got = os.preadv(tracked.descriptor, into, start - len(tail)) - len(tail)
        if (
            got < 0
            or (tail and short_hash(tail) != tracked.tail_hash)
            or self._lost_its_start(tracked, at, got)
        ):
            self._suspect(catalog, tracked)
            return None
        tracked.longest = max(tracked.longest, size)
        if got < wanted:
            catalog.urgent[tracked.source] = None
            if not got:
                return None
        at_stop = start + got >= stop
        may_end = self._follow or not is_growing or tracked.source.finish_by is not None
        ends_line = self._view[at + got - 1] == LINE_FEED
        is_ended = may_end and catalog.queue.may_take_partial(tracked, now, ends_line=ends_line)
        final = at_stop and (stop < size or is_ended)
        head = self._head(tracked, start, at, got)
        at_end = at_stop and stop == size
        mtime_ns = status.st_mtime_ns
        return Read(tracked, at, start, got, at_end, final, may_end, head, bytes(tail), mtime_ns)

    def _grown(self, tracked: TrackedFile, size: int, now: float) -> int:
        """How far the file is to be read, now that it has `size` bytes."""
        if size > tracked.size and not self._follow:
            return tracked.size
        if size != tracked.size and size >= (tracked.read_offset or tracked.size):
            if size < tracked.size:
                tracked.longest = max(tracked.longest, tracked.size)
            tracked.size, tracked.grown_at = size, now
            tracked.source.newest = max(tracked.source.newest, now)
        return size

    def _lost_its_start(self, tracked: TrackedFile, at: int, got: int) -> bool:
        """Whether a file begins otherwise than the half line did that was seen of it and not taken."""
        length = tracked.head_bytes if not tracked.read_offset else 0
        return 0 < length <= got and short_hash(self._view[at : at + length]) != tracked.head_hash

    def _suspect(self, catalog: Catalog, tracked: TrackedFile) -> None:
        """Other bytes stand before the offset than were read: the next look decides what the file is."""
        tracked.suspect = True
        catalog.urgent[tracked.source] = None
        if tracked.gone or tracked.source.missing:
            tracked.size = tracked.longest  # what it grew by was the other content's
            self.release(tracked)

    def _is_out_of_reach(self, tracked: TrackedFile, now: float) -> bool:
        """Whether a file without a name, all read, is to be let go: not before a second look missed it."""
        return tracked.missing > 1 and now - tracked.grown_at > REACH_SECONDS

    def _skip_hole(self, catalog: Catalog, tracked: TrackedFile, start: int) -> None:
        """Moves over a hole: it is no line, and no loss. Evidence then starts anew behind it."""
        tail = os.pread(tracked.descriptor, tracked.tail_bytes, tracked.read_offset - tracked.tail_bytes)
        if short_hash(tail) != tracked.tail_hash:
            self._suspect(catalog, tracked)
            return
        tracked.read_offset = start
        tracked.has_holes = True
        tracked.tail_bytes = min(TAIL_BYTES, start)
        tracked.tail_hash = short_hash(
            os.pread(tracked.descriptor, tracked.tail_bytes, start - tracked.tail_bytes)
        )
        if tracked.unread_bytes:
            catalog.queue.again(tracked)

    def _head(self, tracked: TrackedFile, start: int, at: int, got: int) -> bytes | memoryview:
        """The file's first bytes, while its evidence does not cover a whole kilobyte of them."""
        if start == 0:
            return self._view[at : at + min(got, HEAD_BYTES)]
        if tracked.head_bytes >= HEAD_BYTES:
            return b""
        return os.pread(tracked.descriptor, min(start + got, HEAD_BYTES), 0)

    def _advance(self, read: Read, consumed: int, rows: int, *, line_feeds: int) -> Take:
        tracked = read.tracked
        end, starts_line = read.start + consumed, tracked.terminated
        if consumed:
            data = self._view[read.at : read.at + consumed]
            if tracked.prefix is not None:
                tracked.prefix.update(data)
            tracked.restored_sha256 = b""
            if tracked.head_bytes < HEAD_BYTES or not read.start:
                tracked.head_bytes = min(HEAD_BYTES, end)
                tracked.head_hash = short_hash(read.head[: tracked.head_bytes])
            tail = data[-TAIL_BYTES:]
            if consumed < TAIL_BYTES:
                tail = memoryview((read.tail + tail)[-TAIL_BYTES:])
            tracked.tail_bytes, tracked.tail_hash = len(tail), short_hash(tail)
            tracked.read_offset = tracked.taken_offset = end
            tracked.least_read_bytes = 0
            tracked.terminated = data[-1] == LINE_FEED
        return Take(
            file=tracked.file,
            name=encode_name(tracked.name),
            origin=tracked.origin,
            at=read.at,
            start=read.start,
            end=end,
            rows=rows,
            line_feeds=line_feeds,
            terminated=bool(consumed) and tracked.terminated,
            evidence=tracked.evidence(),
            starts_line=starts_line,
        )

    def _requeue(self, catalog: Catalog, read: Read, consumed: int) -> None:
        tracked = read.tracked
        if consumed == read.length and read.at_end:
            tracked.waits_at = -1
        elif read.at_end:
            tracked.waits_at = read.start + read.length
            if not read.start and not consumed:  # it may be cut and go on as a copy before its line is whole
                tracked.head_bytes, tracked.head_hash = len(read.head), short_hash(read.head)
            if read.may_wait:
                ends_line = self._view[read.at + read.length - 1] == LINE_FEED
                catalog.queue.wait(tracked, ends_line=ends_line)
        else:
            if not consumed:
                # Half a line filled the whole share: ask for more, so that a long line gets through.
                tracked.least_read_bytes = min(
                    max(2 * read.length, LEAST_SHARE_BYTES), 2 * self._max_line_bytes + ROOM_BYTES
                )
            catalog.queue.again(tracked)


def raise_open_files_limit() -> int:
    """Raises the soft limit of open files to the hard one; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
