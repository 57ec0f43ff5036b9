"""Columns → JSON lines, laid out by one gather for each block of rows.

Nulls are left out; `raw` is base64; timestamps are RFC 3339 in UTC with microseconds.

Rows that follow each other have most of their columns in common: they are of one read of one file. What is
the same in a whole run of rows is written once for the run; what is not (offset, message, …) once for each
row. A line is a sequence of such texts: all texts of a block form one column, of which a `take` makes the
lines.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.rows.block import Block
from collector.rows.schema import ORIGIN_COLUMNS, PLAIN_COLUMNS

ROWS_AT_ONCE = 16384
BYTES_AT_ONCE = 2 << 20
"""A block is so many rows, and about so many bytes, as columns: its text passes through several copies, and
becomes up to six times as long.
"""

LEAST_RUN_ROWS = 8
"""A column whose value changes more often than every so many rows, on average, is written row by row."""

QUOTE, BACKSLASH = b'"\\'
CONTROLS = tuple(json.dumps(chr(code))[1:-1].encode() for code in range(0x20))

DISTINCT_COLUMNS = (*PLAIN_COLUMNS, "offset")
"""Columns whose values hardly repeat."""

FILE_COLUMNS = (*ORIGIN_COLUMNS, "scheduled_at", "source", "path", "generation")
"""The first columns. They change with the file only, however few rows of each come together."""

Positions = NDArray[np.int64]


def json_lines(rows: pa.Table) -> Iterator[memoryview]:
    """The table's rows as JSON lines, in blocks of whole lines."""
    at_once = min(ROWS_AT_ONCE, max(1, len(rows) * BYTES_AT_ONCE // max(rows.nbytes, 1)))
    for block in rows.to_batches(max_chunksize=at_once):
        if len(block):
            yield _lines(block)


def _lines(block: pa.RecordBatch) -> memoryview:
    columns = [
        (name, column)
        for name, column in zip(block.schema.names, block.columns, strict=True)
        if column.null_count < len(column)
    ]
    shared = {name: found for name, column in columns if (found := _Shared.of(name, column)) is not None}
    starts = np.unique(
        np.concatenate([np.zeros(1, np.int64), *(column.changes for column in shared.values())])
    )
    run_of_row = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(block)))
    pieces: list[tuple[pa.BinaryArray, Positions]] = []
    runs = [""] * len(starts)
    for name, column in columns:
        if name in shared:
            members = shared[name].members(_label(name), starts)
            runs = [run + member for run, member in zip(runs, members, strict=True)]
            continue
        if not pieces:  # `source` is in each row, so each run has a member, which begins with a comma
            runs = ["{" + run[1:] for run in runs]
        before, own, after = _own(name, column)
        pieces.append((_texts(runs, before), run_of_row))
        pieces.append((own, np.arange(len(block))))
        runs = [after] * len(starts)
    pieces.append((_texts(runs, "}\n"), run_of_row))
    return _gathered(pieces)


@dataclass(frozen=True, slots=True, eq=False)
class _Shared:
    """A column whose values stand in many rows each: `codes` say which of `values`, -1 for null."""

    values: pa.Array
    codes: NDArray[np.int32]
    changes: Positions

    @classmethod
    def of(cls, name: str, column: pa.Array) -> _Shared | None:
        """None where each row is to have its own text."""
        if name in DISTINCT_COLUMNS:
            return None
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        codes = (encoded.indices.fill_null(-1) if column.null_count else encoded.indices).to_numpy()
        changes = np.flatnonzero(codes[1:] != codes[:-1]) + 1
        if name not in FILE_COLUMNS and len(changes) > len(column) // LEAST_RUN_ROWS:
            return None
        return cls(encoded.dictionary, codes, changes)

    def members(self, label: str, starts: Positions) -> list[str]:
        """`,"name":value` for each run, nothing where the value is null."""
        codes = self.codes[starts].tolist()
        used = sorted(set(codes) - {-1})
        told = dict(zip(used, _told(self.values.take(pa.array(used, pa.int32()))), strict=True))
        return [label + told[code] if code >= 0 else "" for code in codes]


def _told(values: pa.Array) -> list[str]:
    """Each value as JSON has it."""
    if pa.types.is_string(values.type):
        return [encode_basestring(value) for value in values.to_pylist()]
    text, quote = _text(values)
    return [f"{quote}{value.decode()}{quote}" for value in text.to_pylist()]


