"""Which finished sources are to be deleted from a volume now, and for what reason. Values only, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from collector.config_sections import RetentionConfig
from collector.value import value

Reason = Literal["age", "space"]


@value
class Space:
    """Of a file system. `free_bytes` are those that a user who is not root may fill."""

    total_bytes: int
    free_bytes: int


@value
class Candidate:
    """A source whose receipt stands, since `receipted_at`. `bytes` are those that its deletion gives back."""

    source: str
    receipted_at: datetime
    bytes: int


@value
class Choice:
    source: str
    reason: Reason


@value
class Expiry:
    """What is to be deleted, oldest receipts first, and how many bytes will be missing even then."""

    choices: tuple[Choice, ...]
    missing_bytes: int


def expire(
    candidates: Sequence[Candidate], wanted: RetentionConfig, space: Space | None, now: datetime
) -> Expiry:
    """Those that are old enough, and as many more as it takes to have the free space.

    Without `space` (it cannot be judged) nothing is deleted for it. A receipt that is newer than `now`,
    because the clock was set back, is not old.
    """
    missing = missing_bytes(wanted, space)
    choices = []
    for each in sorted(candidates, key=lambda each: (each.receipted_at, each.source)):
        if _is_old(each, wanted, now):
            choices.append(Choice(each.source, "age"))
        elif missing > 0 and each.bytes:
            choices.append(Choice(each.source, "space"))
        else:
            continue
        missing -= each.bytes
    return Expiry(tuple(choices), max(missing, 0))


def missing_bytes(wanted: RetentionConfig, space: Space | None) -> int:
    """How many bytes less are free than are wanted; 0 where that cannot be judged, or nothing is wanted."""
    if wanted.free_space is None or space is None:
        return 0
    return max(0, wanted.free_space.wanted_bytes(space.total_bytes) - space.free_bytes)


def _is_old(each: Candidate, wanted: RetentionConfig, now: datetime) -> bool:
    after = wanted.delete_after_seconds
    return after is not None and now - each.receipted_at >= timedelta(seconds=after)
