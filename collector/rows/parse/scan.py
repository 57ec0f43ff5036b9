"""A chain over a block of rows: a few passes over all bytes, then a few operations for all rows at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.rows.block import Block, Bytes, Positions, gathered
from collector.rows.parse.chain import Chain, Choice, Element, Fixed, Literal, Run
from collector.rows.parse.char_class import CharClass, Table

WORD, HALF = 64, 32
NO_BIT = WORD - 1
"""How many zeros there are said to be below a bit that is not there; and below the highest."""
LEAST_WORDS = 2

MOST_COMPARED = 4
"""Bytes that are looked for one by one; more of them are looked up in a table."""

LEAST_GATHERED = 4
"""Bytes of a literal that are gathered and compared at once; fewer are compared one by one."""

NO_GROUP = -1
"""In place of an element's number: it is not all of what a group may span."""

_ZERO, _ONE, _LAST = np.uint64(0), np.uint64(1), np.uint64(WORD - 1)
_SMEARED = [np.uint64(1 << power) for power in range(6)]
"""By these shifts the highest bit becomes ones from there down."""


class Places:
    """Where the bytes of one set are, found once a block."""

    def __init__(self, block: Block, table: Table) -> None:
        self._size = size = len(block.data)
        belongs = _scratch(_padded(size))
        _belongs(block, table, belongs[:size])
        self._is_empty = not belongs[:size].any()  # that ends at the first one
        belongs[size:] = False
        belongs[size] = True  # behind all rows, where any search may end
        self._bits = _Bits(belongs)

    def first_from(self, position: Positions, ends: Positions) -> Positions:
        """The first place at or after each position; where none is before the end, something behind it."""
        return ends if self._is_empty else self._bits.first_from(position)

    def last_before(self, position: Positions) -> Positions:
        """The last place before each position; something before all rows where there is none."""
        last = np.maximum(position - 1, 0)
        index, shift = last >> 6, (last & 63).view(np.uint64)
        words = self._bits.words
        bits = words.take(index, mode="clip") << (_LAST - shift)
        before = np.where(index > 0, words.take(index - 1, mode="clip"), _ZERO)
        bits |= before >> shift >> _ONE
        far = np.flatnonzero(bits == 0)
        for step in _SMEARED:
            bits |= bits >> step
        found = last + np.bitwise_count(bits) - WORD
        if len(far):
            found[far] = np.append(self._all, -1)[np.searchsorted(self._all, position[far]) - 1]
        return np.where(found < position, found, -1)

    @cached_property
    def _all(self) -> Positions:
        bits = np.unpackbits(self._bits.words.view(np.uint8), count=self._size, bitorder="little")
        return np.append(np.flatnonzero(bits), self._size)


