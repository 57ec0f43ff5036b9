"""How many rows there are of what: a question to the columns, as any Parquet engine would answer it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from collector.records import DATA
from collector.sink.store import Store


def count_rows(store: Store, by: Sequence[str]) -> list[tuple[str | int, ...]]:
    """The values of the columns `by`, with the number of rows, most first. Of Parquet objects only."""
    keys = [entry.key for entry in store.list(DATA) if entry.key.endswith(".parquet")]
    tables = [pq.read_table(pa.BufferReader(store.get(key)), columns=list(by)) for key in keys]
    if not tables:
        return []
    # Dictionaries differ from object to object: as plain text the tables fit together.
    plain = [table.cast(pa.schema([(name, pa.string()) for name in by])) for table in tables]
    counted = pa.concat_tables(plain).group_by(list(by)).aggregate([([], "count_all")])
    counted = counted.sort_by([("count_all", "descending"), *((name, "ascending") for name in by)])
    return [tuple(row[name] for name in (*by, "count_all")) for row in counted.to_pylist()]
