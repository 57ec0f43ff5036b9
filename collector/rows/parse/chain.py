"""Patterns that are chains of *run of characters* and *literal*, compiled to scans over a whole block.

Nearly all formats of access logs are such chains. For each run it is known by which bytes it ends; all places
of such bytes are found in one pass, and each row jumps from one to the next (`scan.py`). What is accepted is
exactly what `re` accepts at the row's start, with the same spans (decision 0007 says why); what is not is not
decided: `re` does that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What a pattern means is decided by the parser of `re` itself, so that it cannot mean something else here. It
# has no public name; what is not understood in its tree makes the pattern none for a chain.
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.value import value

Tree = Any
"""Of the parser: operators, and what they have."""
Table = NDArray[np.bool_]
"""For each value of a byte, whether it belongs."""

MOST_ELEMENTS = 200
LONGEST_FIXED = 64
LINE_FEED, SPACE = 10, 32

ALLOWED_FLAGS = re.UNICODE | re.VERBOSE | re.DOTALL
_CATEGORIES = {
    c.CATEGORY_DIGIT: r"\d",
    c.CATEGORY_NOT_DIGIT: r"\D",
    c.CATEGORY_SPACE: r"\s",
    c.CATEGORY_NOT_SPACE: r"\S",
    c.CATEGORY_WORD: r"\w",
    c.CATEGORY_NOT_WORD: r"\W",
}
_LEADS_OF_SPACES = (0xC2, 0xE1, 0xE2, 0xE3)
r"""First bytes of all white space beyond ASCII: all others are `\S`."""


@dataclass(frozen=True, slots=True, eq=False)
class CharClass:
    """`inside`: bytes that surely belong. `outside`: those at which a run surely ends. The rest is not known
    without decoding. `wide` says that characters beyond ASCII may belong.
    """

    inside: Table
    outside: Table

    @property
    def wide(self) -> bool:
        return not bool(self.outside[128:].all())

    def narrowed(self) -> CharClass:
        """The same for runs whose characters are counted: only ASCII is one byte each."""
        inside, outside = self.inside.copy(), self.outside.copy()
        if self.wide:
            inside[128:] = outside[128:] = False
        return CharClass(inside, outside)


@value
class Literal:
    text: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """Just so many characters, all ASCII."""

    of: CharClass
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """At least `least` characters, up to the first byte of `stops`. `proven`: what lies before such a byte
    belongs; else it has to be looked at. `decided` are the stops at which the run surely ends; None where the
    literal behind it tells. `last`: it ends at the last of these bytes before the stop.
    """

    of: CharClass
    least: int
    most: int | None
    stops: Table
    proven: bool
    decided: Table | None
    last: Table | None = None


@value
class End:
    """The end of the row."""


Element = Literal | Fixed | Run | End


@value
class Chain:
    """`groups` has, for each group in order, the elements [first, last) that it spans."""

    elements: tuple[Element, ...]
    groups: tuple[tuple[int, int], ...]


def compile_chain(pattern: re.Pattern[str]) -> Chain | None:
    """None where the pattern is no chain."""
    if pattern.flags & ~ALLOWED_FLAGS:
        return None
    chain = chain_of(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE), pattern.flags)
    return chain if chain is not None and len(chain.groups) == pattern.groups else None


def chain_of(tree: Tree, flags: int) -> Chain | None:
    """Of the tree of a pattern, or of the beginning of one."""
    reading = _Reading(dotall=bool(flags & re.DOTALL))
    try:
        reading.sequence(tree)
        return reading.chain()
    except _NoChain:
        return None


def is_anchored(pattern: re.Pattern[str]) -> bool:
    """Whether it can match at the start of a row only."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)
    first = tree[0] if len(tree) else None
    if pattern.flags & re.MULTILINE:
        return first == (c.AT, c.AT_BEGINNING_STRING)
    return first in ((c.AT, c.AT_BEGINNING), (c.AT, c.AT_BEGINNING_STRING))


class _NoChain(Exception):
    """The pattern is something else."""


