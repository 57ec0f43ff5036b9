"""Row groups that were made apart, put together into one Parquet file.

Each comes as a file of its own, but for columns that are `Chunk`s. What a footer says of a row group
is true in another file too, but for its place: so the row groups are laid one behind the other, and their
descriptions are copied into one footer, with offsets changed, and those of such columns between. A
footer is described by https://parquet.apache.org/docs/file-format/metadata/ and parquet.thrift there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from collector.rows.body import Body
from collector.rows.chunk import Chunk, Page
from collector.rows.thrift import (
    INT16,
    INT64,
    LIST,
    STRUCT,
    Cursor,
    Edit,
    edited,
    integer,
    list_header,
    list_of,
    struct,
)
from collector.value import value

MAGIC = b"PAR1"
LENGTH_BYTES = 4
FEW_BYTES = 4096

# Numbers of fields in FileMetaData, RowGroup, ColumnChunk and ColumnMetaData.
_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _GROUP_BYTES, _GROUP_OFFSET, _GROUP_STORED_BYTES, _ORDINAL = 1, 2, 5, 6, 7
_CHUNK_OFFSET, _METADATA = 2, 3
_OFFSETS = (9, 10, 11, 14)
"""Of pages, and of a Bloom filter."""


@value
class _Footer:
    """Where it has the number of rows, the list of row groups, and each of those: start and end."""

    data: bytes
    rows: tuple[int, int]
    groups: tuple[int, int]
    each: tuple[tuple[int, int], ...]


@value
class _Place:
    """Where a row group gets: so many bytes behind where it was, with so many of other columns right before
    it, and so many of those before compression; as the so-manieth.
    """

    moved: int
    added: int
    added_plain: int
    ordinal: int


class RowGroups:
    """Makes one file in `body`. Without such columns it has the same bytes as if one writer had made it;
    only Bloom filters, which that would put behind all row groups, lie behind each.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._rows = 0
        self._groups: list[bytes] = []

    def add(self, file: memoryview | None, others: Mapping[int, Chunk] | None = None) -> None:
        """Adds the row groups of a Parquet file behind those that are there. If it lacks columns, it has one
        row group, and `others` has them by their place among all columns; without a file they are all.
        """
        others = others or {}
        if not self._body.size:
            self._body.write(MAGIC)
        start = at = self._body.size
        described: dict[int, bytes] = {}
        for place, chunk in sorted(others.items()):
            described[place] = chunk.described(at)
            at += chunk.stored_bytes
        self._write(others[place].pages for place in described)
        added_plain = sum(chunk.plain_bytes for chunk in others.values())
        if file is None:
            rows = next(iter(others.values())).rows
            self._groups.append(self._described(list(described.values()), start, added_plain, rows))
            self._rows += rows
            return
        data, footer = _split(file)
        self._rows += Cursor(footer.data, footer.rows[0]).integer()
        added = self._body.size - start
        moved = self._body.size - len(MAGIC)
        self._body.write(data)
        for first, last in footer.each:
            gets = _Place(moved, added, added_plain, len(self._groups))
            edits = _edits(Cursor(footer.data, first), described, gets)
            self._groups.append(edited(footer.data, first, last, edits))

    def _write(self, chunks: Iterable[Sequence[Page]]) -> None:
        """Most pages have a few bytes: those that follow each other are one write."""
        pieces = (piece for pages in chunks for page in pages for piece in page.pieces)
        for few, group in groupby(pieces, key=lambda piece: len(piece) < FEW_BYTES):
            for piece in [b"".join(group)] if few else group:
                self._body.write(piece)

    def _described(self, columns: Sequence[bytes], start: int, plain_bytes: int, rows: int) -> bytes:
        """A row group whose columns, all of them, stand from `start` up to here."""
        return struct(
            (1, LIST, list_of(STRUCT, columns)),
            (2, INT64, integer(plain_bytes)),
            (3, INT64, integer(rows)),
            (5, INT64, integer(start)),
            (6, INT64, integer(self._body.size - start)),
            (7, INT16, integer(len(self._groups))),
        )

    def finish(self, empty: memoryview) -> None:
        """Writes the footer. `empty` is a Parquet file without rows, of all columns; each that was added has
        some of its columns, in its order, and was made with the same properties.
        """
        _, whole = _split(empty)
        if not self._body.size:
            self._body.write(MAGIC)
        edits = (
            (*whole.rows, integer(self._rows)),
            (*whole.groups, list_header(STRUCT, len(self._groups)) + b"".join(self._groups)),
        )
        footer = edited(whole.data, 0, len(whole.data), edits)
        self._body.write(footer + len(footer).to_bytes(LENGTH_BYTES, "little") + MAGIC)


def _split(file: memoryview) -> tuple[memoryview, _Footer]:
    """The row groups of a file, and its footer."""
    end = len(file) - len(MAGIC) - LENGTH_BYTES
    start = end - int.from_bytes(file[end : end + LENGTH_BYTES], "little")
    return file[len(MAGIC) : start], _footer(bytes(file[start:end]))


def _footer(data: bytes) -> _Footer:
    cursor = Cursor(data)
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


def _edits(cursor: Cursor, others: Mapping[int, bytes], place: _Place) -> Iterator[Edit]:
    """What changes in the row group that is described from here on, with the columns `others`."""
    for number, kind in cursor.fields():
        if number == _COLUMNS:
            yield from _column_edits(cursor, others, place.moved)
        elif number == _GROUP_BYTES:
            yield cursor.edit(lambda size: size + place.added_plain)
        elif number == _GROUP_STORED_BYTES:
            yield cursor.edit(lambda size: size + place.added)
        elif number == _GROUP_OFFSET:
            yield cursor.edit(lambda offset: offset + place.moved - place.added)
        elif number == _ORDINAL:
            yield cursor.edit(lambda _: place.ordinal)
        else:
            cursor.skip(kind)


def _column_edits(cursor: Cursor, others: Mapping[int, bytes], moved: int) -> Iterator[Edit]:
    start, theirs = cursor.at, cursor.length()
    yield start, cursor.at, list_header(STRUCT, theirs + len(others))
    for place in range(theirs + len(others)):
        if place in others:
            yield cursor.at, cursor.at, others[place]
        else:
            yield from _moved_chunk(cursor, moved)


def _moved_chunk(cursor: Cursor, moved: int) -> Iterator[Edit]:
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
