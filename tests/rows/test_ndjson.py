"""NDJSON: each line is the row, as any JSON parser reads it, whatever the row holds."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.rows.ndjson import ROWS_AT_ONCE, json_lines
from collector.rows.schema import schema

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIELDS = ("team",)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
texts |= st.text('\\"\0\b\t\r\x1f\x7fu/\u2028\u2029\ufeff😀é', max_size=8)
times = st.integers(0, 1 << 52).map(lambda us: EPOCH + timedelta(microseconds=us))
VALUES = {
    "generation": st.integers(0, 2**31 - 1),
    "offset": st.integers(0, 2**63 - 1),
    "observed_at": times,
    "scheduled_at": st.none() | times,
    "time": st.none() | times,
    "raw": st.none() | st.binary(max_size=8),
    "eol": st.booleans(),
    "source": texts,
    "path": texts,
    "message": texts,
}
row = st.fixed_dictionaries(
    {field.name: VALUES.get(field.name, st.none() | texts) for field in schema(FIELDS)}
)
PLAIN = {field.name: None for field in schema(FIELDS)} | {
    "source": "s",
    "path": "p",
    "generation": 0,
    "offset": 0,
    "observed_at": EPOCH,
    "message": "",
    "eol": True,
}


def lines(rows: pa.Table) -> list[bytes]:
    text = b"".join(bytes(block) for block in json_lines(rows))
    assert text.endswith(b"\n")
    return text.split(b"\n")[:-1]


def as_json(value):
    """A column's value as JSON has it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def expected(rows: list[dict]) -> list[dict]:
    return [{name: as_json(value) for name, value in row.items() if value is not None} for row in rows]


@given(st.lists(row, min_size=1, max_size=6), st.integers(0, 6))
@example([PLAIN | {"message": '"\\\0\n'}], 0)
@example([PLAIN | {"message": "\\u0000"}, PLAIN | {"message": '\\"'}], 1)
def test_each_line_is_its_row(rows, cut):
    """Values come back as they were, nulls are left out, in chunks and slices of any size."""
    table = pa.Table.from_pylist(rows, schema=schema(FIELDS))
    table = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    assert [json.loads(line) for line in lines(table)] == expected(rows)


@pytest.mark.parametrize("code", [*range(0x20), 0x22, 0x5C, 0x7F, 0x85, 0x2028, 0x2029, 0xFEFF, 0x1F600])
def test_each_odd_character_survives(code):
    """Alone, doubled, and between letters, in a message and in a name."""
    odd = chr(code)
    rows = [PLAIN | {"message": text, "path": text} for text in (odd, odd * 2, f"a{odd}b", f"\\{odd}")]
    table = pa.Table.from_pylist(rows, schema=schema(FIELDS))
    assert [json.loads(line) for line in lines(table)] == expected(rows)


def test_columns_come_in_the_order_of_the_schema():
    """A person who looks at a line finds the Pod first and the message near the end."""
    (line,) = lines(pa.Table.from_pylist([PLAIN | {"pod": "p", "team": "t"}], schema=schema(FIELDS)))
    names = list(json.loads(line))
    assert names == ["pod", "source", "path", "generation", "offset", "observed_at", "message", "eol", "team"]


def test_lines_are_one_object_each_without_spaces():
    """The text is compact: the objects are large."""
    (line,) = lines(pa.Table.from_pylist([PLAIN | {"message": "x y"}], schema=schema(FIELDS)))
    assert line == json.dumps(json.loads(line), separators=(",", ":")).encode()


def test_many_rows_come_in_blocks_of_whole_lines():
    """Each block ends with a line feed and none is empty, so a reader may stop after any."""
    count = ROWS_AT_ONCE + 1
    rows = pa.Table.from_pylist([PLAIN | {"offset": n} for n in range(count)], schema=schema(FIELDS))
    blocks = [bytes(block) for block in json_lines(rows)]
    assert len(blocks) == 2
    assert all(block.endswith(b"}\n") for block in blocks)
    assert [json.loads(line)["offset"] for block in blocks for line in block.splitlines()] == list(
        range(count)
    )


PARSED = (
    ("name", "string"),
    ("count", "int64"),
    ("rate", "float64"),
    ("good", "bool"),
    ("until", "timestamp"),
)
parsed_row = st.fixed_dictionaries(
    {
        "message": st.none() | texts,
        "stream": st.sampled_from([None, "stdout", "stderr"]),
        "time": st.none() | times,
        "raw": st.none() | st.binary(max_size=4),
        "team": st.none() | texts,
        "source": texts,
        "pod": st.none() | texts,
        "scheduled_at": st.none() | times,
        "generation": st.integers(0, 3),
        "name": st.none() | texts,
        "count": st.none() | st.integers(-(2**63), 2**63 - 1),
        "rate": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "good": st.none() | st.booleans(),
        "until": st.none() | times,
    }
)


@given(st.lists(st.tuples(parsed_row, st.integers(1, 20)), min_size=1, max_size=6), st.integers(0, 40))
@example([(PLAIN | {"scheduled_at": EPOCH}, 2), (PLAIN, 1)], 0)
@example([(PLAIN | {"message": None, "count": 1}, 1), (PLAIN | {"message": '"', "count": None}, 9)], 3)
def test_lines_are_what_json_makes_of_each_row(runs, cut):
    """Byte for byte what `json.dumps` writes: values that repeat over many rows, that change in each, and
    that are missing in some, in slices that begin anywhere. (Floats have a text of their own.)
    """
    rows = [
        PLAIN | row | {"offset": n} for n, row in enumerate(row for row, count in runs for _ in range(count))
    ]
    wanted = schema(FIELDS, PARSED)
    table = pa.Table.from_pylist([{"name": None} | row for row in rows], schema=wanted)
    table = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    told = lines(table)
    in_order = [{field.name: row[field.name] for field in wanted if field.name in row} for row in rows]
    for line, row in zip(told, expected(in_order), strict=True):
        read = json.loads(line)
        assert read == row
        if "rate" not in row:
            assert line == json.dumps(read, ensure_ascii=False, separators=(",", ":")).encode()
