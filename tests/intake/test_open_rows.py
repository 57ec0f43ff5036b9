"""Rows whose end is not known yet: how long they wait, and that they do not stop a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from story import Story

from collector.intake.framing import framing
from collector.model import BatchSettings

DATED = framing(BatchSettings("subpath", "parquet", "zstd", 1 << 16, multiline=r"^\d\d-"))
CRI = framing(BatchSettings("kubelet", "parquet", "zstd", 1 << 16, line_format="cri"))


def texts(story: Story) -> list[bytes]:
    return [row.data for rows in story.rows.values() for row in rows]


def collect(story: Story) -> list[bytes]:
    """Looks and reads once; what was read so far."""
    story.look()
    while story.read_arena():
        pass
    story.commit()
    return texts(story)


@pytest.fixture
def begin(tmp_path: Path):
    stories = []

    def make(**settings) -> Story:
        stories.append(Story(tmp_path, **settings))
        return stories[-1]

    yield make
    for story in stories:
        story.close()


def test_the_last_record_waits_for_the_next_start(begin):
    """What may go on is not read; the next start ends it."""
    story = begin(framing=DATED, record_after_seconds=5.0)
    log = story.pod / "app.log"
    log.write_bytes(b"01-a\n\tb\n")
    assert collect(story) == []
    with log.open("ab") as file:
        file.write(b"\tc\n02-d\n")
    assert collect(story) == [b"01-a\n\tb\n\tc"]


def test_the_last_record_ends_after_its_timeout(begin):
    """Not a moment before, but before `partial_after`; half a line waits for that."""
    story = begin(framing=DATED, record_after_seconds=5.0, partial_after_seconds=60.0)
    (story.pod / "whole.log").write_bytes(b"01-a\n\tb\n")
    (story.pod / "half.log").write_bytes(b"02-a\n\tb")
    assert collect(story) == []
    story.now += 4.9
    assert collect(story) == []
    story.now += 0.2
    assert collect(story) == [b"01-a\n\tb"]
    story.now += 50
    assert collect(story) == [b"01-a\n\tb"]
    story.now += 10
    assert sorted(collect(story)) == [b"01-a\n\tb", b"02-a\n\tb"]


def test_what_follows_a_record_that_was_taken_is_one_of_its_own(begin):
    """Nothing is lost and nothing twice when a writer goes on after the timeout; also after a restart."""
    story = begin(framing=DATED, record_after_seconds=5.0)
    log = story.pod / "app.log"
    log.write_bytes(b"01-a\n")
    collect(story)
    story.now += 6
    collect(story)
    story.restart()
    with log.open("ab") as file:
        file.write(b"\tlate\n02-b\n")
    assert collect(story) == [b"01-a", b"\tlate"]


def test_a_record_of_more_lines_than_an_arena_has(begin):
    """It comes in pieces; it does not stop its file, or others."""
    story = begin(framing=DATED, record_after_seconds=5.0, most_lines=100)
    (story.pod / "app.log").write_bytes(b"01-a\n" + b"\n" * 1000 + b"02-b\n03-c\n")
    (story.pod / "other.log").write_bytes(b"04-d\n05-e\n")
    found = collect(story)
    assert b"02-b" in found
    assert b"04-d" in found
    pieces = b"".join(text + b"\n" for text in found if b"-" not in text or text.startswith(b"01"))
    assert pieces == b"01-a\n" + b"\n" * 1000


def test_a_partial_line_of_a_container_waits_for_its_end(begin):
    """As half a line does; the file is read again from there."""
    story = begin(framing=CRI, partial_after_seconds=60.0)
    log = story.pod / "0.log"
    log.write_bytes(b"2026-11-22T09:00:00Z stdout F one\n2026-11-22T09:00:00Z stdout P tw\n")
    story.look()
    story.read_arena()
    (source,) = story.catalog
    (tracked,) = source.files.values()
    assert tracked.read_offset == len(b"2026-11-22T09:00:00Z stdout F one\n")
    story.now += 59
    story.look()
    assert story.read_arena() == 0
    story.now += 2
    story.look()
    assert story.read_arena() == 1
    assert tracked.read_offset == tracked.size
