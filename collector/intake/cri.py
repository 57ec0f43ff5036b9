"""CRI lines → rows: headers are taken off, and partial lines joined with what follows in their stream.

The lines of a container's two streams interleave, so a row may hold lines that are not neighbours. Bytes
are taken only up to where no row is open. What must not grow without end is cut at sizes that depend on
the bytes alone, so any way of reading a file gives the same rows:

- a line over `max_line_bytes` and room for its header is cut there; the rest of it has no header;
- rows that are open over so many bytes of the file end as they are, at the end of a line;
- a row ends before the line with which its message would be over `max_line_bytes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.decoded import Decoded
from collector.intake.cri_header import Headers, headers
from collector.intake.frame import before_character, frame
from collector.model import Lines

ROOM_BYTES = 2048
"""For headers: what a line, or the lines of a row that is open, may have beyond `max_line_bytes`."""

STREAMS = 2

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]


def frame_cri(
    arena: NDArray[np.uint8],
    at: Positions,
    lengths: Positions,
    final: Mask,
    max_line_bytes: int,
    *,
    found: Positions | None = None,
) -> Lines:
    """As `frame`, with rows that are decoded. A line that is malformed is a row of its own, as it is."""
    bound = max_line_bytes + ROOM_BYTES
    lines = frame(arena, at, lengths, final, bound, found=found)
    heads = headers(arena, lines.starts, lines.ends)
    if not heads.partial.any() and not (lines.ends - heads.message > max_line_bytes).any():
        plain = Decoded(lines.starts, None, heads.time_us, heads.stream, heads.malformed)
        return Lines(heads.message, lines.ends, lines.eol, lines.row_counts, lines.consumed, None, plain)
    return _Joined(arena, lines, heads, at=at, final=final, limit=max_line_bytes).lines()


@dataclass(frozen=True, slots=True, eq=False)
class _Slices:
    """What of each line goes into a row, in the order of the file. `key` is where its row begins in the
    arena: lines with one key are one row.
    """

    start: Positions
    end: Positions
    key: Positions
    line: Positions
    eol: Mask


class _Joined:
    """The lines of one arena, on their way into rows. The `head` of a line is the first line of its row."""

    def __init__(
        self,
        arena: NDArray[np.uint8],
        lines: Lines,
        found: Headers,
        *,
        at: Positions,
        final: Mask,
        limit: int,
    ) -> None:
        self._arena, self._lines, self._found = arena, lines, found
        self._at, self._final, self._limit = at, final, limit
        self._stops = np.cumsum(lines.row_counts)
        self._firsts = self._stops - lines.row_counts
        self._of_read = np.repeat(np.arange(len(at)), lines.row_counts)
        self._goes_on = (
            found.partial & lines.eol
        )  # a line that was cut is not followed by the rest of its row

    def lines(self) -> Lines:
        heads = self._heads(np.zeros(len(self._goes_on), np.int64))
        closed = self._closed(heads)
        breaks = list(self._breaks(closed))
        if breaks:
            closed[breaks] = True
            stretches = np.concatenate([[0], np.cumsum(np.bincount(breaks, minlength=len(closed)))[:-1]])
            heads = self._heads(stretches)
        kept, consumed = self._taken(closed)
        heads = self._within_limit(heads)
        return self._rows(self._slices(heads, np.flatnonzero(kept)), consumed, kept)

    def _heads(self, stretches: Positions) -> Positions:
        """The head of each line, where no row goes on from one numbered stretch into another."""
        heads = np.arange(len(self._goes_on))
        for stream in range(STREAMS):
            of = np.flatnonzero((self._found.stream == stream) & ~self._found.malformed)
            before, here = of[:-1], of[1:]
            joined = np.zeros(len(of), np.bool_)
            joined[1:] = (
                self._goes_on[before]
                & (self._of_read[before] == self._of_read[here])
                & (stretches[before] == stretches[here])
            )
            heads[of] = of[np.maximum.accumulate(np.where(joined, 0, np.arange(len(of))))]
        return heads

    def _closed(self, heads: Positions) -> Mask:
        """Behind which lines no row is open."""
        last = np.zeros_like(heads)
        np.maximum.at(last, heads, np.arange(len(heads)))
        rows = np.flatnonzero(heads == np.arange(len(heads)))
        last = last[rows]
        last = np.where(self._goes_on[last], self._stops[self._of_read[last]], last)
        depth = np.bincount(rows, minlength=len(heads) + 1) - np.bincount(last, minlength=len(heads) + 1)
        return np.asarray(np.cumsum(depth)[:-1] == 0, np.bool_)

    def _breaks(self, closed: Mask) -> Iterator[int]:
        """Behind which lines open rows end as they are, because they are open over too many bytes."""
        ends, bound = self._lines.ends + self._lines.eol, self._limit + ROOM_BYTES
        edge = closed.copy()
        edge[self._stops[self._stops > 0] - 1] = True
        stops = np.flatnonzero(edge) + 1
        firsts = np.concatenate([[0], stops[:-1]])
        too_long = np.flatnonzero(ends[stops - 1] - self._lines.starts[firsts] > bound)
        for first, stop in zip(firsts[too_long].tolist(), stops[too_long].tolist(), strict=True):
            begin = first
            while ends[stop - 1] - self._lines.starts[begin] > bound:
                fit = np.searchsorted(ends[begin:stop], self._lines.starts[begin] + bound, side="right")
                begin += max(1, int(fit))
                if begin >= stop:
                    break
                yield begin - 1

    def _taken(self, closed: Mask) -> tuple[Mask, Positions]:
        """Which lines are taken, and how many bytes of each read: up to where no row is open."""
        lines = self._lines
        kept, consumed = np.ones(len(closed), np.bool_), lines.consumed.copy()
        places = np.concatenate([[-1], np.flatnonzero(closed)])
        waits = ~self._final & (lines.row_counts > 0)
        ends = places[np.searchsorted(places, self._stops[waits]) - 1] + 1
        ends = np.maximum(ends, self._firsts[waits])
        for read, end in zip(np.flatnonzero(waits).tolist(), ends.tolist(), strict=True):
            if end < self._stops[read]:
                kept[end : self._stops[read]] = False
                consumed[read] = lines.starts[end] - self._at[read]
        return kept, consumed

    def _within_limit(self, heads: Positions) -> Positions:
        """The heads where a row ends before the line with which its message would be over the limit."""
        sizes = self._lines.ends - self._found.message
        totals = np.bincount(heads, weights=sizes, minlength=len(heads))
        too_long = np.flatnonzero(totals > self._limit)
        order = np.argsort(heads, kind="stable")
        firsts = np.searchsorted(heads[order], too_long)
        stops = np.searchsorted(heads[order], too_long, side="right")
        heads = heads.copy()
        for first, stop in zip(firsts.tolist(), stops.tolist(), strict=True):
            rows = order[first:stop]
            reached = np.cumsum(sizes[rows])
            begin = before = 0
            while begin < len(rows):
                fit = int(np.searchsorted(reached, before + self._limit, side="right"))
                end = max(begin + 1, fit)
                heads[rows[begin:end]] = rows[begin]
                begin, before = end, int(reached[end - 1])
        return heads

    def _slices(self, heads: Positions, kept: Positions) -> _Slices:
        """Messages of the lines `kept`; one over the limit, which is a row alone, comes in pieces."""
        lines = self._lines
        starts, ends = self._found.message[kept], lines.ends[kept]
        keys, eol = lines.starts[heads[kept]], lines.eol[kept] & ~self._goes_on[kept]
        pieces = []
        for index in np.flatnonzero(ends - starts > self._limit).tolist():
            start, end = int(starts[index]), int(ends[index])
            key = int(keys[index])
            while end - start > self._limit:
                cut = before_character(self._arena, start + self._limit)
                pieces.append((start, cut, key, int(kept[index])))
                start = key = cut
            starts[index] = keys[index] = start
        if not pieces:
            return _Slices(starts, ends, keys, kept, eol)
        more = np.array(pieces, np.int64).reshape(-1, 4).T
        columns = np.concatenate([np.stack([starts, ends, keys, kept]), more], axis=1)
        eol = np.concatenate([eol, np.zeros(more.shape[1], np.bool_)])
        order = np.argsort(columns[0], kind="stable")
        start, end, key, line = columns[:, order]
        return _Slices(start, end, key, line, eol[order])

    def _rows(self, slices: _Slices, consumed: Positions, kept: Mask) -> Lines:
        """The rows, in the order of their first bytes."""
        order = np.argsort(slices.key, kind="stable")
        keys = slices.key[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        keys = keys[first]
        last = np.append(first[1:], len(order)) - 1
        eol = slices.eol[order[last]] if len(first) else slices.eol[:0]
        text, bounds = self._gathered(slices, order, line_feeds=order[last][eol] if len(first) else first)
        head = slices.line[order[first]]
        reads = len(self._at)
        return Lines(
            bounds[first],
            bounds[last + 1] - eol if len(first) else bounds[:0],
            eol,
            np.bincount(self._of_read[head], minlength=reads).astype(np.int64),
            consumed,
            line_feeds=np.bincount(self._of_read[kept & self._lines.eol], minlength=reads).astype(np.int64),
            decoded=Decoded(
                keys, text, self._found.time_us[head], self._found.stream[head], self._found.malformed[head]
            ),
        )

    def _gathered(
        self, slices: _Slices, order: Positions, *, line_feeds: Positions
    ) -> tuple[NDArray[np.uint8], Positions]:
        """The slices in this order, one after the other, those of `line_feeds` with the one behind each; and
        where each begins and the last one ends. Arrow's offsets ascend and meet: so the slices are the even
        slots, and what lies between them the odd ones.
        """
        count = len(order)
        if not count:
            return self._arena[:0], np.zeros(1, np.int64)
        offsets = np.empty(2 * count, np.int32)
        offsets[0::2], offsets[1::2] = slices.start, slices.end
        offsets[2 * line_feeds + 1] += 1
        slots = pa.BinaryArray.from_buffers(
            pa.binary(), 2 * count - 1, [None, pa.py_buffer(offsets), pa.py_buffer(self._arena)]
        )
        _, bounds, data = slots.take(pa.array(2 * order)).buffers()
        text = np.frombuffer(data, np.uint8) if data is not None else self._arena[:0]
        return text, np.frombuffer(bounds, np.int32)[: count + 1].astype(np.int64)
