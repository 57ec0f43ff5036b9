"""Columns that hardly ever change within a row group: written as a few runs, however many rows there are. And
columns of two texts: written as a bit a row.

Most columns of metadata are such where files are large. Arrow makes a value for each row of them, and its
writer looks at each. What comes out here is what it would write, but for compression: a dictionary, and the
runs of definition levels and of indices, as
https://parquet.apache.org/docs/file-format/data-pages/encodings/ and parquet.thrift describe them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.rows.thrift import (
    BINARY,
    INT32,
    INT64,
    LIST,
    STRUCT,
    binary,
    integer,
    list_of,
    struct,
    unsigned,
)
from collector.value import value

Said = str | int | None
"""What rows say in a column: a text, a number, or a time in microseconds since 1970."""

Run = tuple[Said, int]
"""What so many rows in a row say."""

# Values of the enums Type, Encoding, PageType and CompressionCodec.
_INT32_TYPE, _INT64_TYPE, _BYTE_ARRAY_TYPE = 1, 2, 6
_PLAIN, _RLE, _RLE_DICTIONARY = 0, 3, 8
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
_UNCOMPRESSED = 0

MOST_PACKED = 63
"""Bytes of packed bits in a row, as other writers have them."""


@value
class RunsChunk:
    """A column of one row group, to be put anywhere into a file.

    `dictionary` and `data` are a page each, the first is empty where all rows are null. `encodings` and
    `statistics` are values of its description in the footer.
    """

    name: str
    physical_type: int
    rows: int
    dictionary: bytes
    data: bytes
    encodings: tuple[int, ...]
    statistics: bytes

    @property
    def pages(self) -> bytes:
        return self.dictionary + self.data

    def described(self, at: int) -> bytes:
        """A ColumnChunk whose pages begin at `at` in the file."""
        size = integer(len(self.pages))
        dictionary_at = [(11, INT64, integer(at))] if self.dictionary else []
        metadata = struct(
            (1, INT32, integer(self.physical_type)),
            (2, LIST, list_of(INT32, [integer(each) for each in self.encodings])),
            (3, LIST, list_of(BINARY, [binary(self.name.encode())])),
            (4, INT32, integer(_UNCOMPRESSED)),
            (5, INT64, integer(self.rows)),
            (6, INT64, size),
            (7, INT64, size),
            (9, INT64, integer(at + len(self.dictionary))),
            *dictionary_at,
            (12, STRUCT, self.statistics),
        )
        return struct((2, INT64, integer(0)), (3, STRUCT, metadata))


def runs_chunk(field: pa.Field, runs: Sequence[Run]) -> RunsChunk:
    """A column that may have nulls, of texts, int32 or microseconds. No run is empty, and there is one."""
    rows = sum(count for _, count in runs)
    numbers = {said: number for number, said in enumerate(dict.fromkeys(s for s, _ in runs if s is not None))}
    levels = _levels(_hybrid(((0 if said is None else 1, count) for said, count in runs), 1))
    nulls = sum(count for said, count in runs if said is None)
    width = max(1, (len(numbers) - 1).bit_length())
    indices = _hybrid(((numbers[said], count) for said, count in runs if said is not None), width)
    return _chunk(field, list(numbers), rows, nulls, (levels, bytes([width]) + indices))


def bits_chunk(field: pa.Field, texts: tuple[str, str], codes: NDArray[np.int8]) -> RunsChunk:
    """A column of two texts that may have nulls: of each row `texts[code]`, null where that is negative."""
    there = codes >= 0
    said = codes if there.all() else codes[there]
    used = [number for number in (0, 1) if (said == number).any()]
    levels = _levels(_hybrid([(1, len(codes))], 1) if said is codes else _packed(there))
    indices = _packed(said != 0) if len(used) > 1 else _hybrid([(0, len(said))], 1)
    values = [texts[number] for number in used]
    return _chunk(field, values, len(codes), len(codes) - len(said), (levels, bytes([1]) + indices))


def _levels(hybrid: bytes) -> bytes:
    """Which rows are null, as a page has it."""
    return len(hybrid).to_bytes(4, "little") + hybrid


def _chunk(
    field: pa.Field, values: Sequence[str | int], rows: int, nulls: int, page: tuple[bytes, bytes]
) -> RunsChunk:
    """The page has levels, and indices of the values behind their width in bits."""
    physical_type = _physical_type(field.type)
    levels, indices = page
    if not values:
        data, statistics = _data_page(rows, _PLAIN, levels), struct((3, INT64, integer(nulls)))
        return RunsChunk(field.name, physical_type, rows, b"", data, (_PLAIN, _RLE), statistics)
    return RunsChunk(
        name=field.name,
        physical_type=physical_type,
        rows=rows,
        dictionary=_dictionary_page(physical_type, values),
        data=_data_page(rows, _RLE_DICTIONARY, levels + indices),
        encodings=(_PLAIN, _RLE, _RLE_DICTIONARY),
        statistics=_statistics(physical_type, values, nulls),
    )


def _physical_type(kind: pa.DataType) -> int:
    if pa.types.is_int32(kind):
        return _INT32_TYPE
    return _INT64_TYPE if pa.types.is_timestamp(kind) else _BYTE_ARRAY_TYPE


def _plain(physical_type: int, said: str | int) -> bytes:
    """As a statistic has it; a text has its length before it elsewhere."""
    if isinstance(said, str):
        return said.encode()
    return said.to_bytes(4 if physical_type == _INT32_TYPE else 8, "little", signed=True)


def _hybrid(runs: Iterable[tuple[int, int]], width: int) -> bytes:
    """The hybrid of run lengths and packed bits, of run lengths alone; `width` in bits."""
    pieces = []
    for number, equal in groupby(runs, key=lambda run: run[0]):
        pieces += [
            unsigned(sum(count for _, count in equal) << 1),
            number.to_bytes((width + 7) // 8, "little"),
        ]
    return b"".join(pieces)


def _packed(bits: NDArray[np.bool_]) -> bytes:
    """The same hybrid, of packed bits alone. A byte before so many of them is all that some readers know."""
    packed = np.packbits(bits, bitorder="little")
    whole, rest = np.split(packed, [len(packed) // MOST_PACKED * MOST_PACKED])
    full = np.insert(whole.reshape(-1, MOST_PACKED), 0, MOST_PACKED << 1 | 1, axis=1).tobytes()
    return full + (bytes([len(rest) << 1 | 1]) + rest.tobytes() if len(rest) else b"")


def _statistics(physical_type: int, values: Iterable[str | int], nulls: int) -> bytes:
    """Texts are ordered by their bytes: those of UTF-8 come in the order of its characters."""
    ordered = sorted(values)
    least, greatest = (binary(_plain(physical_type, each)) for each in (ordered[0], ordered[-1]))
    return struct((3, INT64, integer(nulls)), (5, BINARY, greatest), (6, BINARY, least))


def _dictionary_page(physical_type: int, values: Sequence[str | int]) -> bytes:
    stored = [_plain(physical_type, each) for each in values]
    if physical_type == _BYTE_ARRAY_TYPE:
        stored = [len(each).to_bytes(4, "little") + each for each in stored]
    header = struct((1, INT32, integer(len(values))), (2, INT32, integer(_PLAIN)))
    return _page(_DICTIONARY_PAGE, (7, STRUCT, header), b"".join(stored))


def _data_page(rows: int, encoding: int, page: bytes) -> bytes:
    header = struct(
        (1, INT32, integer(rows)),
        (2, INT32, integer(encoding)),
        (3, INT32, integer(_RLE)),
        (4, INT32, integer(_RLE)),
    )
    return _page(_DATA_PAGE, (5, STRUCT, header), page)


def _page(kind: int, header: tuple[int, int, bytes], page: bytes) -> bytes:
    size = integer(len(page))
    checksum = int.from_bytes(zlib.crc32(page).to_bytes(4, "little"), "little", signed=True)
    fields = [(1, INT32, integer(kind)), (2, INT32, size), (3, INT32, size), (4, INT32, integer(checksum))]
    return struct(*fields, header) + page
