"""Columns → JSON lines: each column becomes `"name":value` text natively, then rows are joined.

Nulls are left out; `raw` is base64; timestamps are RFC 3339 in UTC with microseconds.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROWS_AT_ONCE = 65_536

CONTROLS = {bytes([code]): json.dumps(chr(code))[1:-1].encode() for code in range(0x20)}


def json_lines(rows: pa.Table) -> Iterator[bytes | memoryview]:
    """The table's rows as JSON lines, in blocks of whole lines."""
    for block in rows.to_batches(max_chunksize=ROWS_AT_ONCE):
        if not len(block):
            continue
        members = [
            _member(name, column) for name, column in zip(block.schema.names, block.columns, strict=True)
        ]
        members = [member for member in members if member is not None]
        # Every row has at least source, path, generation, offset, observed_at and eol: never empty.
        joined = pc.binary_join_element_wise(*members, ",", null_handling="skip")
        lines = pc.binary_join_element_wise("{", joined, "}\n", "")
        offsets = np.frombuffer(lines.buffers()[1], np.int32)
        yield memoryview(lines.buffers()[2])[: int(offsets[len(lines)])]


def _member(name: str, column: pa.Array) -> pa.StringArray | None:
    """`"name":value` for each row, null where the value is; None where all are."""
    if column.null_count == len(column):
        return None
    values = _json_values(column)
    return pc.binary_join_element_wise(f"{json.dumps(name)}:", values, "")


def _json_values(column: pa.Array) -> pa.StringArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        quoted = _quoted(column.dictionary)
        return quoted.take(column.indices)
    if pa.types.is_timestamp(kind):
        text = pc.strftime(column.cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%S")
        return pc.binary_join_element_wise('"', text, 'Z"', "")
    if pa.types.is_binary(kind):
        encoded = [
            None if value is None else base64.b64encode(value).decode() for value in column.to_pylist()
        ]
        return pc.binary_join_element_wise('"', pa.array(encoded, pa.string()), '"', "")
    if pa.types.is_string(kind):
        return _quoted(column)
    return column.cast(pa.string())


def _quoted(text: pa.StringArray) -> pa.StringArray:
    """JSON strings of a string array: only characters that occur are searched for."""
    for plain, escaped in _escapes(text):
        text = pc.replace_substring(text, pattern=plain, replacement=escaped)
    return pc.binary_join_element_wise('"', text, '"', "")


def _escapes(text: pa.StringArray) -> Iterator[tuple[str, str]]:
    data = text.buffers()[2]
    there = np.zeros(256, np.bool_)
    if data is not None:
        there[np.unique(np.frombuffer(data, np.uint8))] = True
    if there[ord("\\")]:
        yield "\\", "\\\\"  # first, so that it does not escape the escapes
    if there[ord('"')]:
        yield '"', '\\"'
    for control, escape in CONTROLS.items():
        if there[control[0]]:
            yield control.decode(), escape.decode()
