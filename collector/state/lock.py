"""One process at a time writes a state folder: `flock` on its `lock` file, which tells who holds it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path

from collector.errors import StateLocked
from collector.json_text import Unfit, decoded, encoded
from collector.model import Owner
from collector.state.disk import expect_in_place
from collector.value import value

# `holder` holds a shared lock for some microseconds: who wants the lock then asks again.
_TRIES = 5
_BETWEEN_TRIES_SECONDS = 0.02


@value
class Holder:
    """Who holds a lock. `owner` is None where the file does not tell. `since` is the lock file's mtime."""

    owner: Owner | None
    since: datetime

    def __str__(self) -> str:
        who = f"{self.owner.host} pid {self.owner.pid}" if self.owner else "another process"
        return f"{who} since {self.since:%Y-%m-%dT%H:%M:%SZ}"


class Lock:
    """Held until `release`, or until the process is dead. The file stays where it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def take(self, owner: Owner) -> None:
        """Raises StateLocked, which says who holds it."""
        if self._fd is not None:
            return
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not _flocked(fd):
                raise StateLocked(
                    f"{self.path.parent} is in use by {_read(fd)}",
                    hint="stop that collector, or name another state folder with --state",
                )
            os.ftruncate(fd, 0)
            os.pwrite(fd, encoded(owner) + b"\n", 0)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def expect_in_place(self) -> None:
        """Raises StateError where the lock that is held is not the one that others would meet."""
        if self._fd is not None:
            expect_in_place(self._fd, self.path)

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def holder(path: Path) -> Holder | None:
    """Who holds the lock file now, if anybody does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        flock(fd, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return _read(fd)
    finally:
        os.close(fd)
    return None


def _flocked(fd: int) -> bool:
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            flock(fd, LOCK_EX | LOCK_NB)
            return True
        time.sleep(_BETWEEN_TRIES_SECONDS)
    return False


def _read(fd: int) -> Holder:
    owner: Owner | None = None
    with suppress(Unfit):  # an empty file: its writer is between its lock and its name
        owner = decoded(Owner, os.pread(fd, 4096, 0))
    return Holder(owner, datetime.fromtimestamp(os.fstat(fd).st_mtime, UTC))
