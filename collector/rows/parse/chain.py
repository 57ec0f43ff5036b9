"""Patterns that are chains of *run of characters* and *literal*, compiled to scans over a whole block.

Nearly all formats of access logs are such chains. For each run it is known by which bytes it ends; all places
of such bytes are found in one pass, and each row jumps from one to the next (`scan.py`). What is accepted is
exactly what `re` accepts at the row's start, with the same spans (decision 0007 says why); what is not is not
decided: `re` does that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# What a pattern means is decided by the parser of `re` itself, so that it cannot mean something else here. It
# has no public name; what is not understood in its tree makes the pattern none for a chain.
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]

import numpy as np

from collector.rows.parse.char_class import CharClass, NoChain, Table, Tree, char_class, only
from collector.value import value

MOST_ELEMENTS = 200
LONGEST_FIXED = 64
LINE_FEED, SPACE = 10, 32

ALLOWED_FLAGS = re.UNICODE | re.VERBOSE | re.DOTALL | re.IGNORECASE


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


@value
class Choice:
    """One of some chains, the first that matches: a row has the first of which it is not known by its first
    element that it does not stand there.
    """

    alternatives: tuple[tuple[Element, ...], ...]


Element = Literal | Fixed | Run | Choice | End


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
    reading = _Reading(dotall=bool(flags & re.DOTALL), folded=bool(flags & re.IGNORECASE))
    try:
        reading.sequence(tree)
        return reading.chain()
    except NoChain:
        return None


def is_anchored(pattern: re.Pattern[str]) -> bool:
    """Whether it can match at the start of a row only."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)
    first = tree[0] if len(tree) else None
    if pattern.flags & re.MULTILINE:
        return first == (c.AT, c.AT_BEGINNING_STRING)
    return first in ((c.AT, c.AT_BEGINNING), (c.AT, c.AT_BEGINNING_STRING))


@dataclass(frozen=True, slots=True, eq=False)
class _Repeat:
    of: CharClass
    least: int
    most: int | None
    lazy: bool


@value
class _Choice:
    alternatives: tuple[tuple[_Part, ...], ...]


_Part = Literal | Fixed | _Repeat | _Choice | End


class _Reading:
    """Walks the tree of a pattern once."""

    def __init__(self, *, dotall: bool, folded: bool) -> None:
        self._dotall, self._folded = dotall, folded
        self._parts: list[_Part] = []
        self._groups: dict[int, tuple[int, int]] = {}
        self._barrier = 0
        self._choosing = False

    def sequence(self, tree: Tree) -> None:
        for op, argument in tree:
            self._node(op, argument)

    def chain(self) -> Chain:
        numbers = range(1, len(self._groups) + 1)
        simple = list(_simple(self._parts))
        if len(simple) > MOST_ELEMENTS or sorted(self._groups) != list(numbers):
            raise NoChain
        repeats = [part for part in simple if isinstance(part, _Repeat)]
        elements = tuple(_elements(self._parts, None, repeats))
        return Chain(elements, tuple(self._groups[number] for number in numbers))

    def _node(self, op: Tree, value: Tree) -> None:
        if self._parts and isinstance(self._parts[-1], End):
            raise NoChain
        if op is c.LITERAL:
            self._literal(chr(value))
        elif op is c.SUBPATTERN:
            self._group(value)
        elif op is c.BRANCH:
            self._choice(value[1])
        elif op is c.AT:
            self._anchor(value)
        elif op in (c.MAX_REPEAT, c.MIN_REPEAT):
            self._repeat(op, value)
        else:
            self._parts.append(Fixed(self._class(op, value).narrowed(), 1))

    def _class(self, op: Tree, value: Tree) -> CharClass:
        return char_class(op, value, dotall=self._dotall, folded=self._folded)

    def _literal(self, char: str) -> None:
        if self._folded and char.lower() != char.upper():
            self._parts.append(Fixed(self._class(c.LITERAL, ord(char)).narrowed(), 1))
            return
        last = self._parts[-1] if len(self._parts) > self._barrier else None
        if isinstance(last, Literal):
            self._parts[-1] = Literal(last.text + _utf8(char))
        else:
            self._parts.append(Literal(_utf8(char)))

    def _group(self, value: Tree) -> None:
        number, add_flags, del_flags, inner = value
        if add_flags or del_flags:
            raise NoChain
        self._barrier = first = len(self._parts)
        self.sequence(inner)
        self._barrier = len(self._parts)
        if number is not None:
            self._groups[number] = (first, len(self._parts))

    def _choice(self, trees: Tree) -> None:
        """Not of groups: those of the other alternatives would be null. Nor of what may be empty, or begin in
        two ways.
        """
        if self._choosing:
            raise NoChain
        before, groups, self._choosing = self._parts, len(self._groups), True
        alternatives = []
        for tree in trees:
            self._parts, self._barrier = [], 0
            self.sequence(tree)
            alternatives.append(tuple(self._parts))
        self._parts, self._barrier, self._choosing = before, len(before), False
        if len(self._groups) > groups or not all(map(_begins_surely, alternatives)):
            raise NoChain
        self._parts.append(_Choice(tuple(alternatives)))

    def _anchor(self, at: Tree) -> None:
        if self._choosing:
            raise NoChain
        if at in (c.AT_BEGINNING, c.AT_BEGINNING_STRING) and not self._parts:
            return
        if at not in (c.AT_END, c.AT_END_STRING):
            raise NoChain
        self._parts.append(End())

    def _repeat(self, op: Tree, value: Tree) -> None:
        least, most, inner = value
        if len(inner) != 1 or inner[0][0] is c.SUBPATTERN:
            if self._choosing or (op, least, most) != (c.MAX_REPEAT, 0, 1) or not inner.getwidth()[0]:
                raise NoChain
            # That it is there is tried first. Where it is not, the row is for `re`.
            self.sequence(inner)
            return
        of = self._class(*inner[0])
        if least == most:
            if least > LONGEST_FIXED:
                raise NoChain
            if least:
                self._parts.append(Fixed(of.narrowed(), int(least)))
            return
        bound = None if most is c.MAXREPEAT else int(most)
        if least > 1 or bound is not None:
            of = of.narrowed()
        self._parts.append(_Repeat(of, int(least), bound, op is c.MIN_REPEAT))


