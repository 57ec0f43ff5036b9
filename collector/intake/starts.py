"""Where records of several lines start: a pattern over the beginnings of lines, all lines at once.

The beginning of a pattern nearly always has a fixed width (`^\\d{4}-\\d\\d`, `^\\[`, `^\\S`): so many
bytes, each of a class. That much is compared column by column. Only lines that pass, and only where the
pattern goes on, are matched one by one by `re`, which has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from re import _constants as op  # type: ignore[attr-defined]  # the tree of a pattern has no public name
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from collector.errors import UsageError

LINE_FEED = 10
WIDEST = 64
"""So many bytes of a line's beginning are compared in columns."""

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]
Table = NDArray[np.bool_]
Node = tuple[Any, Any]

_ONE = {op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY}
_REPEATS = {op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT}
_CATEGORIES = {
    op.CATEGORY_DIGIT: rb"\d",
    op.CATEGORY_NOT_DIGIT: rb"\D",
    op.CATEGORY_SPACE: rb"\s",
    op.CATEGORY_NOT_SPACE: rb"\S",
    op.CATEGORY_WORD: rb"\w",
    op.CATEGORY_NOT_WORD: rb"\W",
}
_PLAIN_FLAGS = int(re.DOTALL | re.VERBOSE)


class Starts:
    """Which lines a pattern matches at their beginning: as `re.match` of its UTF-8 bytes on each line."""

    def __init__(self, pattern: str) -> None:
        """Raises UsageError for what is no pattern, or means something else in bytes than in text."""
        try:
            _expect_bytewise(parser.parse(pattern))
            self._pattern = re.compile(pattern.encode())
        except (re.error, OverflowError, RecursionError, UnicodeEncodeError, ValueError) as error:
            raise UsageError(f"is no regular expression: {error}") from None
        if self._pattern.match(b""):
            raise UsageError("matches empty lines, and so every line")
        tree = parser.parse(pattern.encode())
        simple = not tree.state.flags & ~_PLAIN_FLAGS
        self.tables, self.is_exact = _columns(list(tree)) if simple else ([], False)

    def match(self, arena: NDArray[np.uint8], starts: Positions, ends: Positions) -> Mask:
        """For each line [start, end) of the arena whether a record starts there."""
        width = len(self.tables)
        rows = np.flatnonzero(ends - starts >= width)
        for table in self.tables[:1]:
            rows = rows[table[arena[starts[rows]]]]
        if width > 1 and len(rows):
            # What the first byte leaves is often right: its next bytes are fetched all at once.
            beginnings = sliding_window_view(arena, width)[starts[rows]]
            fits = np.ones(len(rows), np.bool_)
            for column, table in enumerate(self.tables[1:], 1):
                fits &= table[beginnings[:, column]]
            rows = rows[fits]
        if not self.is_exact:
            rows = self._confirmed(arena, starts, ends, rows)
        found = np.zeros(len(starts), np.bool_)
        found[rows] = True
        return found

    def _confirmed(
        self, arena: NDArray[np.uint8], starts: Positions, ends: Positions, rows: Positions
    ) -> Positions:
        match, view = self._pattern.match, memoryview(arena)  # type: ignore[arg-type]  # a buffer
        places = zip(starts[rows].tolist(), ends[rows].tolist(), strict=True)
        return rows[[match(view[start:end]) is not None for start, end in places]]


@lru_cache(maxsize=64)
def starts_of(pattern: str) -> Starts:
    return Starts(pattern)


def _columns(nodes: Sequence[Node]) -> tuple[list[Table], bool]:
    """Which bytes may stand in each of the first columns; whether that is all that the pattern asks."""
    tables: list[Table] = []
    for number, (kind, value) in enumerate(nodes):
        is_last = number == len(nodes) - 1
        if kind is op.AT and value in (op.AT_BEGINNING, op.AT_BEGINNING_STRING) and not tables:
            continue
        if kind in _ONE:
            tables.append(_table(kind, value))
        elif kind is op.SUBPATTERN and not (value[1] or value[2]):
            inner, exact = _columns(list(value[3]))
            tables += inner
            if not exact:
                return tables[:WIDEST], False
            if not is_last and _has_open_end(value[3]):
                return tables[:WIDEST], False
        elif kind in _REPEATS and len(value[2]) == 1 and value[2][0][0] in _ONE:
            least, most, (node,) = value
            tables += [_table(*node)] * min(int(least), WIDEST + 1)
            if least != most:
                return tables[:WIDEST], is_last and len(tables) <= WIDEST
        else:
            return tables[:WIDEST], False
    return tables[:WIDEST], len(tables) <= WIDEST


def _has_open_end(nodes: Iterable[Node]) -> bool:
    """Whether it may match more than its columns: then what follows has no fixed place."""
    for kind, value in nodes:
        if kind in _REPEATS and value[0] != value[1]:
            return True
        if kind is op.SUBPATTERN and _has_open_end(value[3]):
            return True
    return False


def _table(kind: object, value: Any) -> Table:  # noqa: ANN401 - what a node holds depends on its kind
    """Which bytes one node matches. No line holds a line feed."""
    table = np.zeros(256, np.bool_)
    if kind is op.ANY:
        table[:] = True
    elif kind is op.LITERAL:
        table[value] = True
    elif kind is op.NOT_LITERAL:
        table[:] = True
        table[value] = False
    else:
        for member, what in value:
            if member is op.LITERAL:
                table[what] = True
            elif member is op.RANGE:
                table[what[0] : what[1] + 1] = True
            elif member is op.CATEGORY:
                table |= _category(_CATEGORIES[what])
        if value[0][0] is op.NEGATE:
            table = ~table
    table[LINE_FEED] = False
    return table


def _category(pattern: bytes) -> Table:
    return np.array([re.fullmatch(pattern, bytes([byte])) is not None for byte in range(256)], np.bool_)


def _expect_bytewise(nodes: Iterable[Node]) -> None:
    """Raises ValueError where a character of several bytes would be taken for one byte."""
    for kind, value in nodes:
        if kind is op.IN and any(_is_wide(member) for member in value):
            raise ValueError("a class holds a character outside ASCII: write (?:…|…)")
        if kind is op.NOT_LITERAL and value > 127:
            raise ValueError("a class holds a character outside ASCII: write (?!…)")
        if kind in _REPEATS:
            if len(value[2]) == 1 and value[2][0][0] is op.LITERAL and value[2][0][1] > 127:
                raise ValueError("a character outside ASCII is repeated: write (?:…) around it")
            _expect_bytewise(value[2])
        for inner in _inner(kind, value):
            _expect_bytewise(inner)


def _inner(kind: object, value: Any) -> list[Any]:  # noqa: ANN401 - as above
    if kind is op.SUBPATTERN:
        return [value[3]]
    if kind is op.BRANCH:
        return list(value[1])
    if kind in (op.ASSERT, op.ASSERT_NOT):
        return [value[1]]
    if kind is op.ATOMIC_GROUP:
        return [value]
    if kind is op.GROUPREF_EXISTS:
        return [branch for branch in value[1:] if branch is not None]
    return []


def _is_wide(member: Node) -> bool:
    kind, value = member
    return (kind is op.LITERAL and value > 127) or (kind is op.RANGE and value[1] > 127)
