"""Lines → records: a record is a subset of the line starts. Pure; no Python per line.

A record begins at each line that the pattern matches, and holds the lines up to the next one, line
feeds included. One over `max_line_bytes` comes in pieces, cut between lines wherever it can be. The
last record of a read that is not final stays unread: its end is not known yet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collector.intake.starts import Starts
from collector.model import Lines

Positions = NDArray[np.int64]


def join_lines(
    arena: NDArray[np.uint8],
    at: Positions,
    final: NDArray[np.bool_],
    lines: Lines,
    *,
    starts: Starts,
    max_line_bytes: int,
) -> Lines:
    """The records that the lines of each read make. A line that was cut into pieces is one line."""
    if not len(lines.starts):
        return lines
    firsts = np.cumsum(lines.row_counts) - lines.row_counts
    filled = lines.row_counts > 0
    begins = starts.match(arena, lines.starts, lines.ends)
    begins[1:] &= lines.eol[:-1]
    begins[firsts[filled]] = True
    _cut(begins, lines, max_line_bytes)
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(begins)) - 1
    of_read = np.searchsorted(first, firsts)  # the first record of each read
    counts = np.diff(np.append(of_read, len(first)))
    consumed, kept = lines.consumed.copy(), np.ones(len(first), np.bool_)
    open_ended = filled & ~final
    open_records = (of_read + counts - 1)[open_ended]
    kept[open_records] = False
    consumed[open_ended] = lines.starts[first[open_records]] - at[open_ended]
    counts = counts - open_ended
    feeds = np.concatenate([[0], np.cumsum(lines.eol)])
    stop_rows = firsts + lines.row_counts
    stop_rows[open_ended] = first[open_records]
    first, last = first[kept], last[kept]
    return Lines(
        lines.starts[first],
        lines.ends[last],
        lines.eol[last],
        counts,
        consumed,
        line_feeds=feeds[stop_rows] - feeds[firsts],
    )


def _cut(begins: NDArray[np.bool_], lines: Lines, limit: int) -> None:
    """Begins a new piece before each line with which a record would be over the limit."""
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(begins)) - 1
    too_long = np.flatnonzero(lines.ends[last] - lines.starts[first] > limit)
    for row, end in zip(first[too_long].tolist(), last[too_long].tolist(), strict=True):
        begin = row
        while lines.ends[end] - lines.starts[begin] > limit:
            fits = np.searchsorted(lines.ends[begin : end + 1], lines.starts[begin] + limit, side="right")
            begin += max(1, int(fits))
            if begin > end:
                break
            begins[begin] = True
