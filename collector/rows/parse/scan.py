"""A chain over a block of rows: a few passes over all bytes, then a few operations for all rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.rows.parse.chain import (
    SPACE,
    Chain,
    CharClass,
    Element,
    Fixed,
    Jump,
    Literal,
    Run,
    Table,
)

Bytes = NDArray[np.uint8]
Positions = NDArray[np.int64]

WORD = 64


@dataclass(frozen=True, eq=False)
class Block:
    """Rows that lie back to back in `data`: row i is data[bounds[i]:bounds[i + 1]]."""

    data: Bytes
    bounds: Positions

    @cached_property
    def is_ascii(self) -> bool:
        return not len(self.data) or int(self.data.max()) < 128

    @classmethod
    def of(cls, text: pa.StringArray) -> Block:
        offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        whole = text.buffers()[2]
        data = np.frombuffer(whole, np.uint8)[first:last] if whole is not None and last else _NOTHING
        return cls(data, offsets.astype(np.int64) - first)


_NOTHING = np.zeros(0, np.uint8)


class Places:
    """Where the bytes of one set are, found once a block.

    `index` is that of the place at which the last run that used them ended, one a row.
    """

    def __init__(self, block: Block, table: Table, beyond: int) -> None:
        size = len(block.data)
        # Padded to whole words of bits, with one more for positions behind the end.
        belongs = np.zeros((size // WORD + 2) * WORD, np.bool_)
        _belongs(block, table, belongs[:size])
        self._words = np.packbits(belongs, bitorder="little").view(np.uint64)
        counts = np.bitwise_count(self._words).astype(np.int64)
        self._before = np.cumsum(counts) - counts
        found = np.flatnonzero(belongs[:size])
        # Behind the last place there is "none", as often as literals may go on from it.
        self._at = np.concatenate([found, np.full(beyond + 1, size, np.int64)])
        self._index: Positions = found[:0]

    def first_from(self, position: Positions, passed: int | None) -> Positions:
        """The first place at or after each position, or the end of the block: by the number of places that
        were passed since the last time, or else as `searchsorted` finds it, without its branches, which no
        processor can foresee.
        """
        if passed is None:
            word = position >> 6
            below = (np.uint64(1) << (position & 63).astype(np.uint64)) - np.uint64(1)
            bits = np.bitwise_count(self._words.take(word, mode="clip") & below)
            self._index = self._before.take(word, mode="clip") + bits
        elif passed:
            self._index = self._index + passed
        return self._at.take(self._index, mode="clip")


def _belongs(block: Block, table: Table, found: Table) -> None:
    """Fills `found` with `table[data]`, by comparisons where few are enough: they are ten times as fast."""
    few = np.flatnonzero(table[:128] if block.is_ascii else table)
    upto = SPACE + 1 if table[: SPACE + 1].all() else 0
    single = few[few >= upto]
    if len(single) > 2:
        np.take(table, block.data, out=found)
        return
    if upto:
        np.less(block.data, upto, out=found)
    for nth, byte in enumerate(single.tolist()):  # plain numbers: numpy would widen all data to theirs
        if nth or upto:
            found |= block.data == byte
        else:
            np.equal(block.data, byte, out=found)


class Scan:
    """One chain over one block."""

    def __init__(self, chain: Chain, block: Block) -> None:
        self._chain, self._block = chain, block
        self._ends = block.bounds[1:]
        self.accepted = np.ones(len(block.bounds) - 1, np.bool_)
        self._places: dict[bytes, Places] = {}
        self._looked_at: dict[tuple[int, int], pa.BinaryArray] = {}
        self._marks = [block.bounds[:-1]]
        for index, element in enumerate(chain.elements):
            self._marks.append(self._step(index, element, self._marks[-1]))
        self._all_accepted = bool(self.accepted.all())

    def values(self, group: int) -> pa.StringArray:
        """The group's text in each row; what was not accepted is empty."""
        known = self._looked_at.get(self._chain.groups[group - 1]) if self._all_accepted else None
        found = gathered(self._block, *self.span(group)) if known is None else known
        return found.view(pa.string())

    def span(self, group: int) -> tuple[Positions, Positions]:
        """Start and end of a group in each row; what was not accepted is empty."""
        first, last = self._chain.groups[group - 1]
        start, end = self._marks[first], self._marks[last]
        if self._all_accepted:
            return start, end
        starts = self._block.bounds[:-1]
        return np.where(self.accepted, start, starts), np.where(self.accepted, end, starts)

    def _step(self, index: int, element: Element, at: Positions) -> Positions:
        if isinstance(element, Literal):
            return self._literal(element.text, at)
        if isinstance(element, Fixed):
            return self._fixed(element, at)
        if isinstance(element, Run):
            return self._run(index, element, at)
        self.accepted &= at == self._ends
        return at

    def _literal(self, text: bytes, at: Positions) -> Positions:
        for index, byte in enumerate(text):
            self.accepted &= self._byte(at + index if index else at) == byte
        after = at + len(text)
        self.accepted &= after <= self._ends
        return after

    def _fixed(self, element: Fixed, at: Positions) -> Positions:
        for index in range(element.count):
            self.accepted &= element.of.inside[self._byte(at + index if index else at)]
        after = at + element.count
        self.accepted &= after <= self._ends
        return after

    def _run(self, index: int, run: Run, at: Positions) -> Positions:
        jump = self._chain.jumps[index] or Jump(run.stops.tobytes(), None)
        if jump.stops not in self._places:
            self._places[jump.stops] = Places(self._block, run.stops, self._chain.literal_bytes)
        stop = self._places[jump.stops].first_from(at, jump.passed)
        end = np.minimum(stop, self._ends)
        self.accepted &= end >= (at + run.least if run.least else at)
        if run.most is not None:
            self.accepted &= end - at <= run.most
        if run.decided is not None:
            self.accepted &= (stop >= self._ends) | run.decided[self._byte(end)]
        if not run.proven:
            self._look_at(index, run.of, at, end)
        return end

    def _byte(self, at: Positions) -> Bytes:
        if not len(self._block.data):
            return np.zeros(len(at), np.uint8)
        return self._block.data.take(at, mode="clip")

    def _look_at(self, index: int, of: CharClass, start: Positions, end: Positions) -> None:
        """Rejects rows whose run holds a byte of which it is not sure that it belongs."""
        start = np.minimum(start, self._ends)
        values = gathered(self._block, start, np.maximum(end, start))
        self._looked_at[index, index + 1] = values
        run = Block.of(values.view(pa.string()))
        belongs = of.inside[run.data]
        if not belongs.all():
            rows = np.searchsorted(run.bounds, np.flatnonzero(~belongs), side="right") - 1
            self.accepted[rows] = False


def gathered(block: Block, start: Positions, end: Positions) -> pa.BinaryArray:
    """data[start:end] of each row; both ascend, and no row's ends before it starts."""
    rows = len(start)
    offsets = np.empty(2 * rows + 1, np.int32)
    offsets[0:-1:2] = start
    offsets[1::2] = end
    offsets[-1] = offsets[-2] if rows else 0
    slots = pa.BinaryArray.from_buffers(
        pa.binary(), 2 * rows, [None, pa.py_buffer(offsets), pa.py_buffer(block.data)]
    )
    return slots.take(_even(rows))


_evens = np.arange(0, 1 << 16, 2, dtype=np.int64)


def _even(rows: int) -> pa.Int64Array:
    return pa.array(_evens[:rows] if rows <= len(_evens) else np.arange(0, 2 * rows, 2, dtype=np.int64))
