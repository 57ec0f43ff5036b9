"""How a Parquet column of unknown content is written is told by a sample of its first rows."""

import random

import pyarrow as pa
import pytest

from collector.rows.encodings import encodings

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
