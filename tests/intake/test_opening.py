"""Files of one directory are opened through its descriptor; that is not kept beyond one arena."""

from __future__ import annotations

from pathlib import Path

import pytest
from story import Story, append, numbered


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return tmp_path / "volume"


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_directory_that_was_replaced_is_opened_anew(volume: Path) -> None:
    """A new directory under the name of one that files were just read from: its files are read."""
    story = Story(volume)
    append(story.pod / "a.log", numbered(0, 5))
    append(story.pod / "b.log", numbered(5, 5))
    story.look()
    assert story.read_arena() == 2
    story.pod.rename(volume.parent / "elsewhere")
    story.pod.mkdir()
    append(story.pod / "c.log", numbered(10, 5))
    story.look()
    story.read()
    story.commit()
    assert story.text["c.log", 0] == numbered(10, 5)
    story.close()


def test_no_directory_stays_open(volume: Path) -> None:
    """After an arena only the files themselves are open, also those in folders of the source."""
    story = Story(volume)
    for folder in ("", "main", "sidecar"):
        (story.pod / folder).mkdir(exist_ok=True)
        for number in range(3):
            append(story.pod / folder / f"{number}.log", numbered(number, 1))
    before = open_descriptors()
    story.look()
    assert story.read_arena() == 9
    assert open_descriptors() == before + 9 == before + story.reader.open_files
    story.close()
