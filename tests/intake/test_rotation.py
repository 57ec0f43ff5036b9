"""Stories of loss: what happens to files while they are collected, and that each line comes out once."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from story import POD, Story, append, copy_in_place, numbered, replace_by, truncate

from collector.intake.content import same_content
from collector.intake.discover import FileSight, Look, SourceDir
from collector.intake.track import TrackedFile, TrackedSource
from collector.intake.volume import Volume
from collector.model import Evidence, FileCheckpoint, FileId, Origin


def once(*parts: bytes) -> Counter[bytes]:
    """Each line of `parts`, once."""
    return Counter(line for part in parts for line in part.splitlines())


# --- rename rotation


def test_a_renamed_file_keeps_its_identity(story: Story):
    """The file that a rotation renames goes on as the path it was first seen as; the new one under the old
    name is the next generation.
    """
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.turn()
    append(log, numbered(5, 5))
    log.rename(story.pod / "app.log.1")
    log.write_bytes(numbered(10, 5))
    append(story.pod / "app.log.1", b"last\n")
    story.turns(3)
    assert story.text == {
        ("app.log", 0): numbered(0, 10) + b"last\n",
        ("app.log", 1): numbered(10, 5),
    }
    assert story.lost == []


def test_a_chain_of_renames(story: Story):
    """app.log → .1 → .2 → gone, with a new app.log at each step: no line is missed, none comes twice."""
    log, first, second = (story.pod / name for name in ("app.log", "app.log.1", "app.log.2"))
    written = b""
    for step in range(6):
        data = numbered(100 * step, 7)
        written += data
        if first.exists():
            first.rename(second)
        if log.exists():
            log.rename(first)
        log.write_bytes(data)
        story.turn()
    assert story.lines == once(written)
    assert story.lost == []
    assert set(story.text) == {("app.log", generation) for generation in range(6)}


def test_a_chain_of_renames_with_a_look_at_each_step(story: Story):
    """A look between any two steps of the rotation changes nothing."""
    log, first, second = (story.pod / name for name in ("app.log", "app.log.1", "app.log.2"))
    written = b""
    for step in range(4):
        data = numbered(100 * step, 7)
        written += data
        if first.exists():
            first.rename(second)
            story.turn()
        if log.exists():
            log.rename(first)
            story.turn()
        log.write_bytes(data)
        story.turn()
    story.turns(3)
    assert story.lines == once(written)
    assert story.lost == []


@pytest.mark.parametrize("archive", ["app.log.1", "1.log", "old/app.log.1"])
def test_a_rotation_while_the_collector_is_down(story: Story, archive: str):
    """After a restart a renamed file is known by its inode and content, whatever its new name."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 50))
    story.turn()
    append(log, numbered(50, 10))
    (story.pod / "old").mkdir()
    log.rename(story.pod / archive)
    log.write_bytes(numbered(60, 10))
    story.restart()
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 60), ("app.log", 1): numbered(60, 10)}
    assert story.lost == []


@pytest.mark.parametrize("archive", ["app.log.{}", "{}.log", "old/app.log.{}"])
def test_what_was_rotated_long_before_a_restart(story: Story, archive: str):
    """A file that had nothing to collect after it was renamed stands in the checkpoint under its name
    before that, which by now is another file's: it is not collected a second time.
    """
    log = story.pod / "app.log"
    (story.pod / "old").mkdir()
    for step in range(3):
        if log.exists():
            log.rename(story.pod / archive.format(step))
            story.turn()
        log.write_bytes(numbered(100 * step, 60))
        story.turn()
    written = dict(story.text)
    story.restart()
    story.turns(3)
    assert story.text == written
    assert story.lost == []


def test_a_rotation_during_a_remount(story: Story):
    """Rotation while the collector is down, and another device number when it is back."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 50))
    story.turn()
    append(log, numbered(50, 10))
    log.rename(story.pod / "app.log.1")
    log.write_bytes(numbered(60, 10))
    story.remember(device=0xBAD)
    story.restart()
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 60), ("app.log", 1): numbered(60, 10)}
    assert story.lost == []


@pytest.mark.parametrize("archive", ["app.log.1", "app-1.log"])
def test_a_rotation_during_a_remount_that_changes_inodes(story: Story, archive: str):
    """As before, on a file system that gives out new inode numbers too: content alone must do."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 50))
    story.turn()
    append(log, numbered(50, 10))
    log.rename(story.pod / archive)
    log.write_bytes(numbered(60, 10))
    story.remember(device=0xBAD, inode=7)
    story.restart()
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 60), ("app.log", 1): numbered(60, 10)}
    assert story.lost == []


def test_a_rename_in_the_middle_of_a_look(story: Story):
    """A look reads names first and their inodes one after the other. Rotated in between, the old file shows
    under no name: the next look finds it, and nothing is collected twice.
    """
    log, first = story.pod / "app.log", story.pod / "app.log.1"
    first.write_bytes(numbered(0, 5))
    log.write_bytes(numbered(5, 5))
    story.turn()
    before = story.glance()
    append(log, numbered(10, 5))
    first.unlink()
    log.rename(first)
    log.write_bytes(numbered(20, 5))
    after = {sight.name: sight for sight in story.glance().files}
    (old_first,) = (sight for sight in before.files if sight.name == "app.log.1")
    story.observe(Look((after["app.log"], old_first), tombstone=False, skipped=()))
    story.read()
    story.turns(3)
    append(first, b"late\n")
    story.turns(2)
    assert story.lines == once(numbered(0, 15), numbered(20, 5), b"late")
    assert story.lost == []


