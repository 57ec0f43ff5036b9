"""Columns written as runs: every reader gets the rows, and what it needs to skip row groups."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.rows.body import Body
from collector.rows.chunk import Chunk
from collector.rows.footer import RowGroups
from collector.rows.runs import Run, bits_chunk, runs_chunk

TEXT, NUMBER, TIME = pa.dictionary(pa.int32(), pa.string()), pa.int32(), pa.timestamp("us", tz="UTC")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001 - hypothesis wants naive bounds
VALUES = {
    TEXT: st.text(max_size=40),
    NUMBER: st.integers(-(2**31), 2**31 - 1),
    TIME: TIMES.map(lambda time: (time.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)),
}


def runs_of(kind: pa.DataType) -> st.SearchStrategy[list[Run]]:
    """Values come again, also in the next run."""
    few = st.lists(st.one_of(st.none(), VALUES[kind]), min_size=1, max_size=5)
    return few.flatmap(
        lambda values: st.lists(
            st.tuples(st.sampled_from(values), st.integers(1, 300)), min_size=1, max_size=12
        )
    )


def file_of(kind: pa.DataType, groups: Sequence[Sequence[Run]], place: int) -> bytes:
    """A file with the column "runs" at `place` among two that Arrow writes, a row group each."""
    column = pa.field("runs", kind)
    return file_with(
        column, [(runs_chunk(column, runs), sum(count for _, count in runs)) for runs in groups], place
    )


def file_with(column: pa.Field, groups: Sequence[tuple[Chunk, int]], place: int) -> bytes:
    """The same of any chunks, with how many rows they have."""
    fields = [pa.field("a", pa.int64()), pa.field("b", pa.string())]
    schema = pa.schema([*fields[:place], column, *fields[place:]])
    body = Body()
    made = RowGroups(body)
    for chunk, rows in groups:
        columns = {"a": range(rows), "b": [str(row) for row in range(rows)]}
        theirs = arrows(pa.table(columns, schema=pa.schema(fields)))
        made.add(theirs, {place: chunk})
    made.finish(arrows(schema.empty_table()))
    return bytes(body.view())


def arrows(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=max(1, len(table)), write_page_checksum=True)
    return memoryview(sink.getvalue())


def values_of(runs: Sequence[Run], kind: pa.DataType) -> list[object]:
    values = [value for value, count in runs for _ in range(count)]
    return pa.array(values, pa.int64() if kind == TIME else None).cast(kind).to_pylist()


@settings(deadline=None)
@given(st.data())
def test_arrow_reads_what_was_said(data):
    """All rows, checksums of pages, null counts, least and greatest; the other columns are what they were."""
    kind = data.draw(st.sampled_from(list(VALUES)))
    groups = data.draw(st.lists(runs_of(kind), min_size=1, max_size=3))
    body = file_of(kind, groups, data.draw(st.integers(0, 2)))
    file = pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=True)
    for number, runs in enumerate(groups):
        read = file.read_row_group(number)
        expected = values_of(runs, kind)
        assert read["runs"].type == kind
        assert read["runs"].to_pylist() == expected
        assert read["a"].to_pylist() == list(range(len(expected)))
        assert read["b"].to_pylist() == [str(row) for row in range(len(expected))]
        chunk = file.metadata.row_group(number).column(read.schema.get_field_index("runs"))
        there = [value for value in expected if value is not None]
        known = chunk.statistics
        assert (known.null_count, known.num_values) == (len(expected) - len(there), len(there))
        if there:
            assert known.has_min_max
            assert (known.min, known.max) == (min(there), max(there))
    sizes = file.metadata.row_group(0)
    columns = [sizes.column(number) for number in range(3)]
    assert sizes.total_byte_size == sum(column.total_uncompressed_size for column in columns)


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_duckdb_reads_what_was_said(data, tmp_path_factory):
    """Also with a filter, for which it looks at statistics and dictionaries first."""
    kind = data.draw(st.sampled_from([TEXT, NUMBER]))
    groups = data.draw(st.lists(runs_of(kind), min_size=1, max_size=3))
    path = tmp_path_factory.mktemp("runs") / "file.parquet"
    path.write_bytes(file_of(kind, groups, 1))
    expected = [value for runs in groups for value in values_of(runs, kind)]
    assert read_by_duckdb(path, "TRUE") == expected
    for value in {value for value in expected if value is not None}:
        assert read_by_duckdb(path, "runs = $1", value) == [each for each in expected if each == value]
    assert read_by_duckdb(path, "runs IS NULL") == [None] * expected.count(None)


def read_by_duckdb(path: Path, where: str, *values: object) -> list[object]:
    query = f"SELECT runs FROM read_parquet('{path}', file_row_number = true) WHERE {where}"  # noqa: S608
    found = duckdb.execute(f"{query} ORDER BY file_row_number", list(values)).fetchall()
    return [value for (value,) in found]


@pytest.mark.parametrize(
    "runs",
    [
        [("one", 1)],
        [(None, 1)],
        [("long" * 100, 200_000)],
        [(f"{number:04}", number + 1) for number in range(600)],
        [(None, 7000), ("", 7000), (None, 1), ("\u00e9\U0001f600", 1)],
    ],
    ids=["a row", "a null", "many rows", "indices of ten bits", "nulls and empty texts"],
)
def test_the_ends_of_what_there_is(runs, tmp_path):
    body = file_of(TEXT, [runs], 0)
    assert pq.read_table(pa.BufferReader(body))["runs"].to_pylist() == values_of(runs, TEXT)
    path = tmp_path / "file.parquet"
    path.write_bytes(body)
    assert read_by_duckdb(path, "TRUE") == values_of(runs, TEXT)


@pytest.mark.parametrize("least", [-1, 0], ids=["nulls", "no nulls"])
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_bits_are_read_as_texts(data, least, tmp_path_factory):
    """Of any number of rows, in any order: by Arrow and DuckDB, also with a filter."""
    few = st.lists(st.tuples(st.integers(least, 1), st.integers(1, 70)), min_size=1, max_size=40)
    groups = [np.repeat(*np.array(data.draw(few), np.int64).T).astype(np.int8) for _ in range(2)]
    column, texts = pa.field("runs", pa.string()), ("stdout", "\u00e9")
    body = file_with(column, [(bits_chunk(column, texts, codes), len(codes)) for codes in groups], 1)
    expected = [texts[code] if code >= 0 else None for codes in groups for code in codes.tolist()]
    file = pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=True)
    assert file.read()["runs"].to_pylist() == expected
    first = file.metadata.row_group(0).column(1).statistics
    assert first.null_count == np.count_nonzero(groups[0] < 0)
    path = tmp_path_factory.mktemp("bits") / "file.parquet"
    path.write_bytes(body)
    assert read_by_duckdb(path, "TRUE") == expected
    assert read_by_duckdb(path, "runs = $1", texts[1]) == [each for each in expected if each == texts[1]]
