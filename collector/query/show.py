"""Rows as people and scripts read them: the exact bytes, lines with a prefix, or JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.query.rows import content, joined

ROWS_AT_ONCE = 4096


def exact_bytes(rows: pa.RecordBatch) -> memoryview:
    """The rows' bytes as they stood in the file."""
    data, bounds = joined(content(rows))
    return data[bounds[0] : bounds[-1]]


def prefixed_bytes(rows: pa.RecordBatch, prefix: str, *, timestamps: bool, begun: bool) -> memoryview:
    """The same with `prefix`, and when it was observed, before each line. `begun` says that the line
    before was not ended, so that the first row only continues it.
    """
    binary = pa.large_binary()
    parts = [pa.scalar(prefix.encode(), binary)]
    if timestamps:
        parts += [_rfc3339(rows["observed_at"]).cast(binary), pa.scalar(b" ", binary)]
    before = pc.binary_join_element_wise(*parts, pa.scalar(b"", binary))
    eol = rows["eol"].to_numpy(zero_copy_only=False)
    begins = np.concatenate([[not begun], eol[:-1]])
    empty = pa.scalar(b"", binary)
    heads = pc.if_else(pa.array(begins), before, empty)
    data, bounds = joined(pc.binary_join_element_wise(heads, content(rows), empty))
    return data[bounds[0] : bounds[-1]]


def ends_line(rows: pa.RecordBatch) -> bool:
    return bool(rows["eol"][len(rows) - 1].as_py())


def json_lines(rows: pa.RecordBatch) -> Iterator[str]:
    """A JSON object for each row with all its columns: times as RFC 3339, `raw` as base64."""
    columns = {
        name: _rfc3339(column) if pa.types.is_timestamp(column.type) else column
        for name, column in zip(rows.schema.names, rows.columns, strict=True)
    }
    plain = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    for start in range(0, len(plain), ROWS_AT_ONCE):
        for row in plain.slice(start, ROWS_AT_ONCE).to_pylist():
            yield json.dumps(row, ensure_ascii=False, default=_text) + "\n"


def _text(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _rfc3339(times: pa.Array) -> pa.StringArray:
    # Without its zone, which is UTC: naming one would need a time zone database on the machine.
    naive = times.cast(pa.timestamp("us"))
    return pc.binary_join_element_wise(pc.strftime(naive, format="%Y-%m-%dT%H:%M:%S"), "Z", "")
