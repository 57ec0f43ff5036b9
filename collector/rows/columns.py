"""Rows → what they say: message, exact bytes, time and stream; redacted where it is to be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.decoded import Decoded
from collector.model import BatchSettings, Lines
from collector.rows.block import Block, gathered
from collector.rows.packed import rows_for_room
from collector.rows.redact import redact
from collector.rows.schema import NO_STREAM, UTC_MICROSECONDS
from collector.rows.utf8 import messages


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """One element a row; None: all null. `stream` is a number of `STREAMS`, negative for null. `content` is
    there where rows may not hold the bytes of the file: each row's bytes, with a line feed where one follows.
    `repaired` rows were no UTF-8; `redacted` counts matches. `has_room`: nobody reads what the memory of
    `message` has before the first row.
    """

    message: pa.StringArray | None = None
    raw: pa.BinaryArray | None = None
    time: pa.TimestampArray | None = None
    stream: NDArray[np.int8] | None = None
    content: pa.BinaryArray | None = None
    repaired: int = 0
    redacted: int = 0
    has_room: bool = False

    def content_of(self, first: int, stop: int) -> memoryview:
        """The content of the rows [first, stop), joined."""
        assert self.content is not None  # noqa: S101 - asked for only where it is there
        _, offsets, data = self.content.buffers()
        bounds = np.frombuffer(offsets, np.int32)
        return memoryview(data if data is not None else b"")[bounds[first] : bounds[stop]]


def columns_of(arena: NDArray[np.uint8], lines: Lines, settings: BatchSettings) -> Columns:
    """The columns of all rows; none for raw objects, which hold the bytes of files."""
    if settings.format == "raw":
        return Columns()
    decoded = lines.decoded
    text = arena if decoded is None or decoded.text is None else decoded.text
    has_room = settings.format == "parquet" and settings.parse is None and not settings.redact
    twice = rows_for_room(lines.ends - lines.starts) if has_room else 0
    message, raw, repaired = messages(text, lines, twice)
    message, raw, redacted = redact(message, raw, settings.redact)
    time, stream = (None, None) if decoded is None else _header(decoded)
    content = None
    if settings.changes_rows and not redacted:
        # Rows are as in the file, but for headers; behind each that has a line feed stands one.
        content = gathered(Block(text, lines.starts), lines.starts, lines.ends + lines.eol)
    elif settings.changes_rows:
        content = _content(message, raw, lines.eol)
    return Columns(message, raw, time, stream, content, repaired, redacted, has_room)


def _header(decoded: Decoded) -> tuple[pa.TimestampArray, NDArray[np.int8]]:
    if not decoded.malformed.any():
        return pa.array(decoded.time_us).cast(UTC_MICROSECONDS), decoded.stream
    time = pa.array(decoded.time_us, mask=decoded.malformed).cast(UTC_MICROSECONDS)
    return time, np.where(decoded.malformed, np.int8(NO_STREAM), decoded.stream)


def _content(message: pa.StringArray, raw: pa.BinaryArray | None, eol: NDArray[np.bool_]) -> pa.BinaryArray:
    held = message.view(pa.binary())
    held = held if raw is None else pc.coalesce(raw, held)
    ends = pa.array([b"", b"\n"], pa.binary()).take(pa.array(eol.view(np.int8)))
    return pc.binary_join_element_wise(held, ends, b"")
