from __future__ import annotations

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
