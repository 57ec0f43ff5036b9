"""Row groups that were made apart, put together into one Parquet file.

Each comes as a file of its own, but for columns that are `RunsChunk`s. What a footer says of a row group
is true in another file too, but for its place: so the row groups are laid one behind the other, and their
descriptions are copied into one footer, with offsets changed, and those of such columns between. A
footer is described by https://parquet.apache.org/docs/file-format/metadata/ and parquet.thrift there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from collector.rows.body import Body
from collector.rows.runs import RunsChunk
from collector.rows.thrift import STRUCT, Cursor, Edit, edited, integer, list_header
from collector.value import value

MAGIC = b"PAR1"
LENGTH_BYTES = 4

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
    it, as the so-manieth.
    """

    moved: int
    added: int
    ordinal: int


class RowGroups:
    """Makes one file in `body`. Without such columns it has the same bytes as if one writer had made it;
    only Bloom filters, which that would put behind all row groups, lie behind each.
    """

    def __init__(self, body: Body, empty: memoryview) -> None:
        """`empty` is a Parquet file without rows, of all columns; each that is added has some of its columns,
        in its order, and was made with the same properties.
        """
        self._body = body
        _, self._footer = _split(empty)
        self._rows = 0
        self._groups: list[bytes] = []

    def add(self, file: memoryview, others: Mapping[int, RunsChunk] | None = None) -> None:
        """Adds the row groups of a Parquet file behind those that are there. If it lacks columns, it has one
        row group, and `others` has them by their place among all columns.
        """
        data, footer = _split(file)
        if not self._body.size:
            self._body.write(MAGIC)
        self._rows += Cursor(footer.data, footer.rows[0]).integer()
        start, described = self._body.size, {}
        for place, chunk in (others or {}).items():
            described[place] = chunk.described(self._body.size)
            self._body.write(chunk.pages)
        added = self._body.size - start
        moved = self._body.size - len(MAGIC)
        self._body.write(data)
        for first, last in footer.each:
            gets = _Place(moved, added, len(self._groups))
            edits = _edits(Cursor(footer.data, first), described, gets)
            self._groups.append(edited(footer.data, first, last, edits))

    def finish(self) -> None:
        """Writes the footer."""
        whole = self._footer
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
        elif number in (_GROUP_BYTES, _GROUP_STORED_BYTES):
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
