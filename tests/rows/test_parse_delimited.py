"""Delimited text becomes columns: as `str.split` has it, or `csv` where there are quotes."""

import csv

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from collector.model import DelimiterSettings, ParseSettings, TimeSettings
from collector.rows.parse.delimited import Delimited
from collector.rows.parse.parser import Parser, blocks_of

FIELDS = ("a", "b", "c")


def expected(row, settings):
    """The fields of a row, or None where their number is another."""
    if settings.quote is None or settings.quote not in row:
        fields = row.split(settings.separator)
    else:
        try:
            (fields,) = csv.reader([row], delimiter=settings.separator, quotechar=settings.quote, strict=True)
        except (csv.Error, ValueError):
            return None
    return fields if len(fields) == len(FIELDS) else None


@pytest.mark.parametrize("separator", [",", "\t", "|", "]", "^", "é"])
@given(st.data(), st.sampled_from([None, '"', "'"]))
@hypothesis_settings(max_examples=80, deadline=None)
def test_fields_are_those_of_split_and_csv(separator, data, quote):
    """Any text: quotes in the middle, line feeds, not ASCII, too few and too many fields."""
    rows = data.draw(st.lists(st.text(alphabet=f"ab\"'\n\ré {separator}", max_size=12), max_size=8))
    settings = DelimiterSettings(separator, FIELDS, quote)
    columns, matched = Delimited(settings, FIELDS).extract(pa.array(rows, pa.string()))
    wanted = [expected(row, settings) for row in rows]
    assert matched.tolist() == [row is not None for row in wanted]
    found = zip(*(column.to_pylist() for column in columns), strict=True)
    assert list(found) == [tuple(row) if row else (None,) * 3 for row in wanted]


def test_only_lines_that_were_wholly_understood_are_dropped():
    """What does not match, or has a value of another type, keeps its line, and is counted."""
    settings = ParseSettings(
        (("a", "string"), ("b", "int64")),
        delimiter=DelimiterSettings(",", ("a", "b", "c")),
        time=TimeSettings("c", "epoch"),
        keep_message=False,
    )
    rows = ["x,1,5", "x,y,5", "x,1,then", "x,1", "x,-,"]
    parsed = Parser(settings).parse(pa.array(rows))
    assert parsed.message.to_pylist() == [None, *rows[1:4], None]
    assert parsed.unparsed == 3
    assert parsed.columns["b"].to_pylist() == [1, None, 1, None, None]
    assert parsed.columns["time"].cast(pa.int64()).to_pylist() == [5_000_000, 5_000_000, None, None, None]


@given(st.lists(st.integers(0, 3 << 20), max_size=5))
@hypothesis_settings(max_examples=20, deadline=None)
def test_blocks_are_all_rows_in_order(sizes):
    """However long a row is, each block has at least one."""
    message = pa.array(["x" * size for size in sizes], pa.string())
    blocks = list(blocks_of(message))
    assert all(len(block) for block in blocks)
    assert pa.chunked_array(blocks, pa.string()).combine_chunks().equals(message)