def test_a_file_that_shows_under_two_names_in_one_look(story: Story):
    """Renamed while the directory was listed, one file may show twice: it is still one."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.turn()
    (before,) = story.glance().files
    log.rename(story.pod / "app.log.1")
    append(story.pod / "app.log.1", numbered(5, 5))
    (after,) = story.glance().files
    story.observe(Look((before, after), tombstone=False, skipped=()))
    story.read()
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 10)}


def test_a_new_file_that_shows_under_two_names_in_its_first_look(story: Story):
    """The same with a file that nothing is known of."""
    story.look()
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    (before,) = story.glance().files
    log.rename(story.pod / "app.log.1")
    (after,) = story.glance().files
    story.observe(Look((before, after), tombstone=False, skipped=()))
    story.read()
    story.turns(3)
    assert story.lines == once(numbered(0, 5))


def test_a_rename_between_look_and_read(story: Story):
    """The reader opens by name: finding another file there it reads nothing, and the next look tells."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.look()
    log.rename(story.pod / "app.log.1")
    log.write_bytes(numbered(5, 5))
    story.read()
    assert story.catalog.urgent
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 5), ("app.log", 1): numbered(5, 5)}


def test_swapped_names(story: Story):
    """Two files that swap their names keep their identities."""
    a, b, beside = (story.pod / name for name in ("a", "b", "c"))
    a.write_bytes(numbered(0, 5, "a"))
    b.write_bytes(numbered(0, 5, "b"))
    story.turn()
    a.rename(beside)
    b.rename(a)
    beside.rename(b)
    append(b, b"a more\n")
    append(a, b"b more\n")
    story.turns(3)
    assert story.text == {
        ("a", 0): numbered(0, 5, "a") + b"a more\n",
        ("b", 0): numbered(0, 5, "b") + b"b more\n",
    }


# --- copytruncate


@pytest.mark.parametrize("copy", ["app.log.1", "app.log-20261122", "app-1.log"])
def test_copytruncate(story: Story, copy: str):
    """The copy is seen first while it grows, then whole, then the original is cut: each line once."""
    log, to = story.pod / "app.log", story.pod / copy
    log.write_bytes(numbered(0, 300))
    story.turn()
    for size in (0, 10, 2000, None):
        copy_in_place(log, to, size)
        story.turn()
    truncate(log, numbered(300, 20))
    story.turns(20)
    assert story.text == {("app.log", 0): numbered(0, 300), ("app.log", 1): numbered(300, 20)}
    assert story.lost == []


def test_copytruncate_with_more_than_was_read(story: Story):
    """What the copy holds beyond what was read is collected from the copy, as the original's content."""
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 100))
    story.turn()
    append(log, numbered(100, 50))
    copy_in_place(log, to)
    truncate(log, numbered(150, 10))
    story.turns(20)
    assert story.text == {("app.log", 0): numbered(0, 150), ("app.log", 1): numbered(150, 10)}
    assert story.lost == []


def test_copytruncate_loses_what_was_written_between_copy_and_cut(story: Story):
    """The gap of copytruncate itself: what a look saw of it is counted as lost, once."""
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 100))
    story.turn()
    copy_in_place(log, to)
    size = log.stat().st_size
    append(log, numbered(100, 1))
    story.look()
    truncate(log)
    story.turns(20)
    assert story.lines == once(numbered(0, 100))
    assert story.lost == [("app.log", 0, size, size + len(numbered(100, 1)), "truncated")]


@pytest.mark.parametrize("settle_seconds", [10.0, 5.0])
def test_copytruncate_grown_beyond_what_was_read(begin, settle_seconds: float):
    """The original is cut and soon longer than it ever was: seen at one look, with its copy."""
    story = begin(settle_seconds=settle_seconds)
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 100))
    story.turn()
    copy_in_place(log, to)
    truncate(log, numbered(100, 300))
    story.turns(20)
    assert story.text == {("app.log", 0): numbered(0, 100), ("app.log", 1): numbered(100, 300)}
    assert story.lost == []


def test_copytruncate_twice_while_reading_stands_still(story: Story):
    """The destination is behind, so nothing is read: the original is cut, grows longer than it was, and is
    cut again. What it grew by was never part of the first content, and is not counted as its loss.
    """
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 100))
    story.turn()
    for number, (start, lines) in enumerate([(100, 150), (250, 5)], start=1):
        copy_in_place(log, story.pod / f"app.log.{number}")
        truncate(log, numbered(start, lines))
        story.now += 1
        story.look()
    story.turns(20)
    assert story.lines == once(numbered(0, 255))
    assert story.lost == []


@pytest.mark.parametrize("lines_after", [20, 120, 300])
@pytest.mark.parametrize("unread", [0, 10, 50])
def test_copytruncate_while_the_collector_is_paused(story: Story, unread: int, lines_after: int):
    """The copy is seen whole; then nobody looks for a minute, and the original is cut and goes on: the copy
    has waited long enough, and yet it is that content.
    """
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 100))
    story.turn()
    for start in range(100, 100 + unread, 10):
        append(log, numbered(start, 10))
        story.look()
    copy_in_place(log, to)
    story.look()
    after = numbered(200, lines_after)
    truncate(log, after)
    story.now += 60
    story.turns(20)
    assert story.text == {("app.log", 0): numbered(0, 100 + unread), ("app.log", 1): after}
    assert story.lost == []


@pytest.mark.parametrize("lines_after", [20, 300])
@pytest.mark.parametrize("copy", ["app.log.1", "app-1.log"])
@pytest.mark.parametrize("settle_seconds", [10.0, 0.0])
def test_copytruncate_while_the_collector_is_down(begin, copy: str, lines_after: int, settle_seconds: float):
    """After a restart the copy is known by its content, also where the original is longer than before, and
    where there is no time to wait.
    """
    story = begin(settle_seconds=settle_seconds)
    log, to = story.pod / "app.log", story.pod / copy
    log.write_bytes(numbered(0, 100))
    story.turn()
    append(log, numbered(100, 50))
    copy_in_place(log, to)
    truncate(log, numbered(150, lines_after))
    story.restart()
    story.turns(20)
    assert story.text == {("app.log", 0): numbered(0, 150), ("app.log", 1): numbered(150, lines_after)}
    assert story.lost == []


