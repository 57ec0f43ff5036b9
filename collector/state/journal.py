"""`journal.jsonl`: the changes since the snapshot, one line each, numbered without a gap.

A last line that a crash left torn (no line feed, or a wrong checksum) is ignored, and cut off before
the next one is written. Any other damage is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from collector.errors import StateError
from collector.state.codec import (
    Change,
    JournalHeader,
    damaged,
    decode_change,
    decode_journal_header,
    encode_journal_header,
    intact,
)
from collector.state.disk import expect_in_place, write_whole
from collector.value import value


@value
class Journal:
    """A journal as read. `last` is its last change's number, `whole_bytes` where a torn line starts.
    `lines` are those of the changes, from line 2 of the file at `place` on.
    """

    header: JournalHeader
    lines: tuple[bytes, ...]
    whole_bytes: int
    place: str

    @property
    def last(self) -> int:
        return self.header.after + len(self.lines)

    def changes(self) -> Iterator[tuple[str, Change]]:
        """Each with its place, read as it is asked for: one may speak of thousands of files. Raises
        StateDamaged with that place.
        """
        for at, line in enumerate(self.lines):
            place = f"{self.place}:{at + 2}"
            change = decode_change(line, place)
            if change.n != self.header.after + 1 + at:
                raise damaged(place, f"number {change.n} where {self.header.after + 1 + at} comes next")
            yield place, change


@value
class JournalEnd:
    """Where the next change is to be written: behind change `last`, and so many bytes of the file; 0 where a
    new one is to begin.
    """

    last: int
    whole_bytes: int = 0


def read_journal(file: BinaryIO, place: str) -> Journal | None:
    """None where not even the header is whole. Raises StateDamaged with `place` and the line number."""
    lines = file.readlines()
    if lines and not intact(lines[-1]):
        lines.pop()
    if not lines:
        return None
    header = decode_journal_header(lines[0], f"{place}:1")
    return Journal(header, tuple(lines[1:]), sum(map(len, lines)), place)


class JournalWriter:
    """Appends to one journal file. `last` is the number of the last change that it wrote or tried to."""

    def __init__(self, path: Path, body: bytes, *, last: int) -> None:
        """Replaces the file by a new one that holds `body`: whole lines, up to change `last`.

        What an earlier process left is never appended to. It may have been read from memory alone, and after
        an fsync that failed no later one of the same file would say so.
        """
        self._path = path
        self.last = last
        self._failed = False
        write_whole(path, [body])
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    @classmethod
    def create(cls, path: Path, header: JournalHeader) -> JournalWriter:
        """Replaces the file by an empty journal."""
        return cls(path, encode_journal_header(header), last=header.after)

    @classmethod
    def resume(cls, path: Path, end: JournalEnd) -> JournalWriter:
        """Goes on where the journal that was read ends: behind its last whole line."""
        return cls(path, path.read_bytes()[: end.whole_bytes], last=end.last)

    def append(self, lines: Sequence[bytes]) -> None:
        """Durably writes the changes `last` + 1 and so on. After a failure nothing more is written:
        it is not known how much of the failed write stands in the file.
        """
        if self._failed:
            raise StateError(f"{self._path}: an earlier write failed", hint="start joblog again")
        expect_in_place(self._fd, self._path)
        self.last += len(lines)
        self._failed = True
        _write_all(self._fd, b"".join(lines))
        os.fsync(self._fd)
        self._failed = False

    def close(self) -> None:
        os.close(self._fd)


def _write_all(fd: int, body: bytes) -> None:
    left = memoryview(body)
    while left:
        left = left[os.write(fd, left) :]
