"""Columns in which rows differ, written without any row being looked at alone: texts, truths, and numbers
that grow evenly.

Texts are DELTA_LENGTH_BYTE_ARRAY: their lengths, then their bytes as they lie in memory. Arrow's writer would
copy text by text, each behind its length. Numbers, and lengths, are DELTA_BINARY_PACKED, with whole bytes for
widths. https://parquet.apache.org/docs/file-format/data-pages/encodings/ describes both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.model import Compression
from collector.rows.block import Block
from collector.rows.chunk import (
    BOOLEAN_TYPE,
    BYTE_ARRAY_TYPE,
    DELTA_BINARY_PACKED,
    DELTA_LENGTH_BYTE_ARRAY,
    INT64_TYPE,
    PLAIN,
    RLE,
    Chunk,
    Page,
    Piece,
    all_there,
    codec,
    data_page,
    statistics,
)
from collector.rows.thrift import integer, unsigned

PAGE_BYTES = 4 << 20
"""Before compression: an arena."""

LEAST_ROOMY_BYTES = 512 << 10
"""So many bytes of texts get room for what comes before them in a page, and are one then. Less shares a page
with others: zstd would compress it worse.
"""

MOST_ROOM_PART = 8
"""More than this part of the texts is not laid out twice for it."""

MOST_HEAD_BYTES = 48
"""Of a page's levels and the head of its lengths, and of each block of them."""

BLOCK, MINIBLOCK = 128, 32
"""Deltas: as all writers have them."""

WIDTHS = {1: np.uint8, 2: np.uint16, 4: np.uint32}
"""Types of so many bytes."""

Numbers = NDArray[np.int64]


def text_chunk(name: str, texts: Sequence[Block], compression: Compression) -> Chunk:
    """Texts in UTF-8, at least one. Where a block that makes a page has room, it is used."""
    compressor = codec(compression)
    pages = tuple(_text_page(blocks, compressor) for blocks in _pages(texts))
    rows = sum(len(block.bounds) - 1 for block in texts)
    return Chunk(name, BYTE_ARRAY_TYPE, rows, None, pages, (DELTA_LENGTH_BYTE_ARRAY, RLE), b"", compression)