class _Bits:
    """Which of many belong, as bits, 64 in a word; of the words, which have any, is known the same way."""

    def __init__(self, belongs: Table) -> None:
        """Of so many as `_padded` says."""
        self.words = np.packbits(belongs, bitorder="little").view(np.uint64)
        # A word at each half of one: of any position, at least the next 33 bits are in one of them.
        halves = np.ndarray((2 * len(self.words) - 1,), np.uint64, self.words, strides=(HALF // 8,))
        self._windows = np.ascontiguousarray(halves)

    def first_from(self, position: Positions) -> Positions:
        """The first that belongs, at or after each position; where none does, something not before it.

        Most are near: they are the lowest bit of those in a window. No processor can foresee the branches of
        a search; here are none. Behind the last one anything is found, but not before the position: to wrap
        is quicker than to clip.
        """
        index = position >> 5
        bits = self._windows.take(index, mode="wrap")
        bits >>= (position & (HALF - 1)).view(np.uint64)
        zeros = _zeros(bits)
        found = position + zeros
        far = (zeros == NO_BIT).nonzero()[0]
        far = far[bits[far] == 0]
        if len(far) and len(self.words) > LEAST_WORDS:  # in so few, a window goes to the end
            # Behind the window begins a word, or a half of one whose other half was in it.
            word = self._filled.first_from((index[far] + 2) >> 1)
            found[far] = (word << 6) + _zeros(self.words.take(word, mode="wrap"))
        return found

    @cached_property
    def _filled(self) -> _Bits:
        filled = np.zeros(_padded(len(self.words)), np.bool_)
        np.not_equal(self.words, _ZERO, out=filled[: len(self.words)])
        return _Bits(filled)


def _padded(size: int) -> int:
    """Whole words for so many, and one more for positions behind the end."""
    return (size // WORD + LEAST_WORDS) * WORD


def _zeros(words: NDArray[np.uint64]) -> Bytes:
    """How many bits are below the lowest one that is set; 63 where none is."""
    zeros: Bytes = np.bitwise_count(words ^ (words - _ONE)) - np.uint8(1)
    return zeros


_of_thread = threading.local()


def _scratch(size: int) -> Table:
    """Memory that the thread has touched before: to touch new memory would take longer than all of this."""
    kept: Table | None = getattr(_of_thread, "kept", None)
    if kept is None or len(kept) < size:
        kept = _of_thread.kept = np.empty(size, np.bool_)
    return kept[:size]


def _belongs(block: Block, table: Table, found: Table, *, negated: bool = False) -> None:
    """Fills `found` with `table[data]`, by comparisons where few are enough: they are ten times as fast."""
    if np.count_nonzero(table) > len(table) // 2:
        _belongs(block, ~table, found, negated=not negated)
        return
    few = np.flatnonzero(table[:128] if block.is_ascii else table)
    if len(few) > MOST_COMPARED and few[-1] - few[0] == len(few) - 1:
        above = np.subtract(block.data, np.uint8(few[0]), out=found.view(np.uint8)) if few[0] else block.data
        compare = np.greater if negated else np.less_equal
        compare(above, np.uint8(len(few) - 1), out=found)
        return
    _one_by_one(block, table, few, found)
    if negated:
        np.logical_not(found, out=found)


def _one_by_one(block: Block, table: Table, few: NDArray[np.intp], found: Table) -> None:
    upto = int(np.argmin(table))
    upto = upto if upto > 1 else 0
    single = few[few >= upto]
    if len(single) > MOST_COMPARED:
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
        # The byte that stands at the last mark, wherever the row is not at its end: what a run ended at.
        self._ended_at: int | None = None
        for index, element in enumerate(chain.elements):
            self._marks.append(self._step(index, element, self._marks[-1]))
        # Marks ascend, but at a run behind the end, which rejects: so the last one tells of all.
        self.accepted &= self._marks[-1] <= self._ends
        self._all_accepted = bool(self.accepted.all())
        self._places.clear()  # they are the largest part of a scan, and no longer needed

    def values(self, group: int) -> pa.StringArray:
        """The group's text in each row; what was not accepted is empty."""
        known = self._looked_at.get(self._chain.groups[group - 1]) if self._all_accepted else None
        found = gathered(self._block, *self.span(group)) if known is None else known
        return found.view(pa.string())

    def rest(self) -> pa.StringArray:
        """What stands behind the chain in each row; what was not accepted is empty."""
        # Where the chain ended in a row that it does not match may be within a character.
        start = np.where(self.accepted, np.minimum(self._marks[-1], self._ends), self._ends)
        return gathered(self._block, start, self._ends).view(pa.string())

    def span(self, group: int) -> tuple[Positions, Positions]:
        """Start and end of a group in each row; what was not accepted is empty."""
        first, last = self._chain.groups[group - 1]
        start, end = self._marks[first], self._marks[last]
        if self._all_accepted:
            return start, end
        starts = self._block.bounds[:-1]
        return np.where(self.accepted, start, starts), np.where(self.accepted, end, starts)

    def _step(self, index: int, element: Element, at: Positions) -> Positions:
        ended_at, self._ended_at = self._ended_at, None
        if isinstance(element, Literal):
            # At the end of a row it is not checked either: the position is behind it then, which rejects.
            known = int(element.text[0] == ended_at)
            return self._literal(element.text[known:], at + known if known else at)
        if isinstance(element, Fixed):
            return self._fixed(element, at)
        if isinstance(element, Run):
            return self._run(index, element, at)
        if isinstance(element, Choice):
            return self._choice(index, element, at)
        self.accepted &= at == self._ends
        return at

    def _choice(self, index: int, choice: Choice, at: Positions) -> Positions:
        end, open_ = at, np.ones(len(at), np.bool_)
        for alternative in choice.alternatives:
            chosen = open_ & self._may_stand(alternative[0], at)
            if chosen.all():
                return self._alternative(index if len(alternative) == 1 else NO_GROUP, alternative, at)
            if chosen.any():
                accepted, self.accepted = self.accepted, np.ones(len(at), np.bool_)
                end = np.where(chosen, self._alternative(NO_GROUP, alternative, at), end)
                self.accepted = accepted & (self.accepted | ~chosen)
                open_ &= ~chosen
        self._ended_at = None
        self.accepted &= ~open_
        return end

    def _alternative(self, index: int, elements: Sequence[Element], at: Positions) -> Positions:
        self._ended_at = None
        for element in elements:
            at = self._step(index, element, at)
        return at

    def _may_stand(self, element: Element, at: Positions) -> NDArray[np.bool_]:
        """False where the element surely does not, whatever follows it."""
        if isinstance(element, Literal):
            return self._stands(element.text, at)
        assert isinstance(element, Fixed | Run)  # noqa: S101 - there is no choice in a choice, and no end
        possible: NDArray[np.bool_] = (~element.of.outside)[self._byte(at)]
        return possible

    def _literal(self, text: bytes, at: Positions) -> Positions:
        if text:
            self.accepted &= self._stands(text, at)
        return at + len(text)

    def _stands(self, text: bytes, at: Positions) -> NDArray[np.bool_]:
        """Where the text is. A position behind the last place where it fits is rejected at the end."""
        if not LEAST_GATHERED <= len(text) <= len(self._block.data):
            stands: NDArray[np.bool_] = self._byte(at) == text[0]
            for index in range(1, len(text)):
                stands &= self._byte(at + index) == text[index]
            return stands
        places = len(self._block.data) - len(text) + 1
        windows = np.ndarray((places,), f"V{len(text)}", buffer=self._block.data, strides=(1,))
        found = windows[np.minimum(at, places - 1)].view(np.uint8).reshape(-1, len(text))
        same = found == np.frombuffer(text, np.uint8)
        return np.ones(len(at), np.bool_) if same.all() else same.all(axis=1)

    def _fixed(self, element: Fixed, at: Positions) -> Positions:
        for index in range(element.count):
            self.accepted &= element.of.inside[self._byte(at + index if index else at)]
        return at + element.count

    def _run(self, index: int, run: Run, at: Positions) -> Positions:
        stop = self._places_of(run.stops).first_from(at, self._ends)
        # What has to end at a literal does so in its row, or its marks are behind the row from here on.
        in_row = run.proven and run.decided is None and run.last is None
        end = stop if in_row else np.minimum(stop, self._ends)
        if run.decided is not None:
            self.accepted &= (stop >= self._ends) | run.decided[self._byte(end)]
        if run.last is not None:
            end = self._places_of(run.last).last_before(end)
        self._ended_at = self._only_of(run.stops if run.last is None else run.last)
        self.accepted &= end > at if run.least == 1 else end >= at + run.least
        if run.most is not None:
            self.accepted &= end - at <= run.most
        if not run.proven:
            self._look_at(index, run.of, at, end)
        return end

    def _only_of(self, table: Table) -> int | None:
        """The byte of the set that may be in the block, if it is one alone."""
        lowest, highest = self._block.extent
        found = np.flatnonzero(table[lowest : highest + 1])
        return lowest + int(found[0]) if len(found) == 1 else None

    def _places_of(self, table: Table) -> Places:
        key = table.tobytes()
        if key not in self._places:
            self._places[key] = Places(self._block, table)
        return self._places[key]

    def _byte(self, at: Positions) -> Bytes:
        if not len(self._block.data):
            return np.zeros(len(at), np.uint8)
        return self._block.data.take(at, mode="wrap")  # behind the end anything, as of the next row

    def _look_at(self, index: int, of: CharClass, start: Positions, end: Positions) -> None:
        """Rejects rows whose run holds a byte of which it is not sure that it belongs."""
        start = np.minimum(start, self._ends)
        values = gathered(self._block, start, np.maximum(end, start))
        self._looked_at[index, index + 1] = values
        run = Block.of(values.view(pa.string()))
        belongs = _scratch(len(run.data))
        _belongs(run, of.inside, belongs)
        if not belongs.all():
            rows = np.searchsorted(run.bounds, np.flatnonzero(~belongs), side="right") - 1
            self.accepted[rows] = False
