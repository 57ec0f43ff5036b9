"""Thrift's compact protocol, as far as Parquet's footers and page headers need it.

doc/specs/thrift-compact-protocol.md of Apache Thrift describes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

BOOLEANS, BYTE, INTEGERS, DOUBLE, BINARY = (1, 2), 3, (4, 5, 6), 7, 8
LISTS, STRUCT = (9, 10), 12
"""Kinds of values; maps stand in no footer."""

INT16, INT32, INT64, LIST = 4, 5, 6, 9
"""Those that are written here."""

LONG_LIST = 15
"""A list with so many elements or more has their number behind its header."""

Edit = tuple[int, int, bytes]
"""What is to stand in place of [start, end)."""


class Cursor:
    """Reads values one after the other."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of each field of the struct that starts here. The caller goes over its value."""
        number = 0
        while header := self._byte():
            delta, kind = header >> 4, header & 15
            number = number + delta if delta else self.integer()
            yield number, kind

    def elements(self) -> Iterator[tuple[int, int]]:
        """Start and end of each element of the list of structs that starts here; goes over them."""
        for _ in range(self.length()):
            start = self.at
            self.skip(STRUCT)
            yield start, self.at

    def length(self) -> int:
        """Of the list that starts here; goes to its first element."""
        return self._list()[1]

    def integer(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)

    def edit(self, change: Callable[[int], int]) -> Edit:
        """What makes another integer of the one that stands here."""
        start = self.at
        value = change(self.integer())
        return start, self.at, integer(value)

    def skip(self, kind: int) -> None:
        if kind in INTEGERS:
            while self._byte() & 0x80:
                pass
        elif kind == BINARY:
            length = self._unsigned()
            self.at += length
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner)
        elif kind in LISTS:
            of, length = self._list()
            for _ in range(length):
                self.skip(BYTE if of in BOOLEANS else of)
        elif kind not in BOOLEANS:  # those stand in the header
            self.at += {BYTE: 1, DOUBLE: 8}[kind]

    def _list(self) -> tuple[int, int]:
        header = self._byte()
        length = header >> 4
        return header & 15, self._unsigned() if length == LONG_LIST else length

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]


def edited(data: bytes, start: int, end: int, edits: Iterable[Edit]) -> bytes:
    """data[start:end] with what is to stand there; `edits` in order."""
    pieces = []
    for first, last, value in edits:
        pieces += [data[start:first], value]
        start = last
    return b"".join([*pieces, data[start:end]])


def integer(value: int) -> bytes:
    """Of any width: zigzag, so that small negative ones are short too."""
    return unsigned(value << 1 ^ value >> 63)


def unsigned(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def binary(value: bytes) -> bytes:
    return unsigned(len(value)) + value


def list_of(kind: int, elements: Sequence[bytes]) -> bytes:
    return list_header(kind, len(elements)) + b"".join(elements)


def list_header(kind: int, length: int) -> bytes:
    if length < LONG_LIST:
        return bytes([length << 4 | kind])
    return bytes([LONG_LIST << 4 | kind]) + unsigned(length)


def struct(*fields: tuple[int, int, bytes]) -> bytes:
    """`fields` have number, kind and value, in the order of their numbers."""
    pieces, before = [], 0
    for number, kind, value in fields:
        pieces += [bytes([number - before << 4 | kind]), value]
        before = number
    return b"".join([*pieces, b"\0"])
