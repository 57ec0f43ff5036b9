"""Copies that a copytruncate rotation leaves: `cp app.log app.log.1`, then `app.log` is cut to nothing.

The copy is seen first, growing, while the original still stands. Taken at once it would give every
line twice; so a file that so far reads like another one of nearly its name waits. When the original is
truncated, the copy goes on as that content, and only its rest is collected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

from collector.intake.content import (
    is_there,
    same_prefix,
    same_so_far,
    starts_alike,
    starts_with_unread,
    still_holds,
)
from collector.intake.discover import FileSight
from collector.intake.stems import may_follow, stem_of
from collector.intake.track import TrackedFile, TrackedSource
from collector.intake.volume import Volume

RECENT_LOOKS = 2
"""A copy is there before its original is cut. Later files may begin alike by chance."""

MOST_COMPARED = 64
"""Files that one is compared with: no number of names may hold up the other sources."""


class Nameless:
    """The contents of a source that no name leads to since the last looks, by what copies of them are called.

    Of one look: what finds a name meanwhile is left out.
    """

    def __init__(self, volume: Volume, source: TrackedSource) -> None:
        self._volume = volume
        self._source = source
        self._by_stem: dict[str, list[TrackedFile]] = defaultdict(list)
        contents = [*(content for content in source.past if not content.gone), *source.gone]
        recent = (content for content in contents if content.missing <= RECENT_LOOKS)
        # Files whose name was not in this look may be cut and then deleted.
        for content in (*recent, *(each for each in source.files.values() if each.missing)):
            self._by_stem[stem_of(content.name)].append(content)

    def __bool__(self) -> bool:
        return bool(self._by_stem)

    def before(self, name: str) -> Iterator[TrackedFile]:
        """Those after which a rotation may have called another file `name`."""
        if not self._by_stem:
            return
        for end in range(name.rfind("/") + 2, len(name) + 1):
            for content in self._by_stem.get(name[:end], ()):
                if _is_named_after(name, content.name) and not self._has_name(content):
                    yield content

    def _has_name(self, content: TrackedFile) -> bool:
        if self._source.files.get(content.name) is not content:
            return False
        return not content.missing or is_there(self._volume, content)


def content_of(volume: Volume, nameless: Nameless, sight: FileSight) -> TrackedFile | None:
    """The content without a name that the file `sight` goes on with, if any; of several that begin alike the
    one of which most was read. Raises OSError.
    """
    likely = sorted(islice(nameless.before(sight.name), MOST_COMPARED), key=lambda each: -each.read_offset)
    return next((each for each in likely if _is_copy_of(volume, each, sight)), None)


def may_be_copy(volume: Volume, nameless: Nameless, tracked: TrackedFile, sight: FileSight) -> bool:
    """Whether `sight` reads, so far, like a file that it may be a copy in progress of. Raises OSError."""
    if any(
        original is not tracked and _is_copied(volume, original, sight)
        for original in islice(tracked.source.namesakes(sight.name), MOST_COMPARED)
    ):
        return True
    # Sizes are seen one after the other: a copy may look unfinished though its original was cut already.
    return any(
        sight.size < _least_bytes(content, sight) and starts_alike(volume, content, sight)
        for content in islice(nameless.before(sight.name), MOST_COMPARED)
    )


def _least_bytes(content: TrackedFile, sight: FileSight) -> int:
    """How long a copy of the content is at least."""
    is_likely = len(content.name) < len(sight.name)
    return content.read_offset or (content.seen_bytes if is_likely else 0)


def cut_original(volume: Volume, tracked: TrackedFile, sight: FileSight) -> TrackedFile | None:
    """The file that `sight` is a whole copy of and that holds no more what was read of it: it was cut while
    nobody looked, and by its size that may not show. Raises OSError.
    """
    for original in islice(tracked.source.namesakes(sight.name), MOST_COMPARED):
        is_read = original is not tracked and 0 < original.read_offset <= sight.size
        if is_read and same_prefix(volume, original, sight) and not still_holds(volume, original):
            return original
    return None


def _is_copy_of(volume: Volume, content: TrackedFile, sight: FileSight) -> bool:
    if content.read_offset:
        return sight.size >= content.read_offset and same_prefix(volume, content, sight)
    # Nothing of it was taken, so nothing can be doubled: name, time, size, and what was seen of it must do.
    is_likely = len(content.name) < len(sight.name) and 0 < content.seen_bytes <= sight.size
    if is_likely and starts_alike(volume, content, sight):
        return True
    return starts_with_unread(volume, content, sight)  # what its descriptor would give is in both


def _is_copied(volume: Volume, original: TrackedFile, sight: FileSight) -> bool:
    if original.read_offset and sight.size >= original.read_offset:
        return same_prefix(volume, original, sight)
    # Of two files of which nothing is known yet, the one with the longer name can be the copy.
    is_first = original.read_offset or len(original.name) < len(sight.name)
    return bool(is_first) and original.size >= sight.size and same_so_far(volume, original, sight)


def _is_named_after(name: str, original: str) -> bool:
    """Whether a rotation of `original` may be called `name`: app.log.1, app.log-20261122, app-1.log."""
    stem = stem_of(original)
    return may_follow(name, original) and name.startswith(stem) and "/" not in name[len(stem) :]
