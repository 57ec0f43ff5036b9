"""The export's columns: names, types and order (DESIGN of the export: docs/export-format.md)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from collector.model import FieldType

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
TEXT = pa.dictionary(pa.int32(), pa.string())

ORIGIN_COLUMNS = ("namespace", "job", "pod", "container", "pod_ip", "node_ip", "node", "cronjob")
"""Columns that stand in `Origin` under the same name and are dictionary-encoded."""

COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    *((name, TEXT) for name in ORIGIN_COLUMNS),
    ("scheduled_at", UTC_MICROSECONDS),
    ("source", TEXT),
    ("path", TEXT),
    ("generation", pa.int32()),
    ("offset", pa.int64()),
    ("observed_at", UTC_MICROSECONDS),
    ("time", UTC_MICROSECONDS),
    ("stream", pa.string()),
    ("message", pa.string()),
    ("raw", pa.binary()),
    ("eol", pa.bool_()),
)

STREAMS = ("stdout", "stderr")
NO_STREAM = -1
"""In place of the number of one of them: null."""

PLAIN_COLUMNS = ("message", "raw")
"""Columns whose values hardly repeat: a dictionary would only cost."""

UNSORTED_COLUMNS = (
    *PLAIN_COLUMNS,
    "container",
    "pod_ip",
    "node_ip",
    "node",
    "cronjob",
    "generation",
    "eol",
)
"""Columns whose minimum and maximum let no reader skip anything: nearly every row group has all values."""

BLOOM_COLUMNS = ("job", "pod")
"""Columns that readers ask for one value of, where minimum and maximum span nearly all: names of Jobs end at
random.
"""

PARSED_TYPES: dict[FieldType, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": UTC_MICROSECONDS,
}


def schema(fields: Sequence[str], parsed: Sequence[tuple[str, FieldType]] = ()) -> pa.Schema:
    """The schema of an object whose layout has the further fields `fields`, in layout order, and behind them
    what `parse` adds.
    """
    further = ((name, PARSED_TYPES[kind]) for name, kind in parsed)
    return pa.schema([*COLUMNS, *((name, TEXT) for name in fields), *further])
