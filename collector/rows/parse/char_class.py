"""Classes of characters, as what is known of each byte: that it belongs, that it does not, or neither."""

from __future__ import annotations

import re
from dataclasses import dataclass
from re import _constants as c  # type: ignore[attr-defined]  # as in `chain`
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tree = Any
"""Of the parser of `re`: operators, and what they have."""
Table = NDArray[np.bool_]
"""For each value of a byte, whether it belongs."""

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


_LETTERS = np.array([chr(code).isalpha() and code < 128 for code in range(256)])


class NoChain(Exception):
    """The pattern is something else."""


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


def char_class(op: Tree, value: Tree, *, dotall: bool, folded: bool) -> CharClass:
    """`folded`: letters stand for both cases."""
    if op is c.ANY:
        inside = np.ones(256, np.bool_)
        inside[10] = dotall
        return CharClass(inside, ~inside)
    if op is c.IN:
        return _set_class(value, folded=folded)
    if op not in (c.LITERAL, c.NOT_LITERAL):
        raise NoChain
    one = _ascii_range(c.LITERAL, value, folded=folded)
    return one if op is c.LITERAL else CharClass(one.outside, one.inside)


def _set_class(items: Tree, *, folded: bool) -> CharClass:
    """A class in brackets. What a category says beyond ASCII is left open."""
    inside = np.zeros(256, np.bool_)
    outside = np.ones(256, np.bool_)
    negated = False
    for op, value in items:
        if op is c.NEGATE:
            negated = True
            continue
        some = _category(value) if op is c.CATEGORY else _ascii_range(op, value, folded=folded)
        inside |= some.inside
        outside &= some.outside
    return CharClass(outside, inside) if negated else CharClass(inside, outside)


def _ascii_range(op: Tree, value: Tree, *, folded: bool) -> CharClass:
    low, high = value if op is c.RANGE else (value, value)
    if op not in (c.RANGE, c.LITERAL) or high > 127:
        raise NoChain
    inside = np.zeros(256, np.bool_)
    inside[low : high + 1] = True
    outside = ~inside
    if folded and (inside & _LETTERS).any():
        inside |= _other_case(inside)
        outside = ~inside
        outside[128:] = False  # there are letters whose other case is one of ASCII
    return CharClass(inside, outside)


def _other_case(letters: Table) -> Table:
    other = np.zeros(256, np.bool_)
    other[ord("a") : ord("z") + 1] = letters[ord("A") : ord("Z") + 1]
    other[ord("A") : ord("Z") + 1] = letters[ord("a") : ord("z") + 1]
    return other


def _category(value: Tree) -> CharClass:
    if value not in _CATEGORIES:
        raise NoChain
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


def only(byte: int) -> Table:
    table = np.zeros(256, np.bool_)
    table[byte] = True
    return table