def test_a_second_copytruncate_after_a_restart(story: Story):
    """Checkpoints of several contents that all were called app.log: each copy finds its own."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 100))
    story.turn()
    copy_in_place(log, story.pod / "app.log.1")
    truncate(log, numbered(100, 80))
    story.turns(12)
    (story.pod / "app.log.1").rename(story.pod / "app.log.2")
    copy_in_place(log, story.pod / "app.log.1")
    truncate(log, numbered(180, 60))
    story.restart()
    story.turns(12)
    assert story.lines == once(numbered(0, 240))
    assert story.lost == []


def test_a_copy_that_takes_longer_than_the_patience(story: Story):
    """A copy in progress is waited for as long as it grows, however long that takes."""
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    data = numbered(0, 3000)
    log.write_bytes(data)
    story.turn()
    for part in range(1, 16):
        copy_in_place(log, to, len(data) * part // 16)
        story.turns(2)
    copy_in_place(log, to)
    story.turn()
    truncate(log, numbered(3000, 5))
    story.turns(20)
    assert story.text == {("app.log", 0): data, ("app.log", 1): numbered(3000, 5)}


def test_a_copy_begun_before_the_first_look(story: Story):
    """The collector meets original and copy at the same moment: the copy waits all the same."""
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 300))
    copy_in_place(log, to, 2000)
    story.turn()
    copy_in_place(log, to)
    story.turn()
    truncate(log, numbered(300, 5))
    story.turns(20)
    assert story.text == {("app.log", 0): numbered(0, 300), ("app.log", 1): numbered(300, 5)}


@pytest.mark.parametrize("is_read", [True, False])
@pytest.mark.parametrize("size", [500, 2000])
def test_a_copy_seen_half_and_its_original_cut_in_the_same_look(story: Story, size: int, is_read: bool):
    """Sizes are read one after the other: the copy's may be from before its end, the original's from after
    the cut. Nothing is lost, also where nothing of the original was read yet.
    """
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 300))
    story.look()
    if is_read:
        story.read()
    copy_in_place(log, to, size)
    (half,) = (sight for sight in story.glance().files if sight.name == "app.log.1")
    copy_in_place(log, to)
    truncate(log, numbered(300, 5))
    (cut,) = (sight for sight in story.glance().files if sight.name == "app.log")
    story.observe(Look((cut, half), tombstone=False, skipped=()))
    story.read()
    story.turns(20)
    assert story.lines == once(numbered(0, 305))
    assert story.lost == []


def test_a_finished_source_with_a_copy_in_progress(story: Story):
    """The end of a source does not make a copy another file."""
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 300))
    story.turn()
    copy_in_place(log, to)
    story.turn()
    truncate(log)
    (source,) = story.catalog
    source.finish_by = "tombstone"
    story.catalog.recheck(source)
    story.read()
    story.turns(3)
    assert story.lines == once(numbered(0, 300))
    assert story.catalog.is_drained(source)


def test_copytruncate_in_a_source_that_is_about_to_finish(story: Story):
    """Cut and soon longer than before, and the copy first seen then: it waits in a closing source too."""
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 10))
    story.turn()
    (source,) = story.catalog
    source.finish_by = "tombstone"
    story.catalog.recheck(source)
    story.read()
    copy_in_place(log, to)
    truncate(log, numbered(10, 20))
    story.turns(5)
    assert story.text == {("app.log", 0): numbered(0, 10), ("app.log", 1): numbered(10, 20)}
    assert story.catalog.is_drained(source)


def test_a_backup_is_collected_in_the_end(story: Story):
    """A copy whose original is not cut is a file like any other, after a while."""
    log, to = story.pod / "app.log", story.pod / "app.log.bak"
    log.write_bytes(numbered(0, 30))
    story.turn()
    copy_in_place(log, to)
    story.turns(15)
    assert story.text == {("app.log", 0): numbered(0, 30), ("app.log.bak", 0): numbered(0, 30)}


def test_two_files_that_are_written_alike(story: Story):
    """`tee` writes each line twice: that looks like a copy in progress for long, but not for ever."""
    log, tee = story.pod / "app.log", story.pod / "app.log.tee"
    for second in range(400):
        append(log, numbered(second, 1))
        append(tee, numbered(second, 1))
        story.turn()
    assert story.text["app.log", 0] == numbered(0, 400)
    assert story.text["app.log.tee", 0] == numbered(0, 400)


def test_a_sparse_file_and_its_copy(story: Story):
    """A writer that keeps its position through copytruncate leaves a hole in front; the next copy has that
    hole, and is known all the same.
    """
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    with log.open("wb", buffering=0) as file:
        file.seek(1 << 20)
        file.write(numbered(0, 400))
        story.turn()
        with to.open("wb") as copy:
            copy.seek(1 << 20)
            copy.write(numbered(0, 400))
        story.turn()
        os.truncate(log, 0)
        file.write(numbered(400, 20))
        story.turns(20)
    assert story.rows[FileId(POD, "app.log", 1)][0].offset >= 1 << 20
    data = b"".join(story.text.values()).replace(b"\0", b"")
    assert once(data) == once(numbered(0, 420))


def test_a_hole_in_front_of_other_bytes_is_no_hole_of_the_old_content(story: Story):
    """A writer that keeps its position writes far beyond what was read, behind a copytruncate: that is
    another content, not a hole in the one before.
    """
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    with log.open("wb", buffering=0) as file:
        file.write(numbered(0, 10))
        story.turn()
        file.write(numbered(10, 100_000))
        copy_in_place(log, to)
        os.truncate(log, 0)
        file.write(numbered(200_000, 5))
        story.turns(20)
    data = b"".join(story.text.values()).replace(b"\0", b"")
    assert once(data) == once(numbered(0, 100_010), numbered(200_000, 5))
    assert set(story.text) == {("app.log", 0), ("app.log", 1)}
    assert story.lost == []


def test_files_with_the_same_start_are_no_copies(story: Story):
    """Two files with the same first 10 KiB, and names like those of a rotation, are both collected."""
    banner = numbered(0, 1000, "banner")
    for name in ("app.log", "app.log.1", "app-2.log"):
        (story.pod / name).write_bytes(banner + name.encode() + b"\n")
    story.turns(2)
    assert story.text == {
        (name, 0): banner + name.encode() + b"\n" for name in ("app.log", "app.log.1", "app-2.log")
    }


def test_a_smaller_file_with_the_same_start_that_keeps_growing(story: Story):
    """A file that starts as another does and then goes its own way does not wait for ever."""
    banner = numbered(0, 200, "banner")
    (story.pod / "app.log").write_bytes(banner + numbered(0, 2000, "a"))
    story.turn()
    worker = story.pod / "app-worker.log"
    worker.write_bytes(banner)
    for step in range(5):
        append(worker, numbered(step, 1, "b"))
        story.turn()
    assert story.text["app-worker.log", 0] == banner + numbered(0, 5, "b")


def test_a_later_file_that_begins_like_a_content_of_old(story: Story):
    """A new file whose first line is all that an old, truncated content held is no copy of that: its copy
    would have been there before.
    """
    (story.pod / "app.log").write_bytes(b"start\n")
    story.turn()
    truncate(story.pod / "app.log", b"other\n")
    story.turns(15)
    (story.pod / "app-2.log").write_bytes(b"start\nand more\n")
    story.turns(15)
    assert story.text["app-2.log", 0] == b"start\nand more\n"


def test_half_a_line_that_was_waiting_when_its_file_was_cut(begin):
    """The rest that was no whole line yet is taken from the copy, once it has waited."""
    story = begin(partial_after_seconds=30)
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 10) + b"hal")
    story.turns(2)
    copy_in_place(log, to)
    truncate(log)
    story.turns(5)
    assert story.text == {("app.log", 0): numbered(0, 10)}
    story.turns(4, seconds=10)
    assert story.text == {("app.log", 0): numbered(0, 10) + b"hal"}
    assert story.lost == []


def test_half_a_line_that_was_waiting_when_its_file_was_hidden(begin):
    """The same for a file that a look missed because it was just being renamed."""
    story = begin(partial_after_seconds=30, open_files=1)
    log, first = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 10) + b"hal")
    story.turn()
    (story.pod / "other").write_bytes(b"x\n")
    story.turn()
    assert story.reader.open_files == 1
    log.rename(first)
    log.write_bytes(numbered(20, 1))
    hidden = tuple(sight for sight in story.glance().files if sight.name != "app.log.1")
    story.observe(Look(hidden, tombstone=False, skipped=()))
    story.turns(2)
    assert story.lost == []
    story.turns(5, seconds=10)
    assert story.text["app.log", 0] == numbered(0, 10) + b"hal"
    assert story.lines == once(numbered(0, 10), b"hal", numbered(20, 1), b"x\n")


def test_a_copy_that_is_renamed_while_it_waits(story: Story):
    """A copy that the next rotation moves on is still that copy, and nothing waits for its old name."""
    log, first, second = (story.pod / name for name in ("app.log", "app.log.1", "app.log.2"))
    log.write_bytes(numbered(0, 100))
    story.turn()
    copy_in_place(log, first)
    story.turn()
    assert story.catalog.has_deferred()
    first.rename(second)
    story.turn()
    truncate(log, numbered(100, 5))
    story.turns(20)
    assert story.text == {("app.log", 0): numbered(0, 100), ("app.log", 1): numbered(100, 5)}
    assert not story.catalog.has_deferred()
    assert not story.catalog.has_unsettled()


def test_copied_and_deleted(story: Story):
    """Rotation by copy and removal: the copy goes on as the content, whose name is gone."""
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 100))
    story.turn()
    append(log, numbered(100, 5))
    copy_in_place(log, to)
    story.look()
    log.unlink()
    story.turns(20)
    assert story.lines == once(numbered(0, 105))
    assert story.lost == []


# --- truncation and replacement


@pytest.mark.parametrize("count", [3, 10, 30])
@pytest.mark.parametrize("restarted", [False, True])
def test_truncated_and_written_anew(story: Story, count: int, restarted: bool):
    """Rewritten in place to a shorter, the same or a longer length: a new generation, collected whole."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 10))
    story.turn()
    truncate(log, numbered(100, count))
    if restarted:
        story.restart()
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 10), ("app.log", 1): numbered(100, count)}
    assert story.lost == []


