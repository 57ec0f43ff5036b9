"""Which name leads to which content, where several contents had one inode, one after the other."""

from __future__ import annotations

import pytest

from collector.intake.discover import FileSight, SourceDir
from collector.intake.identify import Verdict
from collector.intake.renames import sort_out
from collector.intake.track import TrackedFile, TrackedSource
from collector.model import FileId, Origin

INODE = 7


@pytest.fixture
def source() -> TrackedSource:
    return TrackedSource(SourceDir("pod", False), "pod", Origin("pod"), 0.0)


def known(source: TrackedSource, name: str) -> TrackedFile:
    tracked = TrackedFile(source, FileId("pod", name, 0), source.origin, name)
    tracked.inode = INODE
    source.put(name, tracked)
    return tracked


def sight(name: str) -> FileSight:
    return FileSight(name, 0, INODE, 20, 0)


def never(tracked: TrackedFile, sight: FileSight) -> bool:
    """Nothing can be proved."""
    return False


@pytest.mark.parametrize("first", [True, False])
def test_a_further_link_to_a_file_in_its_place(source: TrackedSource, first: bool) -> None:
    """A file that stands at its name has a second one: that is no new file, though another known file,
    which is gone, had the same inode before.
    """
    names = ["here.log", "gone.log"] if first else ["gone.log", "here.log"]
    files = {name: known(source, name) for name in names}
    placed = {files["here.log"]}
    assert sort_out(source, [sight("link.log")], placed, lambda *_: Verdict.REPLACED, never) == ([], [])


@pytest.mark.parametrize("first", [True, False])
def test_each_that_had_the_inode_is_asked(source: TrackedSource, first: bool) -> None:
    """A new name leads to that one of them whose content it holds."""
    names = ["moved.log", "gone.log"] if first else ["gone.log", "moved.log"]
    files = {name: known(source, name) for name in names}
    moved, seen = files["moved.log"], sight("moved.log.1")

    def judge(tracked: TrackedFile, _: FileSight) -> Verdict:
        return Verdict.RENAMED if tracked is moved else Verdict.REPLACED

    assert sort_out(source, [seen], set(), judge, never) == ([(moved, seen)], [])


@pytest.mark.parametrize("is_there", [False, True])
def test_what_a_file_holds_says_more_than_an_inode(source: TrackedSource, is_there: bool) -> None:
    """A name leads to the inode of a file of which nothing was read, and holds what was read under the name:
    rewritten, it got an inode that was free. But not where what had the name stands under another one.
    """
    empty, read = known(source, "app.log"), known(source, "app.log.1")
    read.inode, read.read_offset = INODE + 1, 16
    seen, elsewhere = sight("app.log.1"), FileSight("app.log.2", 0, INODE + 1, 20, 0)

    def judge(tracked: TrackedFile, sight: FileSight) -> Verdict:
        return Verdict.GROWN if (tracked is read and sight is seen) else Verdict.RENAMED

    found = sort_out(source, [seen, elsewhere][: 1 + is_there], set(), judge, never)
    assert found == (([(empty, seen), (read, elsewhere)], []) if is_there else ([], [seen]))


@pytest.mark.parametrize("is_proved", [False, True])
def test_all_that_was_read_under_the_name_says_more_than_an_inode(
    source: TrackedSource, is_proved: bool
) -> None:
    """A name leads to the inode of a file of which less was read than under the name, and that begins alike:
    it goes on as the name's content only if it holds every byte of that.
    """
    less, more = known(source, "app.log"), known(source, "app.log.1")
    less.read_offset, more.read_offset, more.inode = 8, 16, INODE + 1
    seen = sight("app.log.1")

    def judge(tracked: TrackedFile, _: FileSight) -> Verdict:
        return Verdict.GROWN if tracked is more else Verdict.RENAMED

    found = sort_out(source, [seen], set(), judge, lambda *_: is_proved)
    assert found == (([], [seen]) if is_proved else ([(less, seen)], []))
