"""Where generated lines go: a file that is rotated by rename, or a stream that is already open."""

from __future__ import annotations

import os
from pathlib import Path

from collector.errors import Incomplete, UsageError
from collector.generate.lines import first_record_end, last_record_end
from collector.terminal import printable


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Writes all of `data`, unbuffered. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class RotatedFile:
    """A log file that becomes `PATH.1` by rename before it would grow over `size_bytes`.

    `PATH.1` becomes `PATH.2` and so on; `count` rotated files are kept. No record is cut, so one
    that is longer than `size_bytes` has a file to itself. An existing file is continued.
    """

    def __init__(self, path: Path, *, size_bytes: int, count: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._count = count
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise UsageError(
                printable(f"{path}: cannot be opened for writing: {error.strerror}"),
                hint="name a file in a folder that you may write to",
            ) from None

    def write(self, block: bytes) -> None:
        """Appends whole records. Raises Incomplete where the file system takes no more."""
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[self._write_some(rest) :]
        except OSError as error:
            raise Incomplete(printable(f"{self._path}: cannot be written: {error.strerror}")) from None

    def close(self) -> None:
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._bytes = os.fstat(self._descriptor).st_size

    def _write_some(self, rest: memoryview) -> int:
        """Writes what this file has room for, and rotates when that is nothing."""
        end = last_record_end(rest, max(self._size_bytes - self._bytes, 0))
        if not end and self._bytes:
            self._rotate()
            return 0
        end = end or first_record_end(rest)
        write_all(self._descriptor, rest[:end])
        self._bytes += end
        return end

    def _rotate(self) -> None:
        os.close(self._descriptor)
        free = 1
        while free < self._count and self._numbered(free).exists():
            free += 1
        for number in range(free, 1, -1):
            self._numbered(number - 1).replace(self._numbered(number))
        self._path.replace(self._numbered(1))
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
