"""Row groups that were made apart, put together into one Parquet file.

Each comes as a file of its own. What a footer says of a row group is true in another file too, but for its
place: so the row groups are laid one behind the other, and their descriptions are copied into one footer,
with offsets and numbers changed. A footer is a struct in Thrift's compact protocol, as
https://parquet.apache.org/docs/file-format/metadata/ and parquet.thrift there describe it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from collector.rows.body import Body

MAGIC = b"PAR1"
LENGTH_BYTES = 4

_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY = (1, 2), 3, (4, 5, 6), 7, 8
_LISTS, _STRUCT = (9, 10), 12
"""Types of the protocol; maps stand in no footer."""

LONG_LIST = 15
"""A list with so many elements or more has their number behind its header."""

# Numbers of fields in FileMetaData, RowGroup, ColumnChunk and ColumnMetaData.
_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7
_CHUNK_OFFSET, _METADATA = 2, 3
_OFFSETS = (9, 10, 11, 14)
"""Of pages, and of a Bloom filter."""

Edit = tuple[int, int, int]
"""An integer that stands at [start, end), and what it is to be."""


@dataclass(frozen=True, slots=True)
class _Footer:
    """Where it has the number of rows, the list of row groups, and each of those: start and end."""

    data: bytes
    rows: tuple[int, int]
    groups: tuple[int, int]
    each: tuple[tuple[int, int], ...]


class RowGroups:
    """Makes one file in `body`, the same bytes as if one writer had made it; only Bloom filters, which that
    would put behind all row groups, lie behind each.

    All files that are added were made with one schema and the same properties.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._first: _Footer | None = None
        self._rows = 0
        self._groups: list[bytes] = []
        body.write(MAGIC)

    def add(self, file: memoryview) -> None:
        """Adds the row groups of a Parquet file behind those that are there."""
        data, footer = _split(file)
        moved = self._body.size - len(MAGIC)
        self._body.write(data)
        self._first = self._first or footer
        self._rows += _Cursor(footer.data, footer.rows[0]).integer()
        for start, end in footer.each:
            edits = _moved(footer.data, start, moved, ordinal=len(self._groups))
            self._groups.append(_edited(footer.data, start, end, edits))

    def finish(self) -> None:
        """Writes the footer. At least one file must have been added."""
        first = self._first
        assert first is not None  # noqa: S101 - a batch that is sealed has rows
        footer = b"".join(
            (
                first.data[: first.rows[0]],
                _integer(self._rows),
                first.data[first.rows[1] : first.groups[0]],
                _list_of_structs(len(self._groups)),
                *self._groups,
                first.data[first.groups[1] :],
            )
        )
        self._body.write(footer + len(footer).to_bytes(LENGTH_BYTES, "little") + MAGIC)


def _split(file: memoryview) -> tuple[memoryview, _Footer]:
    """The row groups of a file, and its footer."""
    end = len(file) - len(MAGIC) - LENGTH_BYTES
    start = end - int.from_bytes(file[end : end + LENGTH_BYTES], "little")
    return file[len(MAGIC) : start], _footer(bytes(file[start:end]))


def _footer(data: bytes) -> _Footer:
    cursor = _Cursor(data)
    rows = groups = (0, 0)
    each: tuple[tuple[int, int], ...] = ()
    for number, kind in cursor.fields():
        start = cursor.at
        if number == _ROW_GROUPS:
            each = tuple(cursor.elements())
            groups = start, cursor.at
        else:
            cursor.skip(kind)
        if number == _ROWS:
            rows = start, cursor.at
    return _Footer(data, rows, groups, each)


def _moved(footer: bytes, start: int, moved: int, *, ordinal: int) -> Iterator[Edit]:
    """What changes in the row group that is described from `start` on, when it lies `moved` bytes behind."""
    cursor = _Cursor(footer, start)
    for number, kind in cursor.fields():
        if number == _COLUMNS:
            for _ in range(cursor.length()):
                yield from _moved_chunk(cursor, moved)
        elif number == _GROUP_OFFSET:
            yield cursor.edit(lambda offset: offset + moved)
        elif number == _ORDINAL:
            yield cursor.edit(lambda _: ordinal)
        else:
            cursor.skip(kind)


def _moved_chunk(cursor: _Cursor, moved: int) -> Iterator[Edit]:
    def move(offset: int) -> int:
        return offset + moved if offset else 0  # 0: not there

    for number, kind in cursor.fields():
        if number == _CHUNK_OFFSET:
            yield cursor.edit(move)
        elif number == _METADATA:
            for inner, inner_kind in cursor.fields():
                if inner in _OFFSETS:
                    yield cursor.edit(move)
                else:
                    cursor.skip(inner_kind)
        else:
            cursor.skip(kind)


def _edited(footer: bytes, start: int, end: int, edits: Iterable[Edit]) -> bytes:
    pieces = []
    for first, last, value in edits:
        pieces += [footer[start:first], _integer(value)]
        start = last
    return b"".join([*pieces, footer[start:end]])


class _Cursor:
    """Reads the compact protocol (doc/specs/thrift-compact-protocol.md of Apache Thrift)."""

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
            self.skip(_STRUCT)
            yield start, self.at

    def length(self) -> int:
        """Of the list that starts here; goes to its first element."""
        return self._list()[1]

    def integer(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)

    def edit(self, change: Callable[[int], int]) -> Edit:
        start = self.at
        value = change(self.integer())
        return start, self.at, value

    def skip(self, kind: int) -> None:
        if kind in _INTEGERS:
            while self._byte() & 0x80:
                pass
        elif kind == _BINARY:
            length = self._unsigned()
            self.at += length
        elif kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner)
        elif kind in _LISTS:
            of, length = self._list()
            for _ in range(length):
                self.skip(_BYTE if of in _BOOLEANS else of)
        elif kind not in _BOOLEANS:  # those stand in the header
            self.at += {_BYTE: 1, _DOUBLE: 8}[kind]

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


def _integer(value: int) -> bytes:
    return _unsigned(value << 1 ^ value >> 63)


def _unsigned(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _list_of_structs(length: int) -> bytes:
    if length < LONG_LIST:
        return bytes([length << 4 | _STRUCT])
    return bytes([LONG_LIST << 4 | _STRUCT]) + _unsigned(length)
