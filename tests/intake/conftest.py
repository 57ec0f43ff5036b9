from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from story import Story


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    return folder


@pytest.fixture
def begin(root: Path):
    """Begins a story on an empty volume; its descriptors are closed at the end."""
    begun: list[Story] = []

    def make(**settings) -> Story:
        begun.append(Story(root, **settings))
        return begun[-1]

    yield make
    for each in begun:
        each.close()


@pytest.fixture
def story(begin) -> Story:
    return begin()


NOBODY = 65534


@pytest.fixture
def unprivileged(tmp_path: Path) -> Callable[[], AbstractContextManager[None]]:
    """Runs what is in its `with` as a user whom permissions bind; files made before must be readable."""

    @contextmanager
    def run() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        # pytest keeps its folders to their owner; nobody has to get through to the volume.
        for folder in (tmp_path, *tmp_path.parents):
            mode = folder.stat().st_mode
            if not mode & 0o001:
                folder.chmod(mode | 0o055)
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return run
