"""The columns that `parse` adds to the rows of a batch, made from their messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.model import FieldType, ParseSettings
from collector.rows.parse.convert import convert
from collector.rows.parse.delimited import Delimited
from collector.rows.parse.json_lines import JsonLines
from collector.rows.parse.regex import Regex
from collector.rows.parse.times import EPOCHS, time_reader
from collector.rows.schema import PARSED_TYPES, UTC_MICROSECONDS

BLOCK_BYTES = 2 << 20
"""Messages are read in blocks of about so many bytes, half of the largest arena. What is made of one lies in
memory that was used before; of twice as much, the C library gives it back after each block and takes it
again. A block has some hundred calls into numpy, however small it is: half of this took a tenth longer.
"""

BLOCK_ROWS = 1 << 16
"""And at most so many rows, however short: what `re` finds are Python's strings for a moment."""


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """`columns` are those of the settings, by name, and `time` where a field fills it. `message` is null
    where the fields say it all and it need not be kept. `unparsed` counts rows that did not match, or have a
    value that could not be converted.
    """

    columns: dict[str, pa.ChunkedArray]
    message: pa.ChunkedArray
    unparsed: int


class Parser:
    """Made once for each object: the pattern is compiled, and formats are read, here.

    `columns` are those that it adds to the export; `names` those that it fills, `time` perhaps among them.
    """

    def __init__(self, settings: ParseSettings) -> None:
        self._settings = settings
        self.columns = settings.columns
        self._fields = list(settings.columns)
        time = settings.time
        if time and time.field not in dict(settings.columns):
            self._fields.append((time.field, _natural(time.format) if settings.json else "string"))
        names = [name for name, _ in self._fields]
        self._json = JsonLines(self._fields) if settings.json else None
        self._text = _texts(settings, names)
        self._time_at = names.index(time.field) if time else None
        self._time = time_reader(time.format) if time else None
        self.names = [*dict(settings.columns), *(["time"] if time else [])]

    def parse(self, message: pa.StringArray) -> Parsed:
        blocks = [self._block(rows) for rows in blocks_of(message)]
        columns = {
            name: pa.chunked_array([block[0][index] for block in blocks], self._kind(name))
            for index, name in enumerate(self.names)
        }
        kept = pa.chunked_array([block[1] for block in blocks], pa.string())
        return Parsed(columns, kept, sum(block[2] for block in blocks))

    def _kind(self, name: str) -> pa.DataType:
        kind = dict(self._settings.columns).get(name)
        return PARSED_TYPES[kind] if kind else UTC_MICROSECONDS

    def _block(self, rows: pa.StringArray) -> tuple[list[pa.Array], pa.StringArray, int]:
        found, good = self._found(rows)
        columns = []
        for column, (_, kind) in zip(found, self._settings.columns, strict=False):
            values, failed = convert(column, kind) if pa.types.is_string(column.type) else (column, None)
            columns.append(values)
            if failed is not None:
                good &= ~failed
        if self._time and self._time_at is not None:
            values, failed = self._time(found[self._time_at])
            columns.append(values)
            good &= ~failed
        unparsed = len(rows) - int(np.count_nonzero(good))
        return columns, self._kept(rows, good), unparsed

    def _found(self, rows: pa.StringArray) -> tuple[list[pa.Array], NDArray[np.bool_]]:
        """The fields, as text or typed already, and which rows are good so far."""
        if self._json:
            columns, matched, failed = self._json.extract(rows)
            return columns, matched & ~failed
        columns, matched = self._text.extract(rows)
        return columns, matched.copy()

    def _kept(self, rows: pa.StringArray, good: NDArray[np.bool_]) -> pa.StringArray:
        if self._settings.keep_message:
            return rows
        if good.all():
            return pa.nulls(len(rows), pa.string())
        return pc.if_else(pa.array(good), pa.scalar(None, pa.string()), rows)


def _texts(settings: ParseSettings, names: list[str]) -> Regex | Delimited:
    if settings.delimiter is not None:
        return Delimited(settings.delimiter, names)
    return Regex(settings.regex or "", names if settings.regex is not None else [])


def _natural(time_format: str) -> FieldType:
    """As what JSON has a time that is no column of its own."""
    if time_format not in EPOCHS:
        return "string"
    return "float64" if time_format == "epoch" else "int64"


def blocks_of(message: pa.StringArray) -> Iterator[pa.StringArray]:
    """Runs of rows of about BLOCK_BYTES each; at least one row."""
    offsets = np.frombuffer(message.buffers()[1], np.int32)[
        message.offset : message.offset + len(message) + 1
    ]
    start = 0
    while start < len(message):
        stop = int(np.searchsorted(offsets, int(offsets[start]) + BLOCK_BYTES, side="right")) - 1
        stop = min(max(stop, start + 1), start + BLOCK_ROWS, len(message))
        yield message.slice(start, stop - start)
        start = stop
