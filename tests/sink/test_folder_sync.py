"""One fsync of a folder serves all threads that wait for it; an error reaches each of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collector.sink import folder_sync
from collector.sink.folder_sync import FolderSync

THREADS = 16
WITHIN_SECONDS = 30


def test_all_who_wait_come_back(tmp_path: Path):
    """Sixteen threads that put names into one folder, a hundred each: none waits for ever."""
    sync = FolderSync(tmp_path)

    def put(thread: int) -> None:
        for number in range(100):
            (tmp_path / f"{thread}-{number}").touch()
            sync()

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(put, thread) for thread in range(THREADS)]:
            future.result(WITHIN_SECONDS)
    assert len(list(tmp_path.iterdir())) == THREADS * 100


def test_an_error_is_everybodys(tmp_path: Path):
    """The folder is gone: each of those who wait is told, and nobody takes another's try for his own."""
    folder = tmp_path / "folder"
    sync = FolderSync(folder)
    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(sync) for _ in range(THREADS)]:
            with pytest.raises(FileNotFoundError):
                future.result(WITHIN_SECONDS)
    folder.mkdir()
    sync()


class Interrupted(Exception):
    """What the handler of a signal raises."""


class Watched(threading.Event):
    """Tells that somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.awaited.set()
        return super().wait(timeout)


class Interrupting(Watched):
    """Interrupts who waits for it first, when somebody waits for `other`."""

    def __init__(self, other: Watched) -> None:
        super().__init__()
        self._other = other

    def wait(self, timeout: float | None = None) -> bool:
        if self.awaited.is_set():
            return super().wait(timeout)
        self.awaited.set()
        assert self._other.awaited.wait(WITHIN_SECONDS)
        raise Interrupted


def test_who_is_interrupted_leaves_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The leader of a round is interrupted while the round before runs: who waits for it leads instead."""
    begun, go_on = threading.Event(), threading.Event()

    def slow_fsync(folder: Path) -> None:
        begun.set()
        assert go_on.wait(WITHIN_SECONDS)

    monkeypatch.setattr(folder_sync, "fsync_folder", slow_fsync)
    sync = FolderSync(tmp_path)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(sync)
        assert begun.wait(WITHIN_SECONDS)
        joined = sync._next.done = Watched()
        interrupting = sync._running.done = Interrupting(joined)
        leader = pool.submit(sync)
        assert interrupting.awaited.wait(WITHIN_SECONDS)
        follower = pool.submit(sync)
        with pytest.raises(Interrupted):
            leader.result(WITHIN_SECONDS)
        go_on.set()
        first.result(WITHIN_SECONDS)
        follower.result(WITHIN_SECONDS)