def test_truncated_unread(story: Story):
    """What a look saw and a truncation took away is counted once, with its range."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 10))
    story.turn()
    start = log.stat().st_size
    append(log, numbered(10, 10))
    story.look()
    truncate(log, numbered(20, 2))
    story.turns(20)
    assert story.lost == [("app.log", 0, start, 2 * start, "truncated")]
    assert story.lines == once(numbered(0, 10), numbered(20, 2))


def test_truncated_before_anything_was_read(story: Story):
    """The same where nothing at all was read: the content that was is not mixed with the one that is."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 10))
    story.look()
    size = log.stat().st_size
    truncate(log, numbered(20, 2))
    story.turns(20)
    assert story.lines == once(numbered(20, 2))
    assert story.lost == [("app.log", 0, 0, size, "truncated")]


@pytest.mark.parametrize("read_first", [False, True])
def test_cut_short_behind_what_was_read(story: Story, read_first: bool):
    """Only unread bytes were cut off: what was read is not read again, and what is gone is counted."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 10))
    story.turn()
    size = log.stat().st_size
    append(log, numbered(10, 10))
    story.look()
    os.truncate(log, size)
    if read_first:
        story.read()
    story.turns(5)
    (source,) = story.catalog
    assert story.catalog.is_drained(source)
    assert story.lost == [("app.log", 0, size, 2 * size, "truncated")]
    append(log, numbered(30, 1))
    story.turns(3)
    assert story.lines == once(numbered(0, 10), numbered(30, 1))


def test_shrinks_between_look_and_read(story: Story):
    """A file that is shorter when it is read than when it was seen."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 10))
    story.turn()
    append(log, numbered(10, 10))
    story.look()
    truncate(log, numbered(20, 3))
    story.read()
    story.turns(20)
    assert story.lines == once(numbered(0, 10), numbered(20, 3))


def test_rewritten_between_look_and_read(story: Story):
    """Other bytes before the offset than were read: noticed by the reader, settled by the next look."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 10))
    story.turn()
    append(log, numbered(10, 10))
    story.look()
    truncate(log, numbered(50, 40))
    story.read()
    assert story.catalog.urgent
    story.turns(5)
    assert story.text == {("app.log", 0): numbered(0, 10), ("app.log", 1): numbered(50, 40)}


def test_replaced_by_another_file(story: Story):
    """Another content moved over the name: the old one is read to its end through its descriptor."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 10))
    story.turn()
    append(log, numbered(10, 10))
    replace_by(log, numbered(100, 10))
    story.turns(15)
    assert story.text == {("app.log", 0): numbered(0, 20), ("app.log", 1): numbered(100, 10)}
    assert story.lost == []