def rows_for_room(lengths: Numbers) -> int:
    """How many of the first texts hold as many bytes as a page has before its texts, when all of them become
    one. None for short texts, of which that would be many, and for few, which share a page with others.
    """
    rows = len(lengths)
    if rows < BLOCK or int(lengths.sum()) < LEAST_ROOMY_BYTES:
        return 0
    span = 2 * int(lengths.max() - lengths.min())
    width = _width(span) or 0
    needed = MOST_HEAD_BYTES + (rows // BLOCK + 1) * (MOST_HEAD_BYTES + BLOCK * width)
    held = np.cumsum(lengths[: rows // MOST_ROOM_PART])
    enough = int(np.searchsorted(held, needed)) + 1
    return enough if enough <= len(held) else 0


def numbers_chunk(name: str, numbers: Numbers, compression: Compression) -> Chunk | None:
    """At least one number; None where they grow so unevenly that blocks should differ in their widths."""
    packed = deltas(numbers, widest=2)
    if packed is None:
        return None
    page = data_page(
        len(numbers), DELTA_BINARY_PACKED, [all_there(len(numbers)), *packed], codec(compression)
    )
    known = statistics(INT64_TYPE, [int(numbers.min()), int(numbers.max())], 0)
    return Chunk(
        name, INT64_TYPE, len(numbers), None, (page,), (DELTA_BINARY_PACKED, RLE), known, compression
    )


def truths_chunk(name: str, truths: NDArray[np.bool_], compression: Compression) -> Chunk:
    """At least one."""
    bits = np.packbits(truths, bitorder="little")
    page = data_page(len(truths), PLAIN, [all_there(len(truths)), bits.data], codec(compression))
    return Chunk(name, BOOLEAN_TYPE, len(truths), None, (page,), (PLAIN, RLE), b"", compression)


def deltas(numbers: Numbers, widest: int) -> tuple[bytes, memoryview] | None:
    """At least one number; None where deltas differ by more than `widest` bytes hold."""
    head = unsigned(BLOCK) + unsigned(BLOCK // MINIBLOCK) + unsigned(len(numbers)) + integer(int(numbers[0]))
    steps = np.diff(numbers)
    if not len(steps):
        return head, memoryview(b"")
    least = int(steps.min())
    span = int(steps.max()) - least
    if not span:
        return head, _blocks(np.zeros((len(steps), 0), np.uint8), least)
    width = _width(span)
    if width is None or width > widest:
        return None
    return head, _blocks((steps - least).astype(WIDTHS[width])[:, np.newaxis].view(np.uint8), least)


def _width(span: int) -> int | None:
    """The fewest bytes that hold numbers up to `span`; None where it takes more than there are types of."""
    return next((each for each in WIDTHS if span < 1 << 8 * each), None)


def _blocks(packed: NDArray[np.uint8], least: int) -> memoryview:
    """`packed` has a row of bytes for each delta, little end first. The last block ends with its last one."""
    count, width = packed.shape
    head = integer(least) + bytes([8 * width] * (BLOCK // MINIBLOCK))
    blocks = -(-count // BLOCK)
    out = np.zeros((blocks, len(head) + BLOCK * width), np.uint8)
    out[:, : len(head)] = np.frombuffer(head, np.uint8)
    whole = count // BLOCK
    out[:whole, len(head) :] = packed[: whole * BLOCK].reshape(whole, BLOCK * width)
    if whole == blocks:
        return out.reshape(-1).data
    rest = packed[whole * BLOCK :].reshape(-1)
    out[whole, len(head) : len(head) + len(rest)] = rest
    miniblocks = -(-(count - whole * BLOCK) // MINIBLOCK)
    out[whole, len(head) - BLOCK // MINIBLOCK + miniblocks : len(head)] = 0
    spare = (BLOCK // MINIBLOCK - miniblocks) * MINIBLOCK * width
    return out.reshape(-1)[: out.size - spare].data


def _pages(texts: Iterable[Block]) -> Iterator[list[Block]]:
    """What stands in one page: as much as it may have, at least a text. What has room is a page alone."""
    page: list[Block] = []
    size = 0
    for block in texts:
        for piece in _pieces(block):
            is_alone = any(each.roomy is not None for each in (piece, *page[-1:]))
            if page and (is_alone or size + len(piece.data) > PAGE_BYTES):
                yield page
                page, size = [], 0
            page.append(piece)
            size += len(piece.data)
    if page:
        yield page


def _pieces(block: Block) -> Iterator[Block]:
    """Of about the same size, none much larger than a page."""
    pieces = -(-len(block.data) // PAGE_BYTES)
    if pieces <= 1:
        if len(block.bounds) > 1:
            yield block
        return
    ends = np.linspace(0, len(block.data), pieces + 1)[1:-1]
    cuts = np.unique([0, *np.searchsorted(block.bounds, ends).tolist(), len(block.bounds) - 1])
    for first, last in pairwise(cuts):
        bounds = block.bounds[first : last + 1]
        yield Block(block.data[bounds[0] : bounds[-1]], bounds - bounds[0])


def _text_page(blocks: list[Block], codec: pa.Codec | None) -> Page:
    lengths = np.concatenate([np.diff(block.bounds) for block in blocks])
    packed = deltas(lengths, widest=4)
    if packed is None:
        raise ValueError("a text is longer than a page may be")
    before: list[Piece] = [all_there(len(lengths)), *packed]
    page = _in_room(before, blocks[0]) if len(blocks) == 1 else None
    body = [*before, *(block.data.data for block in blocks)] if page is None else [page]
    return data_page(len(lengths), DELTA_LENGTH_BYTE_ARRAY, body, codec)


def _in_room(before: Sequence[Piece], block: Block) -> Piece | None:
    """A page as one piece, if there is room in the memory of its texts: so these are copied no more."""
    size = sum(map(len, before))
    if block.roomy is None or len(block.roomy) < size + len(block.data):
        return None
    page = block.roomy[len(block.roomy) - len(block.data) - size :]
    page[:size] = np.frombuffer(b"".join(before), np.uint8)
    return page.data
