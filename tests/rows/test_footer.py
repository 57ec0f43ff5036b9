"""Row groups that were made apart become the file that one writer would have made of them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.rows.body import Body
from collector.rows.footer import RowGroups

MANY = 40
"""Far more row groups than the short form of a list counts."""

columns = st.lists(
    st.tuples(
        st.one_of(st.none(), st.text(max_size=300)),
        st.sampled_from(["a", "b", None]),
        st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        st.floats(allow_nan=False),
        st.booleans(),
    ),
    max_size=30,
)


def table(rows: Sequence[tuple[object, ...]]) -> pa.Table:
    kinds = [pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.int64(), pa.float64(), pa.bool_()]
    names = ["message", "job", "offset", "took", "eol"]
    values = zip(*rows, strict=True) if rows else ((),) * len(kinds)
    return pa.table([pa.array(list(v), k) for v, k in zip(values, kinds, strict=True)], names=names)


def written(tables: Sequence[pa.Table], **properties: object) -> bytes:
    """The file that one writer makes, a row group a table."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, tables[0].schema, write_page_checksum=True, **properties) as writer:
        for each in tables:
            writer.write_table(each, row_group_size=max(1, len(each)))
    return sink.getvalue().to_pybytes()


def joined(tables: Sequence[pa.Table], **properties: object) -> bytes:
    """The same from one file a table."""
    body = Body()
    groups = RowGroups(body)
    for each in tables:
        groups.add(memoryview(written([each], **properties)))
    groups.finish(memoryview(written([tables[0].slice(0, 0)], **properties)))
    return bytes(body.view())


@settings(deadline=None)  # native writers, on a machine that may be busy
@given(st.lists(columns, min_size=1, max_size=4), st.sampled_from(["zstd", "gzip", "none"]))
def test_the_same_bytes_as_of_one_writer(drawn, compression):
    """Whatever is in the columns, with statistics and dictionaries, at any place in the file."""
    tables = [table(rows) for rows in drawn]
    assert joined(tables, compression=compression) == written(tables, compression=compression)


@pytest.mark.parametrize("groups", [1, 2, 14, 15, 16, MANY])
def test_any_number_of_row_groups(groups: int):
    """Also where the list of row groups has a long header."""
    tables = [table([("x" * (number + 1), "job", number, 0.5, True)] * 10) for number in range(groups)]
    made = joined(tables)
    assert made == written(tables)
    assert pq.read_table(pa.BufferReader(made)) == pa.concat_tables(tables)


def test_offsets_of_several_bytes():
    """Row groups of some hundred kilobytes: each offset behind the first takes more bytes than before."""
    tables = [
        table([(f"{number}-{row:x}" * 9, None, row, 1.0, False) for row in range(5000)])
        for number in range(3)
    ]
    assert joined(tables) == written(tables)


def bloom_filter(file: bytes, group: int) -> bytes:
    """Where the footer says that the one of the column `job` lies."""
    column = pq.read_metadata(pa.BufferReader(file)).row_group(group).column(1)
    return file[column.bloom_filter_offset :][: column.bloom_filter_length]


def test_bloom_filters_move_with_their_row_group():
    """Each stands where its row group's description says, as in the file that it was made in."""
    tables = [table([(None, name, 1, 0.5, True) for name in f"{number}abc"]) for number in range(3)]
    options = {"bloom_filter_options": {"job": {"ndv": 4, "fpp": 0.01}}}
    made = joined(tables, **options)
    for number, each in enumerate(tables):
        alone = bloom_filter(written([each], **options), 0)
        assert bloom_filter(made, number) == alone != b""
    assert pq.read_table(pa.BufferReader(made)).to_pylist() == pa.concat_tables(tables).to_pylist()
