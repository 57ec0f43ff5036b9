"""Copies that a copytruncate rotation leaves: `cp app.log app.log.1`, then `app.log` is cut to nothing.

The copy is seen first, growing, while the original still stands. Taken at once it would give every
line twice; so a file that so far reads like another one of nearly its name waits. When the original is
truncated, the copy goes on as that content, and only its rest is collected.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from collector.intake.content import same_head, same_prefix
from collector.intake.discover import FileSight
from collector.intake.track import TrackedFile, TrackedSource
from collector.intake.volume import Volume


def truncated_original(volume: Volume, source: TrackedSource, sight: FileSight) -> TrackedFile | None:
    """The truncated content that the file `sight` goes on with, if any."""
    for past in source.past:
        if not past.gone and past.read_offset and _is_named_after(sight.name, past.name):
            longer = sight.size >= past.read_offset
            if longer and same_prefix(volume, past, sight.name):
                return past
    return None


def may_be_copy(volume: Volume, source: TrackedSource, tracked: TrackedFile, sight: FileSight) -> bool:
    """Whether `sight` reads, so far, like another live file that it may be a copy in progress of."""
    for original in source.files.values():
        if original is tracked or not original.read_offset or not _is_named_after(sight.name, original.name):
            continue
        if sight.size >= original.read_offset:
            alike = same_prefix(volume, original, sight.name)
        else:
            alike = same_head(volume, original, sight.name, sight.size)
        if alike:
            return True
    return False


def _is_named_after(name: str, original: str) -> bool:
    """Whether a rotation of `original` may be called `name`: app.log.1, app.log-20261122, app-1.log."""
    copy, first = PurePosixPath(name), PurePosixPath(original)
    return name != original and copy.parent == first.parent and copy.name.startswith(first.stem)
