"""How a Parquet column of unknown content is written is told by a sample of its first rows."""

import random
from dataclasses import replace

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arenas import Read, Reader, settings
from hypothesis import given
from hypothesis import strategies as st
from objects import object_rows

from collector.model import FileId, ParseSettings
from collector.rows.batch import Batch
from collector.rows.encodings import LONGEST_CONSTANT, constants, encodings

ROWS = 100_000


@pytest.mark.parametrize(
    ("distinct", "repeats"), [(1, True), (5, True), (1_000, True), (20_000, False), (10**9, False)]
)
@pytest.mark.parametrize("rows", [1_000, 10_000, ROWS])
def test_what_repeats_has_a_dictionary(distinct, repeats, rows):
    """Also where only the whole sample tells that it does; what does not is plain, or differences if it is of
    numbers. A group of fewer rows repeats only what a quarter of its sample can name.
    """
    draw = random.Random(distinct)  # noqa: S311 - no secret
    numbers = [draw.randrange(distinct) for _ in range(rows)]
    table = pa.table(
        {"number": numbers, "text": [f"{number:x}" for number in numbers], "none": [None] * rows}
    )
    found = encodings(table.cast(table.schema.set(2, pa.field("none", pa.string()))), table.schema.names)
    if repeats and (distinct < 1_000 or rows == ROWS):
        assert found == (["number", "text"], {})
    else:
        assert found == ([], {"number": "DELTA_BINARY_PACKED"})


def test_rows_of_one_value_after_the_other():
    """A column that changes every thousand rows repeats, though its first rows name one value only."""
    table = pa.table({"second": [row // 1_000 for row in range(ROWS)]})
    assert encodings(table, ["second"]) == (["second"], {})


@given(st.lists(st.lists(st.sampled_from(["-", "", "é", "ab", "aba", "b", None]), max_size=4), max_size=3))
def test_a_column_is_constant_if_all_rows_say_the_same(chunks):
    """Whatever chunks they lie in, and slices of larger ones."""
    column = pa.chunked_array(
        [pa.array(["é", *chunk], pa.string()).slice(1) for chunk in chunks], pa.string()
    )
    said = {value for chunk in chunks for value in chunk}
    found = constants(pa.table({"said": column}), ["said"])
    assert found == ({"said": [(said.pop(), len(column))]} if len(said) == 1 else {})


def test_what_has_no_place_in_a_footer_is_no_constant():
    """Nor is what is no text."""
    rows = pa.table({"long": ["x" * (LONGEST_CONSTANT + 1)] * 3, "number": [1] * 3, "short": ["x"] * 3})
    assert constants(rows, rows.schema.names) == {"short": [("x", 3)]}


LINES = {
    "constant": b"1.2.3.4 - GET HTTP/1.1 200\n" * 300,
    "nearly": b"1.2.3.4 - GET HTTP/1.1 200\n" * 299 + b"1.2.3.4 x GET HTTP/1.1 200\n",
    "lengths": b"1.2.3.4 - GE THTTP/1.1 200\n1.2.3.4 - GET HTTP/1.1 200\n" * 100,
    "unparsed": b"1.2.3.4 - GET HTTP/1.1 200\n" * 9 + b"what?\n",
    "nothing": b"what?\n" * 9,
}
PATTERN = r"(?P<ip>\S+) (?P<user>\S+) (?P<method>\S+) (?P<protocol>\S+) (?P<status>\d+)(?P<none>x)?$"


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("lines", LINES)
def test_fields_that_are_the_same_in_all_rows(encode_pool, tmp_path, lines, kept):
    """They are read as any others, by Arrow and by DuckDB, with the same schema; and are what NDJSON has."""
    columns = tuple((name, "string") for name in ("ip", "user", "method", "protocol", "none"))
    parse = ParseSettings((*columns, ("status", "int64")), regex=PATTERN, keep_message=kept)
    bodies = {}
    for export in ("parquet", "ndjson"):
        reader = Reader(Batch(replace(settings(export), parse=parse), (), encode_pool))
        reader.add(Read(FileId("prod_mill-1", "app.log", 0), LINES[lines]))
        bodies[export] = reader.batch.seal().body.result().tobytes()
    expected = object_rows(bodies["ndjson"], "ndjson", "zstd")
    path = tmp_path / "object.parquet"
    path.write_bytes(bodies["parquet"])
    names = ["message", *(name for name, _ in parse.columns)]
    stored = pq.read_table(path, columns=names)
    assert stored.schema.types == [*[pa.string()] * 6, pa.int64()]
    assert stored.to_pylist() == [{name: row.get(name) for name in names} for row in expected]
    query = f'select {", ".join(names)} from read_parquet($1) order by "offset"'  # noqa: S608 - names of ours
    assert duckdb.execute(query, [str(path)]).fetchall() == [
        tuple(row.values()) for row in stored.to_pylist()
    ]