@dataclass(frozen=True, slots=True, eq=False)
class _Repeat:
    of: CharClass
    least: int
    most: int | None
    lazy: bool


class _Reading:
    """Walks the tree of a pattern once."""

    def __init__(self, *, dotall: bool) -> None:
        self._dotall = dotall
        self._parts: list[Literal | Fixed | _Repeat | End] = []
        self._groups: dict[int, tuple[int, int]] = {}
        self._barrier = 0

    def sequence(self, tree: Tree) -> None:
        for op, argument in tree:
            self._node(op, argument)

    def chain(self) -> Chain:
        numbers = range(1, len(self._groups) + 1)
        if len(self._parts) > MOST_ELEMENTS or sorted(self._groups) != list(numbers):
            raise _NoChain
        elements = tuple(self._element(index) for index in range(len(self._parts)))
        return Chain(elements, tuple(self._groups[number] for number in numbers))

    def _node(self, op: Tree, value: Tree) -> None:
        if self._parts and isinstance(self._parts[-1], End):
            raise _NoChain
        if op is c.LITERAL:
            self._literal(chr(value))
        elif op is c.SUBPATTERN:
            self._group(value)
        elif op is c.AT:
            self._anchor(value)
        elif op in (c.MAX_REPEAT, c.MIN_REPEAT):
            self._repeat(op, value)
        else:
            self._parts.append(Fixed(_char_class(op, value, dotall=self._dotall).narrowed(), 1))

    def _literal(self, char: str) -> None:
        last = self._parts[-1] if len(self._parts) > self._barrier else None
        if isinstance(last, Literal):
            self._parts[-1] = Literal(last.text + _utf8(char))
        else:
            self._parts.append(Literal(_utf8(char)))

    def _group(self, value: Tree) -> None:
        number, add_flags, del_flags, inner = value
        if add_flags or del_flags:
            raise _NoChain
        self._barrier = first = len(self._parts)
        self.sequence(inner)
        self._barrier = len(self._parts)
        if number is not None:
            self._groups[number] = (first, len(self._parts))

    def _anchor(self, at: Tree) -> None:
        if at in (c.AT_BEGINNING, c.AT_BEGINNING_STRING) and not self._parts:
            return
        if at not in (c.AT_END, c.AT_END_STRING):
            raise _NoChain
        self._parts.append(End())

    def _repeat(self, op: Tree, value: Tree) -> None:
        least, most, inner = value
        if len(inner) != 1 or inner[0][0] is c.SUBPATTERN:
            if (op, least, most) != (c.MAX_REPEAT, 0, 1) or not inner.getwidth()[0]:
                raise _NoChain
            # That it is there is tried first. Where it is not, the row is for `re`.
            self.sequence(inner)
            return
        of = _char_class(*inner[0], dotall=self._dotall)
        if least == most:
            if least > LONGEST_FIXED:
                raise _NoChain
            if least:
                self._parts.append(Fixed(of.narrowed(), int(least)))
            return
        bound = None if most is c.MAXREPEAT else int(most)
        if least > 1 or bound is not None:
            of = of.narrowed()
        self._parts.append(_Repeat(of, int(least), bound, op is c.MIN_REPEAT))

    def _element(self, index: int) -> Element:
        part = self._parts[index]
        if not isinstance(part, _Repeat):
            return part
        following = self._parts[index + 1] if index + 1 < len(self._parts) else None
        return _run(part, following, [each for each in self._parts if isinstance(each, _Repeat)])


def _run(part: _Repeat, following: Literal | Fixed | _Repeat | End | None, others: list[_Repeat]) -> Run:
    """By which bytes the run ends: those outside its class, or the one that follows it, where it is known."""
    of = part.of
    if isinstance(following, Literal) and following.text[0] < 128:
        byte = following.text[0]
        if of.outside[byte]:
            # It ends at the first such byte, or nothing matches; so any stop before it may end it too.
            stops = _shared_stops(of, byte, others)
            return Run(of, part.least, part.most, stops, _covers(stops, ~of.inside), None)
        if part.lazy and part.least == 0 and part.most is None:
            stops = ~of.inside | _only(byte)
            return Run(of, 0, None, stops, True, None)
        if not part.lazy and part.most is None and of.inside[byte]:
            # Behind the longest stretch stands nothing that belongs to it. So it is given up, from its end
            # on, as far as to where such a byte is.
            return Run(of, part.least, None, _stops(of), True, of.outside, _only(byte))
    elif part.most is None and (not part.lazy or (isinstance(following, End) and not of.inside[LINE_FEED])):
        # The longest is what a greedy run tries first. A lazy one could end before a last line feed, as `$`
        # does.
        return Run(of, part.least, None, _stops(of), True, of.outside)
    raise _NoChain


