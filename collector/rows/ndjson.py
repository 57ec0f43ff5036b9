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

from collector.rows.schema import PLAIN_COLUMNS

ROWS_AT_ONCE = 8192
BYTES_AT_ONCE = 1 << 20
"""A block is so many rows, and about so many bytes, as columns: its text passes through several copies, and
becomes up to six times as long.
"""

CONTROLS = tuple(json.dumps(chr(code))[1:-1] for code in range(0x20))

DISTINCT_COLUMNS = (*PLAIN_COLUMNS, "offset")
"""Columns whose values hardly repeat."""


def json_lines(rows: pa.Table) -> Iterator[bytes | memoryview]:
    """The table's rows as JSON lines, in blocks of whole lines."""
    at_once = min(ROWS_AT_ONCE, max(1, len(rows) * BYTES_AT_ONCE // max(rows.nbytes, 1)))
    for block in rows.to_batches(max_chunksize=at_once):
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
    if name in DISTINCT_COLUMNS:
        return _named(name, column)
    # What repeats is written once; rows only take it.
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return _named(name, encoded.dictionary).take(encoded.indices)


def _named(name: str, values: pa.Array) -> pa.StringArray:
    label, kind = f"{json.dumps(name)}:", values.type
    if pa.types.is_timestamp(kind):
        text = pc.strftime(values.cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%S")
        return pc.binary_join_element_wise(f'{label}"', text, 'Z"', "")
    if pa.types.is_binary(kind):
        encoded = [
            None if value is None else base64.b64encode(value).decode() for value in values.to_pylist()
        ]
        return pc.binary_join_element_wise(f'{label}"', pa.array(encoded, pa.string()), '"', "")
    if pa.types.is_string(kind):
        return pc.binary_join_element_wise(f'{label}"', _escaped(values), '"', "")
    return pc.binary_join_element_wise(label, values.cast(pa.string()), "")


def _escaped(text: pa.StringArray) -> pa.StringArray:
    """The insides of JSON strings: only characters that occur are searched for."""
    for plain, escaped in _escapes(text):
        text = pc.replace_substring(text, pattern=plain, replacement=escaped)
    return text


def _escapes(text: pa.StringArray) -> Iterator[tuple[str, str]]:
    data = np.frombuffer(text.buffers()[2] or b"", np.uint8)
    if (data == ord("\\")).any():
        yield "\\", "\\\\"  # first, so that it does not escape the escapes
    if (data == ord('"')).any():
        yield '"', '\\"'
    for control in np.unique(data[data < len(CONTROLS)]).tolist():
        yield chr(control), CONTROLS[control]
