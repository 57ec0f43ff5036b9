"""Redaction: what matches a pattern is replaced in messages before anything else sees them.

Patterns are RE2's, as those of `joblog logs --grep`: time grows with the length of a line alone, whatever
it holds, and the engine runs natively over all rows of a column. A match never goes beyond its row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.errors import UsageError
from collector.model import Redaction
from collector.rows.block import Block

CONTROLS = 0x20
LARGEST_TEXT = (1 << 31) - 1
"""Of a column, in bytes."""


def redact(
    message: pa.StringArray, exact: pa.BinaryArray | None, redactions: Sequence[Redaction]
) -> tuple[pa.StringArray, pa.BinaryArray | None, int]:
    """`message` and `raw` (None: all null) without what the patterns match, and how often they did.

    One pattern after the other. A row that was changed has no exact bytes: they would tell what was there.
    """
    count = 0
    for each in redactions:
        found = pc.match_substring_regex(message, each.pattern)
        if not found.true_count:
            continue
        everywhere = found.true_count == len(found)
        changed, matches = _replaced(message if everywhere else message.filter(found), each)
        message = changed if everywhere else pc.replace_with_mask(message, found, changed)
        count += matches
        if exact is not None:
            exact = pc.if_else(found, pa.scalar(None, pa.binary()), exact)
    return message, exact, count


def _replaced(rows: pa.StringArray, how: Redaction) -> tuple[pa.StringArray, int]:
    """The rows without what matches, and how often it did. To count would take as long as to replace: so
    first a character comes in its place that no row holds, which is quickly counted and replaced.
    """
    mark = _unused(Block.of(rows).data)
    if mark is not None:
        block = Block.of(pc.replace_substring_regex(rows, how.pattern, chr(mark)))
        at, by = np.flatnonzero(block.data == mark), how.replacement.encode()
        if len(block.data) + len(at) * len(by) <= LARGEST_TEXT:
            bounds = block.bounds + (len(by) - 1) * np.searchsorted(at, block.bounds)
            data = block.data.tobytes().replace(bytes([mark]), by)
            buffers = pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(data)
            return pa.StringArray.from_buffers(len(rows), *buffers), len(at)
    # Backslashes would name groups of the pattern.
    changed = pc.replace_substring_regex(rows, how.pattern, how.replacement.replace("\\", "\\\\"))
    return changed, pc.sum(pc.count_substring_regex(rows, how.pattern)).as_py()


def _unused(data: NDArray[np.uint8]) -> int | None:
    """A control character that is not there."""
    if not len(data) or int(data.min()) >= CONTROLS:
        return 1
    return next((code for code in range(1, CONTROLS) if not (data == code).any()), None)


def check_pattern(pattern: str) -> None:
    """Raises UsageError for what is no pattern, or could match nothing at all."""
    try:
        empty = pc.match_substring_regex(pa.array([""]), pattern).to_pylist()[0]
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise UsageError(
            f"is no regular expression: {str(error).splitlines()[0]}",
            hint="write it in RE2 syntax (no look-around, no back-references)",
        ) from None
    if empty:
        raise UsageError("matches the empty text, and so every place of every line")
