"""Redaction: what matches a pattern is replaced in messages before anything else sees them.

Patterns are RE2's, as those of `joblog logs --grep`: time grows with the length of a line alone, whatever
it holds, and the engine runs natively over all rows of a column. A match never goes beyond its row.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from collector.errors import UsageError
from collector.model import Redaction


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
        rows = message.filter(found)
        count += pc.sum(pc.count_substring_regex(rows, each.pattern)).as_py()
        # Backslashes would name groups of the pattern.
        changed = pc.replace_substring_regex(rows, each.pattern, each.replacement.replace("\\", "\\\\"))
        message = pc.replace_with_mask(message, found, changed)
        if exact is not None:
            exact = pc.if_else(found, pa.scalar(None, pa.binary()), exact)
    return message, exact, count


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