def test_replaced_by_the_same_content_and_more(story: Story):
    """A rewrite that kept what was there, as `sed -i` does: only what it added is collected."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 10))
    story.turn()
    replace_by(log, numbered(0, 15))
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 15)}


def test_replaced_by_less(story: Story):
    """The same first lines, but fewer: another content."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 10))
    story.turn()
    replace_by(log, numbered(0, 5))
    story.turns(15)
    assert story.text == {("app.log", 0): numbered(0, 10), ("app.log", 1): numbered(0, 5)}


def test_created_again_with_the_same_content(story: Story):
    """Deleted, seen to be gone, and created again: a new generation, collected again."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 10))
    story.turn()
    log.unlink()
    story.turns(3, seconds=20)
    log.write_bytes(numbered(0, 10))
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 10), ("app.log", 1): numbered(0, 10)}


def test_a_reused_inode(story: Story):
    """Another file that got the inode of a deleted one is a file of its own."""
    log, other = story.pod / "app.log", story.pod / "other.log"
    log.write_bytes(numbered(0, 10))
    story.turn()
    other.write_bytes(numbered(50, 20))
    log.unlink()
    story.remember(inode=other.stat().st_ino)
    story.restart()
    story.turns(5)
    assert story.text == {("app.log", 0): numbered(0, 10), ("other.log", 0): numbered(50, 20)}
    assert story.lost == []


def test_a_reused_inode_of_an_unread_file(story: Story):
    """Nothing was read of it that could be compared; but a file does not get shorter by being renamed."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 10))
    story.look()
    (sight,) = story.glance().files
    reused = replace(sight, name="other.log", size=10)
    log.unlink()
    for _ in range(3):
        story.observe(Look((reused,), tombstone=False, skipped=()))
    story.commit()
    (source,) = story.catalog
    assert source.files["other.log"].file == FileId(POD, "other.log", 0)
    assert story.lost == [("app.log", 0, 0, sight.size, "deleted")]


# --- identity at its edges


def test_one_byte_files(story: Story):
    """Files too short for any fingerprint are collected at once, and each is itself."""
    for name in "abc":
        (story.pod / name).write_bytes(b"\n")
    story.turn()
    append(story.pod / "a", b"x\n")
    (story.pod / "b").rename(story.pod / "d")
    story.restart()
    story.turns(3)
    assert story.text == {("a", 0): b"\nx\n", ("b", 0): b"\n", ("c", 0): b"\n"}


def test_hard_links_are_one_file(story: Story):
    """Two names of one inode in one source are one file; it outlives either of them."""
    log, link = story.pod / "app.log", story.pod / "link.log"
    log.write_bytes(numbered(0, 5))
    link.hardlink_to(log)
    story.turn()
    log.unlink()
    append(link, numbered(5, 5))
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 10)}
    assert story.lost == []


def test_a_file_that_becomes_a_link_to_another(story: Story):
    """`ln -f`: the name's own content is gone, and the other's is not collected twice."""
    a, b = story.pod / "a", story.pod / "b"
    a.write_bytes(numbered(0, 5, "a"))
    b.write_bytes(numbered(0, 5, "b"))
    story.turn()
    b.unlink()
    b.hardlink_to(a)
    append(a, b"more\n")
    story.turns(15)
    assert story.text == {("a", 0): numbered(0, 5, "a") + b"more\n", ("b", 0): numbered(0, 5, "b")}


def test_a_hard_link_to_a_copy(story: Story):
    """The copy of a copytruncate under two names is still that one content."""
    log, to = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 50))
    story.turn()
    copy_in_place(log, to)
    (story.pod / "app.log.latest").hardlink_to(to)
    truncate(log)
    story.turns(20)
    assert story.text == {("app.log", 0): numbered(0, 50)}


def test_moved_into_another_source(story: Story):
    """Sources are islands: there it is a new file, and here it is read to its end."""
    other = story.root / "shop_load-zzzzz"
    other.mkdir()
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.turn()
    log.rename(other / "app.log")
    story.turns(15)
    assert story.rows[FileId(POD, "app.log", 0)] == story.rows[FileId(other.name, "app.log", 0)]
    assert story.lost == []