def _texts(runs: Sequence[str], end: str) -> pa.BinaryArray:
    return pa.array([(run + end).encode() for run in runs], pa.binary())


def _gathered(pieces: Sequence[tuple[pa.BinaryArray, Positions]]) -> memoryview:
    """Row by row, of each piece in turn the text that its codes give the row."""
    texts = pa.concat_arrays([texts for texts, _ in pieces])
    at = np.cumsum([0, *(len(texts) for texts, _ in pieces[:-1])])
    order = np.column_stack([codes + first for (_, codes), first in zip(pieces, at.tolist(), strict=True)])
    laid = texts.take(pa.array(order.ravel()))
    return memoryview(laid.buffers()[2])[: int(np.frombuffer(laid.buffers()[1], np.int32)[len(laid)])]


def _own(name: str, column: pa.Array) -> tuple[str, pa.BinaryArray, str]:
    """What comes before, in and behind the value of each row."""
    text, quote = _text(column)
    if not column.null_count:
        return _label(name) + quote, text, quote
    named = pc.binary_join_element_wise((_label(name) + quote).encode(), text, quote.encode(), b"")
    return "", pc.if_else(column.is_valid(), named, b""), ""


def _label(name: str) -> str:
    return f",{json.dumps(name)}:"


def _text(values: pa.Array) -> tuple[pa.BinaryArray, str]:
    """Each value as JSON has it, without the quotes; the quote."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_timestamp(kind):
        return _times(values), '"'
    if pa.types.is_binary(kind):
        encoded = [None if value is None else base64.b64encode(value) for value in values.to_pylist()]
        return pa.array(encoded, pa.binary()), '"'
    if pa.types.is_string(kind):
        return _escaped(values.fill_null("") if values.null_count else values), '"'
    return values.cast(pa.string()).view(pa.binary()), ""


def _times(values: pa.TimestampArray) -> pa.BinaryArray:
    """`2026-11-22 12:00:00.000000` becomes `2026-11-22T12:00:00.000000Z`: no other part of it is a space."""
    text = values.cast(pa.timestamp("us")).cast(pa.string()).view(pa.binary())
    return pc.binary_join_element_wise(pc.replace_substring(text, pattern=" ", replacement="T"), b"Z", b"")


def _escaped(text: pa.StringArray) -> pa.BinaryArray:
    """The insides of JSON strings: only characters that occur are looked for, in all texts at once."""
    block = Block.of(text)
    data, bounds = block.data, block.bounds
    special = data == QUOTE
    special |= data == BACKSLASH
    at = np.flatnonzero(special)
    if len(at):
        bounds = bounds + np.searchsorted(at, bounds)
        data = _with_backslashes(data, at)
    if len(data) and data.min() < len(CONTROLS):
        data, bounds = _without_controls(data, bounds)
    buffers = [None, pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(data)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(text), buffers)


def _with_backslashes(data: NDArray[np.uint8], at: Positions) -> NDArray[np.uint8]:
    """One before each of these places: what lies between them is joined, which takes half as long as to
    replace, and in Arrow's memory.
    """
    edges = np.empty(len(at) + 2, np.int32)
    edges[0], edges[1:-1], edges[-1] = 0, at, len(data)
    buffers = [None, pa.py_buffer(edges), pa.py_buffer(data)]
    pieces = pa.BinaryArray.from_buffers(pa.binary(), len(at) + 1, buffers)
    lines = pa.ListArray.from_arrays(pa.array([0, len(pieces)], pa.int32()), pieces)
    joined = pc.binary_join(lines, b"\\")
    return np.frombuffer(joined.buffers()[2], np.uint8, len(data) + len(at))


def _without_controls(data: NDArray[np.uint8], bounds: Positions) -> tuple[NDArray[np.uint8], Positions]:
    """What replaces one has backslashes that are not to be escaped: so this comes last."""
    moved, plain = bounds, data.tobytes()
    for control in np.unique(data[data < len(CONTROLS)]).tolist():
        at = np.flatnonzero(data == control)
        moved = moved + (len(CONTROLS[control]) - 1) * np.searchsorted(at, bounds)
        plain = plain.replace(bytes([control]), CONTROLS[control])
    return np.frombuffer(plain, np.uint8), moved
