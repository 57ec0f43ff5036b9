"""Which names of a look hold a file that was known under another name: by inode, and by content.

The inode number suggests and the content decides, so a remount, which changes device numbers, makes no
file another one. A content that no name led to at the last look may come back under a new one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from collector.intake.discover import FileSight
from collector.intake.identify import Verdict
from collector.intake.stems import may_follow
from collector.intake.track import TrackedFile, TrackedSource

Judge = Callable[[TrackedFile, FileSight], Verdict | None]
"""What a sight is to a known file; None where that cannot be told now."""

ByInode = defaultdict[tuple[int, int], list[TrackedFile]]
ByNumber = defaultdict[int, list[TrackedFile]]

Proof = Callable[[TrackedFile, FileSight], bool]
"""Whether a sight holds each byte that was read of a known file; False where that cannot be told."""

KNOWN_AGAIN = (Verdict.RENAMED, Verdict.SAME, Verdict.GROWN)


def sort_out(
    source: TrackedSource,
    strangers: Iterable[FileSight],
    placed: set[TrackedFile],
    judge: Judge,
    proof: Proof,
) -> tuple[list[tuple[TrackedFile, FileSight]], list[FileSight]]:
    """The known files that have another name now, each with its sight, and the strangers that remain.

    `placed` are the files whose name this look confirmed; found ones are added. A further link to one of
    them is in neither list.
    """
    renamed: list[tuple[TrackedFile, FileSight]] = []
    others: list[FileSight] = []
    by_inode, by_number = _index(source)
    strangers = list(strangers)
    if not by_inode:
        return renamed, strangers
    inodes = {sight.inode for sight in strangers}
    for sight in strangers:
        known = by_inode.get((sight.device, sight.inode), ())
        if known and any(each in placed for each in known):
            continue
        known = known or by_number.get(sight.inode, ())
        verdict = None
        for each in known:
            likely = source.files.get(sight.name)
            if each in placed or likely is each:
                continue
            if (
                likely
                and likely.read_offset > each.read_offset
                and likely.inode not in inodes
                and _goes_on(likely, sight, judge)
                and (not each.read_offset or proof(likely, sight))
            ):
                continue  # of the one the inode is known, and less than of the other, all of which is here
            verdict = judge(each, sight)
            if verdict is None or verdict in KNOWN_AGAIN:
                break
        else:
            others.append(sight)
            continue
        if verdict is not None:
            renamed.append((each, sight))
        placed.add(each)
        each.missing = 0  # where it cannot be told, it is no proof that it is gone
    return renamed, others


def _goes_on(known: TrackedFile, sight: FileSight, judge: Judge) -> bool:
    return known.read_offset > 0 and judge(known, sight) in KNOWN_AGAIN


def other_of_the_inode(
    tracked: TrackedFile, sight: FileSight, placed: set[TrackedFile], judge: Judge
) -> TrackedFile | None:
    """Of several contents that a checkpoint knows by one inode, the one that stands there, where it is not
    `tracked`: a checkpoint tells neither which of them was the last nor which name it has by now.
    """
    for other in (*tracked.source.past, *tracked.source.files.values()):
        if other is tracked or (other.device, other.inode) != (sight.device, sight.inode):
            continue
        if other in placed or (other.is_restored and _goes_on(other, sight, judge)):
            return other
    return None


def other_of_the_name(source: TrackedSource, sight: FileSight, judge: Judge) -> TrackedFile | None:
    """Of several contents that a checkpoint knows by one name, the one that stands there on another inode,
    where it is not the one taken for the last: only a file's generations tell what came after what.
    """
    likely = source.files.get(sight.name) if source.past else None
    for other in source.past:
        is_older = likely is not None and likely.file.path == other.file.path
        is_likely = other.is_restored and not is_older and other.name == sight.name
        if is_likely and _goes_on(other, sight, judge):
            return other
    return None


def that_holds_more(
    known: TrackedFile, sight: FileSight, nameless: Iterable[TrackedFile], judge: Judge, proof: Proof
) -> TrackedFile | None:
    """Of the contents that no name leads to by now, the one of which the sight holds more than of `known`,
    which stood there: begun alike, and renamed and rewritten at once, or copied and cut.
    """
    driven = [each for each in nameless if each.read_offset > known.read_offset]
    likely = [each for each in driven if each.name == sight.name or may_follow(sight.name, each.name)]
    likely.sort(key=lambda each: -each.read_offset)
    return next((each for each in likely if _goes_on(each, sight, judge) and proof(each, sight)), None)


def _index(source: TrackedSource) -> tuple[ByInode, ByNumber]:
    """Several may have had one inode, one after the other: the likeliest is first."""
    nameless = [past for past in source.past if past.read_offset and not past.gone]
    by_inode: ByInode = defaultdict(list)
    by_number: ByNumber = defaultdict(list)
    for known in (*source.files.values(), *source.gone, *nameless):
        by_inode[known.device, known.inode].append(known)
        by_number[known.inode].append(known)
    return by_inode, by_number
