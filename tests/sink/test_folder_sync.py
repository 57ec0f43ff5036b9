"""One fsync of a folder serves all threads that wait for it; an error reaches each of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

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
