"""What one shard may hold in memory at once, derived from `limits.memory`. Pure.

Half of a shard's share is room to work in (arena, framing, rows on their way to the encoder, the encoder
itself), the other half is for objects: one that grows and `MOST_SEALED` that wait for the destination.
"""

from __future__ import annotations

from collector.errors import ConfigError
from collector.value import value

MIB = 1 << 20

BASE_BYTES = 144 * MIB
"""Interpreter, libraries and their threads, before the first line is read: measured, with some room."""

MOST_SEALED = 2
"""Sealed batches that may wait for the destination. Beyond that, reading stops."""

GROUP_PART = 24
"""A row group is made of this part of the share, about: work takes up to a dozen times its size."""

LARGEST_GROUP_BYTES = 16 * MIB

ARENAS = 4
"""A row group is made of about so many arenas: what is read is still in the cache when it becomes rows."""

SMALLEST_ARENA_BYTES = 1 * MIB

ROOM_BYTES = 8 << 10
"""What an arena has beyond two of the longest lines: for the headers of lines, and so that two lines are not
all that it can hold.
"""

LEAST_LINE_BYTES = 32
"""An arena has at most a line for each of these: a row costs some hundred bytes on its way, however short."""

JSON_PART = 4
"""JSON repeats names and origin in every row, many times the line itself: so only this part at once."""

OBJECT_PART = 8
"""An object is sealed at this part of the share: three of them, and what encoding adds last, are half.
JSON adds more, so its objects are half as large.
"""

LEAST_OBJECT_BYTES = 1 * MIB

SOURCE_PART = 4
"""A batch has this part of the share as source bytes: after a crash they are read again at once."""


@value
class Budget:
    """Of one shard. Rows go to the encoder when they are worth `encode_bytes` of the files, or are
    `encode_rows`. A batch is sealed at `batch_bytes` of the files or `object_bytes` of the object, whichever
    comes first.
    """

    arena_bytes: int
    arena_lines: int
    encode_bytes: int
    encode_rows: int
    batch_bytes: int
    object_bytes: int


def share(memory_bytes: int, shards: int) -> int:
    """What `limits.memory` leaves for each of so many shards."""
    return max(0, memory_bytes - BASE_BYTES) // shards


def plan(share_bytes: int, *, export: str, max_line_bytes: int, batch_max_bytes: int) -> Budget:
    """Raises ConfigError where the share does not hold lines of the allowed length."""
    json = JSON_PART if export == "ndjson" else 1
    least = max(SMALLEST_ARENA_BYTES, 2 * max_line_bytes + ROOM_BYTES)
    group = max(min(share_bytes // GROUP_PART, LARGEST_GROUP_BYTES) // json, least)
    arena = max(group // ARENAS, least)
    work = group * GROUP_PART // 2
    needed = work + OBJECT_PART // 2 * LEAST_OBJECT_BYTES
    if needed > share_bytes:
        raise ConfigError(
            f"limits.memory leaves {share_bytes // MIB} MiB for each shard, but lines of "
            f"max_line_bytes need {needed // MIB} MiB",
            hint="raise limits.memory, or lower max_line_bytes or the number of shards",
        )
    return Budget(
        arena_bytes=arena,
        arena_lines=arena // LEAST_LINE_BYTES // json,
        encode_bytes=group * 11 // 16,  # a little less than arenas are: they are full but for half a line
        encode_rows=group // LEAST_LINE_BYTES // json,
        batch_bytes=min(batch_max_bytes, share_bytes // SOURCE_PART),
        object_bytes=min(
            batch_max_bytes,
            share_bytes // (OBJECT_PART * (2 if json > 1 else 1)),
            (share_bytes - work) // (OBJECT_PART // 2),
        ),
    )
