"""Bytes → rows: finds all line feeds of an arena in one vectorised pass. Pure; no Python per line.

A row is a line without its line feed. A line longer than `max_line_bytes` comes in pieces, each cut at
`max_line_bytes` and never inside a UTF-8 sequence; all but its last piece have `eol` false. So does a
last line without a line feed, which is taken only where the read says that it is `final`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collector.model import Lines

LINE_FEED = 10
CONTINUATION_MASK, CONTINUATION = 0xC0, 0x80
LONGEST_UTF8_BYTES = 4
WORD_BYTES = 8
SCAN_BYTES = 512 << 10
"""So much is looked at at once: its mask is still in the core's cache when that is looked at again."""

Positions = NDArray[np.int64]


def frame(
    arena: NDArray[np.uint8],
    at: Positions,
    lengths: Positions,
    final: NDArray[np.bool_],
    max_line_bytes: int,
    *,
    found: Positions | None = None,
) -> Lines:
    """Frames reads, at least one, that lie back to back from the start of `arena`: read i is
    `arena[at[i] : at[i] + lengths[i]]`. `found` is where their line feeds are, if that is known.

    Bytes behind a read's last line feed become a row only where `final[i]`, or as pieces where they are more
    than `max_line_bytes`.
    """
    stops = at + lengths
    line_feeds = positions(arena[: int(stops[-1])] == LINE_FEED, int(stops[-1])) if found is None else found
    first, last = np.searchsorted(line_feeds, at), np.searchsorted(line_feeds, stops)
    starts = np.empty_like(line_feeds)
    starts[1:] = line_feeds[:-1] + 1
    terminated = last > first
    starts[first[terminated]] = at[terminated]
    rest = at.copy()
    rest[terminated] = line_feeds[last[terminated] - 1] + 1
    has_rest = (final & (stops > rest)) | (stops - rest > max_line_bytes)
    is_long = line_feeds - starts > max_line_bytes
    if has_rest.any() or is_long.any():
        pieces = _long_lines(arena, starts, line_feeds, is_long, max_line_bytes)
        pieces += _rests(arena, rest[has_rest], stops[has_rest], final[has_rest], max_line_bytes)
        return _merge(starts, line_feeds, pieces, at, stops)
    return Lines(starts, line_feeds, np.ones(len(starts), np.bool_), last - first, rest - at)


def line_feeds(lines: Lines) -> Positions:
    """How many line feeds each read's consumed bytes hold."""
    if lines.line_feeds is not None:
        return lines.line_feeds
    if lines.eol.all():
        return lines.row_counts
    until = np.concatenate([[0], np.cumsum(lines.eol)])
    stops = np.cumsum(lines.row_counts)
    return np.asarray(until[stops] - until[stops - lines.row_counts], np.int64)


def first_line_feeds(arena: NDArray[np.uint8], most: int, scratch: NDArray[np.bool_]) -> Positions:
    """Where the first `most` line feeds are, one or more. `scratch` has `SCAN_BYTES`, or those of `arena`."""
    found: list[Positions] = []
    for start in range(0, max(1, len(arena)), SCAN_BYTES):
        block = arena[start : start + SCAN_BYTES]
        here = positions(np.equal(block, LINE_FEED, out=scratch[: len(block)]), most)
        if start:
            here += start
        found.append(here)
        most -= len(here)
        if not most:
            break
    return np.concatenate(found) if len(found) > 1 else found[0]


def positions(mask: NDArray[np.bool_], most: int) -> Positions:
    """Where `mask` is true, the first `most` of them. Most bytes of a log are no line feed: so eight are
    looked at as one word, and the value of a word with one of them says where it is.
    """
    whole = len(mask) // WORD_BYTES * WORD_BYTES
    words = mask[:whole].view("<u8")
    at = np.flatnonzero(words != 0)[:most]  # no more are needed, for each has one or more
    found = words[at]
    below = found - np.uint64(1)  # the bits below the lowest one that is set, where no other is
    crowded = np.flatnonzero((found & below) != 0)
    if len(crowded) * WORD_BYTES > len(at):
        stop = len(mask) if len(at) < most else int(at[-1] + 1) * WORD_BYTES
        return np.flatnonzero(mask[:stop])[:most]
    first = at * WORD_BYTES + (np.bitwise_count(below) >> 3)
    parts = [first, whole + np.flatnonzero(mask[whole:])]
    if len(crowded):
        row, column = np.nonzero(mask[:whole].reshape(-1, WORD_BYTES)[at[crowded]])
        parts[0] = np.delete(first, crowded)
        parts.append(at[crowded][row] * WORD_BYTES + column)
        return np.sort(np.concatenate(parts), kind="stable")[:most]
    return np.concatenate(parts)[:most]


def _long_lines(
    arena: NDArray[np.uint8], starts: Positions, ends: Positions, is_long: NDArray[np.bool_], limit: int
) -> list[tuple[int, int]]:
    """Cuts long lines; moves the start of each in `starts` to that of its last piece."""
    pieces: list[tuple[int, int]] = []
    for row in np.flatnonzero(is_long):
        cuts = _cuts(arena, int(starts[row]), int(ends[row]), limit)
        pieces += cuts
        starts[row] = cuts[-1][1]
    return pieces


def _rests(
    arena: NDArray[np.uint8], starts: Positions, stops: Positions, final: NDArray[np.bool_], limit: int
) -> list[tuple[int, int]]:
    pieces: list[tuple[int, int]] = []
    for start, stop, take in zip(starts.tolist(), stops.tolist(), final.tolist(), strict=True):
        cuts = _cuts(arena, start, stop, limit)
        pieces += cuts
        if take:
            pieces.append((cuts[-1][1] if cuts else start, stop))
    return pieces


def _cuts(arena: NDArray[np.uint8], start: int, end: int, limit: int) -> list[tuple[int, int]]:
    """The pieces of [start, end) but the last, which is at most `limit` bytes."""
    pieces: list[tuple[int, int]] = []
    while end - start > limit:
        cut = before_character(arena, start + limit)
        pieces.append((start, cut))
        start = cut
    return pieces


def before_character(arena: NDArray[np.uint8], cut: int) -> int:
    """`cut`, or up to three bytes before it where it would split a UTF-8 sequence.

    Where all three bytes before are continuation bytes too, this is no UTF-8, and any cut is right.
    """
    for back in range(LONGEST_UTF8_BYTES):
        if arena[cut - back] & CONTINUATION_MASK != CONTINUATION:
            return cut - back
    return cut


def _merge(
    starts: Positions, line_feeds: Positions, pieces: list[tuple[int, int]], at: Positions, stops: Positions
) -> Lines:
    """Puts lines and pieces into arena order. Each row has at least one byte, so starts are unique."""
    extra = np.array(pieces, dtype=np.int64).reshape(-1, 2)
    all_starts = np.concatenate([starts, extra[:, 0]])
    all_ends = np.concatenate([line_feeds, extra[:, 1]])
    eol = np.zeros(len(all_starts), np.bool_)
    eol[: len(line_feeds)] = True
    order = np.argsort(all_starts, kind="stable")
    all_starts, all_ends, eol = all_starts[order], all_ends[order], eol[order]
    first, last = np.searchsorted(all_starts, at), np.searchsorted(all_starts, stops)
    consumed = np.zeros_like(at)
    taken = last > first
    rows = last[taken] - 1
    consumed[taken] = all_ends[rows] + eol[rows] - at[taken]
    return Lines(all_starts, all_ends, eol, last - first, consumed)
