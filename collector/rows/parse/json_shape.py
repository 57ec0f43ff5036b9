"""JSON lines that one program wrote have their members in one order: a line then is a chain, as for patterns.

The shape is learnt from one line: names, and what kind of value each has, texts without escapes and numbers
without exponent among them. What another line has otherwise is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.model import FieldType
from collector.rows.block import Block
from collector.rows.parse.chain import Chain, Element, End, Literal, Run
from collector.rows.parse.char_class import CharClass, Table
from collector.rows.parse.scan import Scan
from collector.rows.schema import PARSED_TYPES

MOST_MEMBERS = 64
LONGEST_NUMBER = 300
"""Of digits; longer ones may be larger than any float, or more than `json` reads."""

_NAME = re.compile(r'[{,][ \t\r\n]*"([^"\\\x00-\x1f]*)"[ \t\r\n]*:[ \t\r\n]*')
_VALUE = re.compile(r'"[^"\\\x00-\x1f]*"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|true|false|null')
_SPACE = re.compile(r"[ \t\r\n]*")
_END = re.compile(r"\}[ \t\r\n]*\Z")

Member = tuple[str, str]
"""Name, and the first character of the value."""

Matched = NDArray[np.bool_]


def _table(*members: int | range) -> Table:
    table = np.zeros(256, np.bool_)
    for each in members:
        table[each] = True
    return table


def _is(inside: Table) -> CharClass:
    return CharClass(inside, ~inside)


_TEXT = _is(~_table(range(0x20), ord('"'), ord("\\")))
_NUMBER = _is(_table(range(ord("0"), ord("9") + 1), *b"-."))
_WHOLE = _is(_table(range(ord("0"), ord("9") + 1), ord("-")))
_WORD = _is(_table(*b"truefalsn"))
_WORDS = pa.array(["true", "false", "null"])


@dataclass(frozen=True, eq=False)
class Shape:
    """`members` in the order of the line; `wanted` are those that become columns, by name."""

    chain: Chain
    members: tuple[Member, ...]
    wanted: dict[str, pa.DataType]

    def read(self, text: pa.StringArray, names: Sequence[str]) -> tuple[list[pa.Array], Matched] | None:
        """The columns, and which rows are surely of this shape, with values that fit; others have anything.
        None: a number of some row is larger than its column takes.
        """
        scan = Scan(self.chain, Block.of(text))
        accepted, found = scan.accepted, dict[str, pa.Array]()
        for group, (name, first) in enumerate(self.members, 1):
            kind = self.wanted.get(name)
            if first == '"':
                if kind is not None:
                    found[name] = scan.values(group)
                continue
            values = scan.values(group)
            column = _constants if first in "tfn" else _numbers
            try:
                typed, good = column(values, accepted, kind)
            except pa.ArrowInvalid:
                return None
            accepted &= good
            if kind is not None:
                found[name] = typed
        nothing = {name: pa.nulls(len(text), kind) for name, kind in self.wanted.items() if name not in found}
        return [(found | nothing)[name] for name in names], accepted


def shape_of(line: str, fields: Sequence[tuple[str, FieldType]]) -> Shape | None:
    """None where the line is not one object of texts, numbers and constants of the types of `fields`."""
    wanted = {name: PARSED_TYPES[kind] for name, kind in fields}
    elements: list[Element] = []
    members: list[Member] = []
    groups: list[tuple[int, int]] = []
    literal, end = "", 0
    for name, before, value, after in _members(line):
        quote = '"' if value[0] == '"' else ""
        if name in dict(members) or not _fits(value[0], wanted.get(name)):
            return None
        elements.append(Literal((literal + before + quote).encode()))
        groups.append((len(elements), len(elements) + 1))
        elements.append(_run(value[0], ord(line[after]) if after < len(line) else 0, wanted.get(name)))
        members.append((name, value[0]))
        literal, end = quote, after
    if not 0 < len(members) <= MOST_MEMBERS or not _END.match(line, _after_space(line, end)):
        return None
    elements += [Literal((literal + line[end:]).encode()), End()]
    return Shape(Chain(tuple(elements), tuple(groups)), tuple(members), wanted)


def _members(line: str) -> Iterator[tuple[str, str, str, int]]:
    """Name, what stands before the value, the value, and where it ends; as far as they are understood."""
    at = end = 0
    while (name := _NAME.match(line, at)) and (line[at] == "{") == (at == 0):
        value = _VALUE.match(line, name.end())
        if value is None:
            return
        yield name[1], line[end : name.end()], value[0], value.end()
        end = value.end()
        at = _after_space(line, end)


def _after_space(line: str, at: int) -> int:
    space = _SPACE.match(line, at)
    return space.end() if space else at


def _fits(first: str, kind: pa.DataType | None) -> bool:
    if kind is None:
        return True
    if first == '"':
        return bool(pa.types.is_string(kind))
    if first in "tfn":
        return bool(pa.types.is_boolean(kind))
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _run(first: str, after: int, kind: pa.DataType | None) -> Run:
    """Of a text, up to what cannot be in one; of others, up to the byte behind them in the learnt line."""
    if first == '"':
        return Run(_TEXT, 0, None, _TEXT.outside, proven=True, decided=None)
    of = _WORD if first in "tfn" else _WHOLE if kind is not None and pa.types.is_integer(kind) else _NUMBER
    return Run(of, 1, LONGEST_NUMBER, _table(after), proven=False, decided=None)


def _constants(
    values: pa.StringArray, accepted: Matched, kind: pa.DataType | None
) -> tuple[pa.BooleanArray, Matched]:
    places = pc.index_in(values, _WORDS)
    known = places.fill_null(3).to_numpy()
    return pa.array(known == 0, mask=known >= 2), known < 3


def _numbers(values: pa.StringArray, accepted: Matched, kind: pa.DataType | None) -> tuple[pa.Array, Matched]:
    """As JSON has them: Arrow reads more (zeros in front, a dot at an end). Raises ArrowInvalid."""
    block = Block.of(values)
    first = block.bounds[:-1]
    start = first + (_byte(block, first) == ord("-"))
    digit = _is_digit(_byte(block, start)) & _is_digit(_byte(block, block.bounds[1:] - 1))
    zero = (_byte(block, start) == ord("0")) & (start + 1 < block.bounds[1:])
    good = digit & ~(zero & _is_digit(_byte(block, start + 1)))
    if not (good | ~accepted).all() or not accepted.all():
        values = pc.if_else(pa.array(good & accepted), values, "0")
    return values.cast(kind or pa.float64()), good


def _byte(block: Block, at: NDArray[np.int64]) -> NDArray[np.uint8]:
    return block.data.take(at, mode="clip") if len(block.data) else np.zeros(len(at), np.uint8)


def _is_digit(byte: NDArray[np.uint8]) -> Matched:
    return np.asarray(byte - np.uint8(ord("0")) <= 9, np.bool_)
