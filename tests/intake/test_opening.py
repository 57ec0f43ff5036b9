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


def test_what_is_opened_ahead_is_read_as_it_is_when_its_turn_comes(volume: Path) -> None:
    """More small files than an arena holds are open before their turn: one that grew until then is read
    wholly, one that was deleted too, and one that could not be opened once it can.
    """
    story = Story(volume, arena_bytes=8 << 10, max_line_bytes=256)
    text = {f"{number:02}.log": numbered(number * 20, 20) for number in range(50)}
    for name, lines in text.items():
        append(story.pod / name, lines)
    story.look()
    elsewhere = volume.parent / "47.log"
    (story.pod / "47.log").rename(elsewhere)
    assert 0 < story.read_arena() < 40
    assert story.reader.open_files == 49
    text["48.log"] += numbered(5000, 20)
    append(story.pod / "48.log", numbered(5000, 20))
    (story.pod / "49.log").unlink()
    elsewhere.rename(story.pod / "47.log")
    story.look()
    story.read()
    story.look()
    story.read()
    story.commit()
    assert {name: story.text[name, 0] for name in text} == text
    assert not story.losses
    story.close()
