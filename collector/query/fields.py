"""What `parse` made of lines: further columns, and what is shown where the line itself was not kept."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.model import BatchSettings, FieldType

FIELD_TYPES: dict[FieldType, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def field_columns(settings: BatchSettings) -> dict[str, pa.DataType]:
    """The columns that `parse` fills, `time` perhaps among them; none where nothing is parsed."""
    parse = settings.parse
    if parse is None:
        return {}
    filled = {name: FIELD_TYPES[kind] for name, kind in parse.columns}
    return {**filled, "time": FIELD_TYPES["timestamp"]} if parse.time else filled


def with_text(rows: pa.RecordBatch, settings: BatchSettings) -> pa.RecordBatch:
    """The rows with their fields as JSON for a message where the line was not kept; nulls are left out."""
    if not settings.drops_messages:
        return rows
    absent = np.asarray(pc.and_(pc.is_null(rows["message"]), pc.is_null(rows["raw"])))
    if not absent.any():
        return rows
    mask = pa.array(absent)
    fields = rows.select(list(field_columns(settings))).filter(mask).to_pylist()
    texts = pa.array([_json({k: v for k, v in row.items() if v is not None}) for row in fields], pa.string())
    message = pc.replace_with_mask(rows["message"], mask, texts)
    return rows.set_column(rows.schema.get_field_index("message"), "message", message)


def _json(row: dict[str, object]) -> str:
    return json.dumps(row, ensure_ascii=False, default=str)
