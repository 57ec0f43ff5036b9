"""Which file is it? The pure function, as a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.intake.identify import Verdict, identify


@dataclass
class Remembered:
    name: str = "app.log"
    device: int = 1
    inode: int = 10
    size: int = 100
    mtime_ns: int | None = 5
    read_offset: int = 100
    suspect: bool = False
    is_unsure: bool = False


@dataclass(frozen=True)
class Seen:
    name: str = "app.log"
    device: int = 1
    inode: int = 10
    size: int = 100
    mtime_ns: int = 5


HERE, ELSEWHERE = Seen(), Seen(name="app.log.1")
REMOUNTED = Seen(device=2)
OTHER_INODE = Seen(inode=11)
READ = Remembered()
BEHIND = Remembered(read_offset=60)
UNREAD = Remembered(read_offset=0)
RESTORED = Remembered(mtime_ns=None)

SAME, GROWN, RENAMED = Verdict.SAME, Verdict.GROWN, Verdict.RENAMED
TRUNCATED, REPLACED = Verdict.TRUNCATED, Verdict.REPLACED

# What is remembered, what is seen, and the verdict where the content is the same, and where it is not.
# Where both are alike and `asked` is false, the content was not even looked at.
TABLE = [
    # the same name and inode
    (READ, HERE, False, SAME, SAME),
    (READ, replace(HERE, size=150, mtime_ns=6), False, GROWN, GROWN),
    (READ, replace(HERE, size=99, mtime_ns=6), False, TRUNCATED, TRUNCATED),
    (READ, replace(HERE, size=0, mtime_ns=6), False, TRUNCATED, TRUNCATED),
    (READ, replace(HERE, mtime_ns=6), True, SAME, REPLACED),
    (BEHIND, replace(HERE, size=80, mtime_ns=6), False, GROWN, GROWN),
    (BEHIND, replace(HERE, size=60, mtime_ns=6), True, SAME, REPLACED),
    (BEHIND, replace(HERE, size=59, mtime_ns=6), False, TRUNCATED, TRUNCATED),
    (replace(BEHIND, is_unsure=True), replace(HERE, size=200, mtime_ns=6), True, GROWN, REPLACED),
    (replace(BEHIND, is_unsure=True), HERE, False, SAME, SAME),
    (replace(READ, suspect=True), HERE, True, GROWN, REPLACED),
    (replace(READ, suspect=True), replace(HERE, size=99), False, TRUNCATED, TRUNCATED),
    (UNREAD, HERE, False, SAME, SAME),
    (UNREAD, replace(HERE, size=150, mtime_ns=6), False, GROWN, GROWN),
    (UNREAD, replace(HERE, size=99, mtime_ns=6), False, TRUNCATED, TRUNCATED),
    (Remembered(size=0, read_offset=0), replace(HERE, size=0, mtime_ns=6), False, SAME, SAME),
    # the first look after a restart: sizes prove nothing
    (RESTORED, HERE, True, GROWN, REPLACED),
    (RESTORED, replace(HERE, size=150), True, GROWN, REPLACED),
    (RESTORED, replace(HERE, size=99), False, TRUNCATED, TRUNCATED),
    (replace(RESTORED, read_offset=0, size=0), replace(HERE, size=9), False, GROWN, GROWN),
    # another name, the same inode
    (READ, ELSEWHERE, True, RENAMED, REPLACED),
    (READ, replace(ELSEWHERE, size=150), True, RENAMED, REPLACED),
    (READ, replace(ELSEWHERE, size=99), False, REPLACED, REPLACED),
    (UNREAD, ELSEWHERE, False, RENAMED, RENAMED),
    (UNREAD, replace(ELSEWHERE, size=99), False, REPLACED, REPLACED),
    (RESTORED, replace(ELSEWHERE, device=2), True, RENAMED, REPLACED),
    # the same name, another inode or device
    (READ, OTHER_INODE, True, SAME, REPLACED),
    (READ, replace(OTHER_INODE, size=150), True, GROWN, REPLACED),
    (READ, replace(OTHER_INODE, size=99), False, REPLACED, REPLACED),
    (UNREAD, OTHER_INODE, False, REPLACED, REPLACED),
    (READ, REMOUNTED, True, SAME, REPLACED),
    (READ, replace(REMOUNTED, size=150), True, GROWN, REPLACED),
    (UNREAD, REMOUNTED, False, GROWN, GROWN),
    (RESTORED, replace(REMOUNTED, inode=11), True, SAME, REPLACED),
]


@pytest.mark.parametrize(("known", "sight", "asked", "same", "other"), TABLE)
def test_the_table(known, sight, asked, same, other):
    """Each row: the verdict by what the content says, which is asked for only where it can matter."""
    questions = []

    def answer(is_same: bool) -> bool:
        questions.append(is_same)
        return is_same

    assert identify(known, sight, lambda: answer(True)) is same
    assert identify(known, sight, lambda: answer(False)) is other
    assert questions == ([True, False] if asked else [])


def test_what_is_not_known_is_new():
    """Nothing had this name or inode before."""
    assert identify(None, HERE, lambda: True) is Verdict.NEW


def test_what_cannot_be_told_is_not_guessed():
    """An error while the content is read goes through: no verdict rests on it."""

    def fails() -> bool:
        raise PermissionError

    with pytest.raises(PermissionError):
        identify(READ, replace(HERE, mtime_ns=6), fails)


numbers = st.integers(0, 3)
sights = st.builds(
    Seen,
    name=st.sampled_from(["a", "b"]),
    device=numbers,
    inode=numbers,
    size=numbers,
    mtime_ns=numbers,
)


@given(
    known=st.builds(
        Remembered,
        name=st.sampled_from(["a", "b"]),
        device=numbers,
        inode=numbers,
        size=numbers,
        mtime_ns=st.none() | numbers,
        read_offset=numbers,
        suspect=st.booleans(),
        is_unsure=st.booleans(),
    ),
    sight=sights,
    is_same=st.booleans(),
)
def test_nothing_shorter_or_other_goes_on(known, sight, is_same):
    """Whatever is remembered: what is shorter than what was read, or has another content where that was
    looked at, is never gone on with.
    """
    asked = []
    verdict = identify(known, sight, lambda: bool(asked.append(1)) or is_same)
    goes_on = verdict in (Verdict.SAME, Verdict.GROWN, Verdict.RENAMED)
    if sight.size < known.read_offset or (asked and not is_same):
        assert not goes_on
    assert verdict is not Verdict.NEW
    assert (verdict is Verdict.RENAMED) <= (known.name != sight.name)
