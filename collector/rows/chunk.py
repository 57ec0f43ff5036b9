"""A column of one row group as bytes that may stand anywhere in a file: its pages, and what a footer says of
them.

https://parquet.apache.org/docs/file-format/data-pages/ and parquet.thrift describe both.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa

from collector.model import Compression
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

Piece = bytes | memoryview

ZSTD_LEVEL = 1

# Values of the enums Type, Encoding, PageType and CompressionCodec.
BOOLEAN_TYPE, INT32_TYPE, INT64_TYPE, BYTE_ARRAY_TYPE = 0, 1, 2, 6
PLAIN, RLE, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, RLE_DICTIONARY = 0, 3, 5, 6, 8
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
_CODECS: dict[Compression, int] = {"none": 0, "gzip": 2, "zstd": 6}


@value
class Page:
    """Header and body, as they are stored; `plain_bytes` is their size before compression."""

    pieces: tuple[Piece, ...]
    plain_bytes: int

    @property
    def stored_bytes(self) -> int:
        return sum(map(len, self.pieces))


@value
class Chunk:
    """`dictionary` is None where no row has an index. `encodings` and `statistics` are values of the
    description in the footer; no statistics are empty.
    """

    name: str
    physical_type: int
    rows: int
    dictionary: Page | None
    data: tuple[Page, ...]
    encodings: tuple[int, ...]
    statistics: bytes
    compression: Compression = "none"

    @property
    def pages(self) -> tuple[Page, ...]:
        return self.data if self.dictionary is None else (self.dictionary, *self.data)

    @property
    def stored_bytes(self) -> int:
        return sum(page.stored_bytes for page in self.pages)

    @property
    def plain_bytes(self) -> int:
        return sum(page.plain_bytes for page in self.pages)

    def described(self, at: int) -> bytes:
        """A ColumnChunk whose pages begin at `at` in the file."""
        before = 0 if self.dictionary is None else self.dictionary.stored_bytes
        metadata = struct(
            (1, INT32, integer(self.physical_type)),
            (2, LIST, list_of(INT32, [integer(each) for each in self.encodings])),
            (3, LIST, list_of(BINARY, [binary(self.name.encode())])),
            (4, INT32, integer(_CODECS[self.compression])),
            (5, INT64, integer(self.rows)),
            (6, INT64, integer(self.plain_bytes)),
            (7, INT64, integer(self.stored_bytes)),
            (9, INT64, integer(at + before)),
            *([(11, INT64, integer(at))] if before else []),
            *([(12, STRUCT, self.statistics)] if self.statistics else []),
        )
        return struct((2, INT64, integer(0)), (3, STRUCT, metadata))


def codec(compression: Compression) -> pa.Codec | None:
    """One for each thread."""
    if compression == "none":
        return None
    return pa.Codec(compression, compression_level=ZSTD_LEVEL if compression == "zstd" else None)


def dictionary_page(values: int, body: bytes) -> Page:
    header = struct((1, INT32, integer(values)), (2, INT32, integer(PLAIN)))
    return _page(_DICTIONARY_PAGE, (7, STRUCT, header), [body])


def data_page(rows: int, encoding: int, body: Sequence[Piece], codec: pa.Codec | None = None) -> Page:
    """`body` is what stands in the page, piece by piece."""
    header = struct(
        (1, INT32, integer(rows)),
        (2, INT32, integer(encoding)),
        (3, INT32, integer(RLE)),
        (4, INT32, integer(RLE)),
    )
    return _page(_DATA_PAGE, (5, STRUCT, header), body, codec)


def _page(
    kind: int, header: tuple[int, int, bytes], body: Sequence[Piece], codec: pa.Codec | None = None
) -> Page:
    plain = joined(body)
    stored = plain if codec is None else _memory(codec.compress(plain))
    checksum = int.from_bytes(zlib.crc32(stored).to_bytes(4, "little"), "little", signed=True)
    fields = (
        (1, INT32, integer(kind)),
        (2, INT32, integer(len(plain))),
        (3, INT32, integer(len(stored))),
        (4, INT32, integer(checksum)),
    )
    head = struct(*fields, header)
    return Page((head, stored), len(head) + len(plain))


def joined(pieces: Sequence[Piece]) -> Piece:
    """In memory of Arrow, which is used again; new memory would take longer than all else here."""
    if len(pieces) == 1:
        return pieces[0]
    buffer = pa.allocate_buffer(sum(map(len, pieces)))
    np.concatenate([np.frombuffer(each, np.uint8) for each in pieces], out=np.frombuffer(buffer, np.uint8))
    return _memory(buffer)


def _memory(buffer: pa.Buffer) -> memoryview:
    """Its bytes: a view that Arrow gives of a buffer that became shorter has its former length."""
    return np.frombuffer(buffer, np.uint8).data


def levels(hybrid: bytes) -> bytes:
    """Which rows are null, as a page has it."""
    return len(hybrid).to_bytes(4, "little") + hybrid


def all_there(rows: int) -> bytes:
    """No row is null."""
    return levels(run_lengths([(1, rows)], 1))


def run_lengths(runs: Iterable[tuple[int, int]], width: int) -> bytes:
    """The hybrid of run lengths and packed bits, of run lengths alone; `width` in bits."""
    pieces = []
    for number, equal in groupby(runs, key=lambda run: run[0]):
        pieces += [
            unsigned(sum(count for _, count in equal) << 1),
            number.to_bytes((width + 7) // 8, "little"),
        ]
    return b"".join(pieces)


def plain(physical_type: int, said: str | int) -> bytes:
    """As a statistic has it; a text has its length before it elsewhere."""
    if isinstance(said, str):
        return said.encode()
    return said.to_bytes(4 if physical_type == INT32_TYPE else 8, "little", signed=True)


def statistics(physical_type: int, values: Iterable[str | int], nulls: int) -> bytes:
    """Texts are ordered by their bytes: those of UTF-8 come in the order of its characters."""
    ordered = sorted(values)
    if not ordered:
        return struct((3, INT64, integer(nulls)))
    least, greatest = (binary(plain(physical_type, each)) for each in (ordered[0], ordered[-1]))
    return struct((3, INT64, integer(nulls)), (5, BINARY, greatest), (6, BINARY, least))
