"""Raw objects: the spans' bytes one after the other. Rows are found again by their line feeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.errors import ExportDamaged
from collector.model import Compression, Origin, Span
from collector.query.export import damaged

BLOCK_BYTES = 8 << 20
LINE_FEED = 10


@dataclass(frozen=True, slots=True, eq=False)
class RawBlock:
    """Consecutive lines of one span. A line longer than a block comes in pieces."""

    origin: Origin
    span: Span
    data: bytes
    bounds: NDArray[np.int64]
    """Where in `data` each row begins, and the last one ends."""
    start: int
    """The offset in the file of the first byte."""

    @property
    def offsets(self) -> NDArray[np.int64]:
        return self.bounds[:-1] + self.start

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.bounds)

    @property
    def eol(self) -> NDArray[np.bool_]:
        last = np.frombuffer(self.data, np.uint8)[self.bounds[1:] - 1]
        return np.asarray(last == LINE_FEED, np.bool_)

    def observed_us(self) -> NDArray[np.int64]:
        """When each row was read, in microseconds since the epoch."""
        ends, times = (np.array(column, np.int64) for column in zip(*self.span.reads, strict=True))
        return np.asarray(times[np.searchsorted(ends[:-1], self.offsets, side="right")], np.int64)

    def texts(self) -> tuple[pa.StringArray, pa.BinaryArray]:
        """`message` and `raw` of each row, as the contract has them."""
        ends = self.bounds[1:] - self.eol
        edges = np.column_stack([self.bounds[:-1], ends]).ravel()
        both = pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), len(edges) - 1, [None, pa.py_buffer(edges), pa.py_buffer(self.data)]
        )
        exact = both.take(pa.array(np.arange(0, len(edges) - 1, 2))).cast(pa.binary())
        try:
            return exact.cast(pa.string()), pa.nulls(len(exact), pa.binary())
        except pa.ArrowInvalid:
            return _repaired(exact)


def _repaired(exact: pa.BinaryArray) -> tuple[pa.StringArray, pa.BinaryArray]:
    values = exact.to_pylist()
    messages = [value.decode("utf-8", "replace") for value in values]
    wrong = [message.encode() != value for message, value in zip(messages, values, strict=True)]
    raw = pc.if_else(pa.array(wrong), exact, pa.scalar(None, pa.binary()))
    return pa.array(messages, pa.string()), raw


def plain_stream(body: bytes, compression: Compression) -> pa.NativeFile:
    """The object's bytes, decompressed as they are read."""
    reader = pa.BufferReader(body)
    return reader if compression == "none" else pa.CompressedInputStream(reader, compression)


def plain_size(body: bytes, compression: Compression, key: str) -> int:
    """How many bytes the object holds. Raises ExportDamaged."""
    try:
        stream = plain_stream(body, compression)
        return sum(map(len, iter(lambda: stream.read(BLOCK_BYTES), b"")))
    except (pa.ArrowException, OSError) as error:
        raise damaged(key, error) from None


def raw_blocks(
    body: bytes, compression: Compression, key: str, spans: Sequence[tuple[Origin, Span]]
) -> Iterator[RawBlock]:
    """The lines of all spans in order. Raises ExportDamaged where the object is shorter or longer."""
    try:
        stream = plain_stream(body, compression)
        for origin, span in spans:
            yield from _span_blocks(stream, key, origin, span)
        if stream.read(1):
            raise ExportDamaged(f"{key}: holds more bytes than its record names")
    except (pa.ArrowException, OSError) as error:
        raise damaged(key, error) from None


def _span_blocks(stream: pa.NativeFile, key: str, origin: Origin, span: Span) -> Iterator[RawBlock]:
    carried, position = b"", span.start
    while position < span.end:
        wanted = min(BLOCK_BYTES, span.end - position)
        read = stream.read(wanted)
        if len(read) < wanted:
            raise ExportDamaged(f"{key}: ends within the bytes of {origin.source}/{span.path}")
        position += wanted
        data = carried + read
        # What follows the last line feed waits for the rest of its line, unless it fills a block alone.
        cut = data.rfind(b"\n") + 1 if position < span.end else len(data)
        cut = cut or len(data)
        carried = data[cut:]
        yield RawBlock(origin, span, data[:cut], _bounds(data[:cut]), position - len(data))


def _bounds(data: bytes) -> NDArray[np.int64]:
    after = np.flatnonzero(np.frombuffer(data, np.uint8) == LINE_FEED) + 1
    last = [] if len(after) and after[-1] == len(data) else [len(data)]
    return np.concatenate([[0], after, last]).astype(np.int64)