def test_a_remount_changes_the_device(story: Story):
    """Another device number after a restart: the same file, and only what is new."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.turn()
    story.remember(device=0xBAD)
    append(log, numbered(5, 5))
    story.restart()
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 10)}


def test_a_remount_changes_all_inodes(story: Story):
    """File systems without lasting inode numbers: content tells."""
    for name in "ab":
        (story.pod / name).write_bytes(numbered(0, 50, name))
    story.turn()
    story.remember(device=0xBAD, inode=(1 << 64) - 1)
    append(story.pod / "a", b"more\n")
    story.restart()
    story.turns(3)
    assert story.text == {("a", 0): numbered(0, 50, "a") + b"more\n", ("b", 0): numbered(0, 50, "b")}


def test_inodes_above_63_bits(story: Story):
    """Inode numbers are unsigned 64 bits wide: two that differ in the highest bit are two files."""
    low, high = 5, (1 << 63) + 5
    story.look()
    a, b = story.pod / "a", story.pod / "b"
    a.write_bytes(b"a\n")
    b.write_bytes(b"b\n")
    sights = [
        replace(sight, inode=inode) for sight, inode in zip(story.glance().files, (low, high), strict=True)
    ]
    story.observe(Look(tuple(sights), tombstone=False, skipped=()))
    (source,) = story.catalog
    assert {name: known.inode for name, known in source.files.items()} == {"a": low, "b": high}
    moved = replace(sights[1], name="c")
    story.observe(Look((sights[0], moved), tombstone=False, skipped=()))
    assert {name: known.file.path for name, known in source.files.items()} == {"a": "a", "c": "b"}


def test_an_inode_number_travels_in_evidence(story: Story):
    """The evidence of a checkpoint keeps all 64 bits."""
    huge = Evidence(1 << 63, (1 << 64) - 1, 0, "", 0, "")
    story.checkpoints[FileId(POD, "a", 0)] = FileCheckpoint(
        FileId(POD, "a", 0), "a", offset=0, bytes=0, line_feeds=0, terminated=True, evidence=huge
    )
    story.restart()
    (source,) = story.catalog
    assert (source.files["a"].device, source.files["a"].inode) == (1 << 63, (1 << 64) - 1)


def test_a_hash_that_is_none_is_like_no_content(story: Story):
    """In a checkpoint that somebody else wrote: the file is taken for another one."""
    log = story.pod / "app.log"
    log.write_bytes(b"one\n")
    status = log.stat()
    file = FileId(POD, "app.log", 0)
    evidence = Evidence(status.st_dev, status.st_ino, 4, "no hash", 4, "nor this")
    story.checkpoints[file] = FileCheckpoint(
        file, "app.log", offset=4, bytes=4, line_feeds=1, terminated=True, evidence=evidence
    )
    story.restart()
    story.turns(3)
    assert [row.data for row in story.rows[replace(file, generation=1)]] == [b"one"]


# --- holes


def write_sparse(path: Path, pieces: dict[int, bytes], size: int) -> None:
    with path.open("wb") as file:
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)
        file.truncate(size)


def test_holes_are_skipped(story: Story):
    """Leading, middle and trailing holes: offsets jump, nothing is lost, and the file ends read."""
    block = 1 << 16
    log = story.pod / "app.log"
    full = b"x" * 4095 + b"\n"
    write_sparse(log, {block: full, 3 * block: full + full}, 5 * block)
    story.turns(3)
    rows = story.rows[FileId(POD, "app.log", 0)]
    assert [row.offset for row in rows] == [block, 3 * block, 3 * block + 4096]
    assert all(row.data + b"\n" == full for row in rows)
    at = story.checkpoints[FileId(POD, "app.log", 0)]
    assert at.holes == ((0, block), (block + 4096, 3 * block))
    (source,) = story.catalog
    assert story.catalog.is_drained(source)
    assert story.catalog.is_committed(source)
    assert story.lost == []


def test_growth_after_a_trailing_hole(story: Story):
    """The hole becomes a middle one, also where the collector was restarted before."""
    block = 1 << 16
    log = story.pod / "app.log"
    full = b"x" * 4095 + b"\n"
    write_sparse(log, {0: full}, 2 * block)
    story.turns(2)
    story.restart()
    story.turn()
    append(log, b"more\n")
    story.turns(2)
    assert [row.offset for row in story.rows[FileId(POD, "app.log", 0)]] == [0, 2 * block]


def test_a_file_of_nothing_but_a_hole(story: Story):
    """No line, no loss, and read to its end."""
    write_sparse(story.pod / "app.log", {}, 1 << 30)
    story.turns(2)
    (source,) = story.catalog
    assert story.text == {}
    assert story.catalog.is_drained(source)
    assert story.lost == []


# --- deletion


def test_deleted_while_open(story: Story):
    """What the descriptor still reaches is read, and then it is closed."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.turn()
    append(log, numbered(5, 5))
    log.unlink()
    story.turns(30)
    assert story.text == {("app.log", 0): numbered(0, 10)}
    assert story.lost == []
    assert story.reader.open_files == 0


def test_deleted_while_its_writer_goes_on(story: Story):
    """A process that keeps writing to a file without a name is followed while it does."""
    log = story.pod / "app.log"
    with log.open("wb", buffering=0) as file:
        file.write(numbered(0, 5))
        story.turn()
        log.unlink()
        for step in range(1, 10):
            file.write(numbered(5 * step, 5))
            story.turns(3)
    story.turns(20)
    assert story.text == {("app.log", 0): numbered(0, 50)}
    assert story.reader.open_files == 0
    (source,) = story.catalog
    assert story.catalog.is_drained(source)


def test_deleted_unread(story: Story):
    """What nobody can reach any more is counted once, with its range."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.look()
    size = log.stat().st_size
    log.unlink()
    story.turns(10)
    assert story.lost == [("app.log", 0, 0, size, "deleted")]
    assert story.text == {}


def test_a_generation_that_was_lost_whole_is_not_given_again(story: Story):
    """After a restart too: what the loss speaks of and what is collected are told apart."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.look()
    log.unlink()
    story.turns(3)
    assert [(path, generation) for path, generation, *_ in story.lost] == [("app.log", 0)]
    story.restart()
    log.write_bytes(numbered(5, 5))
    story.turns(2)
    assert story.text == {("app.log", 1): numbered(5, 5)}


def test_deleted_half_read_after_a_restart(story: Story):
    """The range that is lost begins where the collector got to."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.turn()
    start = log.stat().st_size
    append(log, numbered(5, 5))
    story.restart()
    story.look()
    log.unlink()
    story.turns(10)
    assert story.lost == [("app.log", 0, start, 2 * start, "deleted")]


def test_deleted_source(story: Story):
    """The directory with all its files: what was seen and not read is lost, once."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.look()
    size = log.stat().st_size
    log.unlink()
    story.pod.rmdir()
    story.turns(5)
    assert story.lost == [("app.log", 0, 0, size, "deleted")]


def test_more_open_files_than_allowed(begin):
    """Descriptors are given up, longest unused first; no line depends on them."""
    story = begin(open_files=3)
    for step in range(4):
        for number in range(10):
            append(story.pod / f"{number}.log", numbered(100 * number + step, 1))
        story.turn()
        assert story.reader.open_files <= 3
    assert story.lines == once(*(numbered(100 * number, 4) for number in range(10)))


# --- the end of a line


