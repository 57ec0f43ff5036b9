"""Which file is it? One pure function from evidence to a verdict.

A name says little (rotation moves it), an inode number little more (it is reused, and changes with a
remount on some network file systems), a size nothing. Content decides: the hash of the first bytes
and of the last bytes before the offset that was reached. It is only read where the rest cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol


class Verdict(Enum):
    NEW = "new"
    SAME = "same"
    GROWN = "grown"
    RENAMED = "renamed"
    TRUNCATED = "truncated"
    REPLACED = "replaced"


class Known(Protocol):
    """What is remembered of a file. `mtime_ns` is None where that was before a restart; `suspect` says
    that the reader met other bytes than it had read before, `is_unsure` that it was not asked since the
    file grew.
    """

    name: str
    device: int
    inode: int
    size: int
    mtime_ns: int | None
    read_offset: int
    suspect: bool

    @property
    def is_unsure(self) -> bool: ...


class Sight(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def device(self) -> int: ...
    @property
    def inode(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...


def identify(known: Known | None, sight: Sight, same_content: Callable[[], bool]) -> Verdict:
    """What `sight` is, given what is known of the file that had its name, or its inode, before.

    `same_content` tells whether head and tail of what was read still stand there; it costs an open and
    two reads, and may raise. A file that only grew is not asked for: the reader compares its tail as it goes.
    """
    if known is None:
        return Verdict.NEW
    same_inode = (known.device, known.inode) == (sight.device, sight.inode)
    renamed = known.name != sight.name
    if same_inode and not renamed:
        return _in_place(known, sight, same_content)
    if sight.size < known.read_offset:
        return Verdict.REPLACED
    # Before a byte was read there is no content to compare: the inode must do, and that it is no shorter.
    is_unread_one = known.inode == sight.inode and sight.size >= known.size
    if not (same_content() if known.read_offset else is_unread_one):
        return Verdict.REPLACED
    if renamed:
        return Verdict.RENAMED
    return Verdict.GROWN if sight.size > known.read_offset else Verdict.SAME


def _in_place(known: Known, sight: Sight, same_content: Callable[[], bool]) -> Verdict:
    if sight.size < (known.read_offset or known.size):
        return Verdict.TRUNCATED
    # What happened before a restart nobody saw, and by the size alone a copytruncate can look like growth.
    if known.suspect or (known.mtime_ns is None and known.read_offset):
        return Verdict.GROWN if same_content() else Verdict.REPLACED
    if sight.size == known.size and sight.mtime_ns == known.mtime_ns:
        return Verdict.SAME
    if known.is_unsure:
        return Verdict.GROWN if same_content() else Verdict.REPLACED
    if sight.size > known.read_offset:
        return Verdict.GROWN
    # Written to, and yet not longer: rewritten to the same length, or only touched.
    return Verdict.SAME if sight.size == 0 or same_content() else Verdict.REPLACED
