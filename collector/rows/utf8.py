"""Message columns: rows of an arena as valid UTF-8, and the exact bytes where they are none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.model import Lines
from collector.rows.block import Block, gathered

LINE_FEED = 10
FIRST_BEYOND_ASCII = 0x80


def messages(
    arena: NDArray[np.uint8], lines: Lines, twice: int = 0
) -> tuple[pa.StringArray, pa.BinaryArray | None, int]:
    """The `message` (string) and `raw` (binary) columns of all rows, and how many rows were no UTF-8.

    The arena may be reused afterwards: rows are gathered once, the first `twice` ones into memory before them
    as well. `raw` is None where every row is UTF-8.
    """
    values = gathered(Block(arena, lines.starts), lines.starts, lines.ends, twice)
    text = values.view(pa.string())
    if not _is_ascii(arena, lines):
        try:
            text.validate(full=True)
        except pa.ArrowInvalid:
            return repair(values)
    return text, None, 0


def _is_ascii(arena: NDArray[np.uint8], lines: Lines) -> bool:
    """Whether all that the rows span is ASCII. Most logs are, and to look at each row takes far longer."""
    if not len(lines.starts):
        return True
    return bool(arena[lines.starts[0] : lines.ends[-1]].max(initial=0) < FIRST_BEYOND_ASCII)


def repair(values: pa.BinaryArray) -> tuple[pa.StringArray, pa.BinaryArray | None, int]:
    """Replaces what is no UTF-8 by U+FFFD, one for each maximal part of an ill-formed sequence
    (Unicode 3.9, "U+FFFD substitution of maximal subparts"; CPython's decoder does so).

    A decoder neither makes nor swallows line feeds, so all rows are decoded at once with line feeds between
    them, and split again at the same ones: a row of several lines holds some itself. A row was wrong exactly
    if this changed its bytes.
    """
    joined = pc.binary_join_element_wise(values, b"\n", b"")
    data = joined.buffers()[2]
    fixed = str(memoryview(data)[: _size(joined)], "utf-8", "replace").encode()
    ends = np.frombuffer(joined.buffers()[1], np.int32)[1 : len(joined) + 1] - 1
    before = np.flatnonzero(np.frombuffer(data, np.uint8)[: _size(joined)] == LINE_FEED)
    after = np.flatnonzero(np.frombuffer(fixed, np.uint8) == LINE_FEED)
    stops = after[np.searchsorted(before, ends)]
    lines = Lines(
        np.concatenate([[0], stops[:-1] + 1]).astype(np.int64),
        stops.astype(np.int64),
        np.ones(len(stops), np.bool_),
        np.zeros(0, np.int64),
        np.zeros(0, np.int64),
    )
    text, _, _ = messages(np.frombuffer(fixed, np.uint8), lines)
    wrong = pc.not_equal(text.view(pa.binary()), values)
    raw = pc.if_else(wrong, values, pa.scalar(None, pa.binary()))
    return text, raw, int(pc.sum(wrong).as_py() or 0)


def _size(array: pa.BinaryArray) -> int:
    """Bytes of data of a binary array that starts at offset 0."""
    return int(np.frombuffer(array.buffers()[1], np.int32)[len(array)])