def test_an_unterminated_line_waits(begin):
    """Half a line is no row until it has not grown for `partial_after`; then it is, as it is."""
    story = begin(partial_after_seconds=60)
    log = story.pod / "app.log"
    log.write_bytes(b"whole\nhal")
    story.turns(3, seconds=10)
    assert story.text == {("app.log", 0): b"whole\n"}
    append(log, b"f")
    story.turns(5, seconds=10)
    assert story.text == {("app.log", 0): b"whole\n"}
    story.turns(2, seconds=10)
    assert story.text == {("app.log", 0): b"whole\nhalf"}
    append(log, b" a line\n")
    story.turn()
    rows = story.rows[FileId(POD, "app.log", 0)]
    assert [(row.offset, row.data, row.eol) for row in rows] == [
        (0, b"whole", True),
        (6, b"half", False),
        (10, b" a line", True),
    ]


def test_an_unterminated_line_is_completed(story: Story):
    """Half a line that goes on is one row."""
    log = story.pod / "app.log"
    log.write_bytes(b"hal")
    story.turn()
    append(log, b"f")
    story.turn()
    append(log, b" a line\nnext")
    story.turn()
    assert story.text == {("app.log", 0): b"half a line\n"}


def test_once_takes_no_line_that_is_being_written(begin):
    """Without following, a file is read as far as the look saw it, and half a line of a growing one stays."""
    story = begin(follow=False, partial_after_seconds=0)
    log = story.pod / "app.log"
    log.write_bytes(b"one\ntw")
    story.look()
    append(log, b"o\nthree\n")
    story.read()
    story.commit()
    assert story.text == {("app.log", 0): b"one\n"}
    story.turn()
    assert story.text == {("app.log", 0): b"one\ntwo\nthree\n"}


# --- fairness


def test_a_huge_file_does_not_starve_small_ones(begin):
    """100,000 lines in one file, read an arena at a time: small files that come later get their turn."""
    story = begin(arena_bytes=256 << 10)
    huge = numbered(0, 100_000, "huge")
    (story.pod / "huge.log").write_bytes(huge)
    for number in range(20):
        (story.pod / f"small-{number}.log").write_bytes(numbered(number, 1, "small"))
    story.look()
    for _ in range(4):
        story.read_arena()
    story.commit()
    assert sum(count for line, count in story.lines.items() if line.startswith(b"small")) == 20
    story.read()
    story.commit()
    assert story.lines == once(huge, *(numbered(number, 1, "small") for number in range(20)))
    assert story.text["huge.log", 0] == huge


def test_a_long_line_gets_through_a_full_queue(begin):
    """A line longer than a fair share asks for more, and comes out whole."""
    story = begin(arena_bytes=1 << 20, max_line_bytes=400_000)
    long_line = b"y" * 390_000 + b"\n"
    for number in range(30):
        (story.pod / f"{number}.log").write_bytes(b"%d" % number + long_line)
    story.turn()
    assert story.lines == once(*(b"%d" % number + long_line for number in range(30)))


# --- what may not be read


def test_an_unreadable_file_stops_no_other(story: Story, unprivileged):
    """EACCES on one file is told and tried again; the rest goes on, and so does it once it may be read."""
    locked, fine = story.pod / "locked.log", story.pod / "fine.log"
    locked.write_bytes(numbered(0, 5))
    fine.write_bytes(numbered(5, 5))
    locked.chmod(0)
    with unprivileged():
        story.turns(3)
    assert story.lines == once(numbered(5, 5))
    (source,) = story.catalog
    assert story.catalog.is_stuck(source)
    assert not story.catalog.is_drained(source)
    assert story.named("file_unreadable")
    locked.chmod(0o644)
    story.turns(10)
    assert story.lines == once(numbered(0, 10))
    assert not story.catalog.is_stuck(source)


@pytest.mark.parametrize("more", [b"", b"more\n"])
def test_a_known_file_that_may_not_be_read_is_not_another(story: Story, unprivileged, more: bytes):
    """After a restart the content is to be compared; where it cannot be read, nothing is decided, and above
    all no new generation begun.
    """
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.turn()
    append(log, more)
    log.chmod(0)
    story.restart()
    with unprivileged():
        story.turns(3)
    assert story.catalog.has_failures() == bool(more)
    log.chmod(0o644)
    story.turns(10)
    assert story.text == {("app.log", 0): numbered(0, 5) + more}
    assert story.lost == []


def test_a_renamed_file_that_may_not_be_read_is_not_another(story: Story, unprivileged):
    """The same for a file that was rotated meanwhile."""
    log, first = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 5))
    story.turn()
    log.rename(first)
    log.write_bytes(numbered(5, 5))
    first.chmod(0)
    story.restart()
    with unprivileged():
        story.turns(5)
    first.chmod(0o644)
    append(first, b"more\n")
    story.turns(10)
    assert story.lines == once(numbered(0, 10), b"more")
    assert story.lost == []


def test_files_below_an_unreadable_directory_are_not_gone(story: Story, unprivileged):
    """What was below it is still known, and goes on, when the directory may be read again."""
    below = story.pod / "below"
    below.mkdir()
    (below / "app.log").write_bytes(numbered(0, 5))
    (story.pod / "beside.log").write_bytes(numbered(10, 5))
    story.turn()
    below.chmod(0)
    append(story.pod / "beside.log", numbered(15, 5))
    with unprivileged():
        story.turns(5)
    below.chmod(0o755)
    append(below / "app.log", numbered(5, 5))
    story.turns(10)
    assert story.text == {("below/app.log", 0): numbered(0, 10), ("beside.log", 0): numbered(10, 10)}
    assert story.lost == []


# --- sources


def test_a_source_on_the_way_after_a_restart(begin):
    """Files in a directory above those of Pods: known again as what they were, without those below."""
    story = begin(layout="{namespace}/{pod}")
    pod = story.root / "shop" / "load-4xk2p"
    pod.mkdir(parents=True)
    (pod / "app.log").write_bytes(numbered(0, 5))
    stray = story.root / "shop" / "stray.log"
    stray.write_bytes(numbered(5, 5))
    story.turn()
    stray.unlink()
    story.restart()
    story.turns(3)
    assert story.lines == once(numbered(0, 10))