def _simple(parts: Sequence[_Part]) -> Iterator[_Part]:
    """All that are no choices, those in them too."""
    for part in parts:
        if isinstance(part, _Choice):
            for alternative in part.alternatives:
                yield from _simple(alternative)
        else:
            yield part


def _begins_surely(parts: Sequence[_Part]) -> bool:
    """Whether the first has at least one character."""
    return bool(parts) and not (isinstance(parts[0], _Repeat) and parts[0].least == 0)


def _elements(parts: Sequence[_Part], behind: _Part | None, repeats: list[_Repeat]) -> Iterator[Element]:
    """`behind`: what follows the last one."""
    for part, following in zip(parts, [*parts[1:], behind], strict=False):
        if isinstance(part, _Repeat):
            yield _run(part, following, repeats)
        elif isinstance(part, _Choice):
            yield Choice(tuple(tuple(_elements(each, following, repeats)) for each in part.alternatives))
        else:
            yield part


def _run(part: _Repeat, following: _Part | None, others: list[_Repeat]) -> Run:
    """By which bytes the run ends: those outside its class, or the one that follows it, where it is known."""
    of = part.of
    if isinstance(following, Literal) and following.text[0] < 128:
        byte = following.text[0]
        if of.outside[byte]:
            # It ends at the first such byte, or nothing matches; so any stop before it may end it too.
            stops = _shared_stops(of, byte, others)
            return Run(of, part.least, part.most, stops, _covers(stops, ~of.inside), None)
        if part.lazy and part.least == 0 and part.most is None:
            stops = ~of.inside | only(byte)
            return Run(of, 0, None, stops, True, None)
        if not part.lazy and part.most is None and of.inside[byte]:
            # Behind the longest stretch stands nothing that belongs to it. So it is given up, from its end
            # on, as far as to where such a byte is.
            return Run(of, part.least, None, _stops(of), True, of.outside, only(byte))
    elif part.most is None and (not part.lazy or (isinstance(following, End) and not of.inside[LINE_FEED])):
        # The longest is what a greedy run tries first. A lazy one could end before a last line feed, as `$`
        # does.
        return Run(of, part.least, None, _stops(of), True, of.outside)
    raise NoChain


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
    return own if _is_range(of.inside) else only(byte)


def _is_sparse(stops: Table) -> bool:
    return int(np.count_nonzero(stops[SPACE + 1 : 128])) <= 2


def _is_range(table: Table) -> bool:
    members = np.flatnonzero(table)
    return len(members) > 2 and int(members[-1] - members[0]) == len(members) - 1


def _covers(whole: Table, part: Table) -> bool:
    return not bool((part & ~whole).any())


def _utf8(char: str) -> bytes:
    try:
        return char.encode()
    except UnicodeEncodeError:
        raise NoChain from None