def _stops(of: CharClass) -> Table:
    """Bytes that end a run of the class, or may. Where white space does, so may all up to the space: those
    are found by one comparison.
    """
    stops = ~of.inside
    if np.count_nonzero(stops[: SPACE + 1]) > 2 and stops[SPACE]:
        stops[: SPACE + 1] = True
    return stops


def _shared_stops(of: CharClass, byte: int, others: list[_Repeat]) -> Table:
    """Stops that are searched for anyway, if they serve here; few bytes are found faster than many, and so
    are those outside of a range.
    """
    own = _stops(of)
    if _is_sparse(own):
        return own
    for stops in filter(_is_sparse, (_stops(each.of) for each in others)):
        if stops[byte] and not (stops & of.inside).any():
            return stops
    return own if _is_range(of.inside) else _only(byte)


def _is_sparse(stops: Table) -> bool:
    return int(np.count_nonzero(stops[SPACE + 1 : 128])) <= 2


def _is_range(table: Table) -> bool:
    members = np.flatnonzero(table)
    return len(members) > 2 and int(members[-1] - members[0]) == len(members) - 1


def _covers(whole: Table, part: Table) -> bool:
    return not bool((part & ~whole).any())


def _only(byte: int) -> Table:
    table = np.zeros(256, np.bool_)
    table[byte] = True
    return table


def _utf8(char: str) -> bytes:
    try:
        return char.encode()
    except UnicodeEncodeError:
        raise _NoChain from None


def _char_class(op: Tree, value: Tree, *, dotall: bool) -> CharClass:
    if op is c.ANY:
        inside = np.ones(256, np.bool_)
        inside[10] = dotall
    elif op is c.NOT_LITERAL and value < 128:
        inside = ~_only(value)
    elif op is c.LITERAL and value < 128:
        inside = _only(value)
    elif op is c.IN:
        return _set_class(value)
    else:
        raise _NoChain
    return CharClass(inside, ~inside)


def _set_class(items: Tree) -> CharClass:
    """A class in brackets. What a category says beyond ASCII is left open."""
    inside = np.zeros(256, np.bool_)
    outside = np.ones(256, np.bool_)
    negated = False
    for op, argument in items:
        if op is c.NEGATE:
            negated = True
            continue
        some = _category(argument) if op is c.CATEGORY else _ascii_range(op, argument)
        inside |= some.inside
        outside &= some.outside
    return CharClass(outside, inside) if negated else CharClass(inside, outside)


def _ascii_range(op: Tree, value: Tree) -> CharClass:
    low, high = value if op is c.RANGE else (value, value)
    if op not in (c.RANGE, c.LITERAL) or high > 127:
        raise _NoChain
    inside = np.zeros(256, np.bool_)
    inside[low : high + 1] = True
    return CharClass(inside, ~inside)


def _category(value: Tree) -> CharClass:
    if value not in _CATEGORIES:
        raise _NoChain
    pattern = re.compile(_CATEGORIES[value])
    inside = np.array([bool(pattern.match(chr(code))) for code in range(128)] + [False] * 128)
    outside = ~inside
    outside[128:] = False
    if value is c.CATEGORY_NOT_SPACE:
        inside[128:] = True
        inside[list(_LEADS_OF_SPACES)] = False
    if value is c.CATEGORY_SPACE:
        outside[128:] = True
        outside[list(_LEADS_OF_SPACES)] = False
    return CharClass(inside, outside)