def test_a_source_that_comes_back(story: Story, tmp_path: Path):
    """A directory that is out of sight for a while, as on a network file system, comes back as it was."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.turn()
    story.pod.rename(tmp_path / "aside")
    story.turns(5)
    (tmp_path / "aside").rename(story.pod)
    append(log, numbered(5, 5))
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 10)}
    assert story.lost == []


def test_a_source_that_was_left_for_good(story: Story):
    """A directory deleted and made again holds new files: the next generations."""
    log = story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    story.turn()
    log.unlink()
    story.turns(15)
    story.pod.rmdir()
    story.turns(3)
    story.pod.mkdir()
    log.write_bytes(numbered(50, 5))
    story.turns(3)
    assert story.text == {("app.log", 0): numbered(0, 5), ("app.log", 1): numbered(50, 5)}


@pytest.mark.parametrize("is_linked", [False, True])
def test_the_inode_of_a_longer_one_that_is_gone(story: Story, is_linked: bool):
    """A checkpoint may know two contents by one inode, since one came after the other. After a restart the
    file is the one whose content it holds, whatever name the other had, and however many names lead to it.
    """
    log, first, second = story.pod / "app.log", story.pod / "app.log.1", story.pod / "app.log.2"
    second.write_bytes(numbered(0, 100))
    story.turn()
    second.unlink()
    story.turns(3)
    first.write_bytes(numbered(100, 2))
    log.write_bytes(numbered(100, 5))  # begins alike
    story.turns(20)
    if is_linked:
        second.hardlink_to(first)
    else:
        first.rename(second)
        copy_in_place(log, first)
        truncate(log, numbered(105, 1))
    story.turns(20)
    status = second.stat()
    for path in ("app.log.1", "app.log.2"):
        story.remember((path, 0), device=status.st_dev, inode=status.st_ino)
    story.restart()
    story.turns(20)
    assert story.lines == once(numbered(0, 102), numbered(100, 5), b"" if is_linked else numbered(105, 1))
    assert story.lost == []


def test_a_name_that_two_contents_had_last(story: Story):
    """A checkpoint may know two contents by one name, where one of them was renamed and nothing read of it
    since. After a restart each is known again: by its inode, or rewritten under the name by its content.
    """
    first, second = story.pod / "app.log.1", story.pod / "app.log.2"
    second.write_bytes(numbered(0, 10))
    first.write_bytes(numbered(10, 10))
    story.turns(3)
    second.rename(story.pod / "moved.log")
    first.rename(second)
    append(second, numbered(20, 10))
    story.turns(3)
    replace_by(second, numbered(10, 30))
    story.restart()
    story.turns(20)
    assert story.lines == once(numbered(0, 40))
    assert story.lost == []


@pytest.mark.parametrize("is_kept", [True, False])
def test_an_unread_file_that_is_rewritten(story: Story, is_kept: bool):
    """What was written to a file that is open, and empty so far, is collected once: from the file put
    in its place, where that goes on with it; through the descriptor where that holds something else.
    """
    log = story.pod / "app.log"
    log.touch()
    append(log, b"half")
    story.turn()  # open, and nothing of it is taken
    append(log, b" a line\n")
    replace_by(log, (b"half a line\n" if is_kept else b"") + numbered(0, 5))
    story.turns(20)
    assert story.lines == once(b"half a line\n", numbered(0, 5))
    assert story.lost == []


def test_a_file_that_gives_less_than_its_size():
    """Cut between the look and the reading: nothing can be told of it, nor that it is another one."""
    volume = Volume(Path("/sys/kernel/mm"))  # its files say 4096 bytes, and have less
    try:
        (inside,) = Path("/sys/kernel/mm").glob("transparent_hugepage/enabled")
    except ValueError:
        pytest.skip("no such file in this kernel's /sys")
    status = inside.stat()
    source = TrackedSource(SourceDir("transparent_hugepage", False), "it", Origin("it"), 0.0)
    tracked = TrackedFile(source, FileId("it", "enabled", 0), source.origin, "enabled")
    tracked.read_offset = tracked.head_bytes = tracked.tail_bytes = 1000
    sight = FileSight("enabled", status.st_dev, status.st_ino, 4096, 0)
    with pytest.raises(OSError, match="being cut"):
        same_content(volume, tracked, sight)
    volume.close()


@pytest.mark.parametrize("is_deleted", [False, True])
def test_half_a_line_that_was_cut_for_a_longer_one(story: Story, is_deleted: bool):
    """Half a line was seen and not taken. Cut, and longer again by the next look, the file is known by how it
    began: what was cut is counted, and what stands there is another content; or was, if all is deleted then.
    """
    log = story.pod / "app.log"
    append(log, b"half")
    story.turn()
    truncate(log, b"another one\n")
    if is_deleted:
        shutil.rmtree(story.pod)
    story.turns(20)
    assert story.lines == once(b"" if is_deleted else b"another one\n")
    assert story.lost == [("app.log", 0, 0, 4, "deleted" if is_deleted else "truncated")]


def test_a_copy_of_one_of_two_contents_that_begin_alike(story: Story):
    """Of two contents without a name the copy goes on with the one of which it holds more."""
    log, other = story.pod / "app.log", story.pod / "app.log.1"
    log.write_bytes(numbered(0, 10))
    story.turn()
    other.write_bytes(numbered(0, 200))  # begins as the first one
    story.turns(20)
    truncate(log, numbered(300, 1))
    replace_by(story.pod / "app.log.2", numbered(0, 210))
    other.unlink()
    story.turns(20)
    assert story.lines == once(numbered(0, 10), numbered(0, 210), numbered(300, 1))
    assert story.lost == []


def test_rotated_and_rewritten_over_one_that_begins_alike(story: Story):
    """A name leads to a new inode that goes on with two contents, its own and a longer one: the longer."""
    log, first, second = (story.pod / name for name in ("app.log", "app.log.1", "app.log.2"))
    log.write_bytes(numbered(500, 10))
    first.write_bytes(numbered(0, 200))
    second.write_bytes(numbered(0, 5))
    story.turns(20)
    first.rename(second)
    log.rename(first)
    replace_by(second, numbered(0, 210))
    story.turns(20)
    assert story.lines == once(numbered(0, 5), numbered(0, 210), numbered(500, 10))
    assert story.lost == []
