"""The object once more: from its record and the bytes of its spans, with the same rows."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arenas import Read, Reader, origin, record_of, settings, span_bytes
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from objects import object_rows, plain

from collector.intake.frame import frame
from collector.model import FileId, Origin
from collector.rows.batch import Batch
from collector.rows.remake import remake

LIMIT = 1024
FIELDS = ("team",)
FILES = [FileId("prod_mill-1", "app.log", 0), FileId("prod_mill-1", "app.log", 1), FileId("odd", "x", 0)]
ORIGINS = {
    "prod_mill-1": origin("prod_mill-1", container="main", fields=(("team", "blue"),)),
    "odd": Origin("odd"),
}

long_lines = st.sampled_from(
    [
        b"x" * (LIMIT - 1) + b"\n",
        b"x" * LIMIT + b"\n",
        b"x" * (LIMIT + 1) + b"\n",
        b"x" * (3 * LIMIT) + b"\n",
        b"x" + "é€😀".encode() * 400 + b"\n",
        b"y" * (2 * LIMIT),
        b"\x80" * (2 * LIMIT + 1),
    ]
)
lines = st.sampled_from([b"one\n", b"\n", b"tw\xffo\n", b"\0\r\n", "drei 😀\n".encode(), b"half"])
contents = st.lists(lines | long_lines, min_size=1, max_size=8).map(b"".join)


@st.composite
def played(draw):
    """What each file holds, and in which shares it is read, arena by arena, the last share to its end."""
    held = {file: draw(contents) for file in FILES[: draw(st.integers(1, 3))]}
    shares = draw(st.lists(st.integers(1, 3 * LIMIT), max_size=6))
    return held, shares


def play(reader, held, shares):
    """Reads all files in turn, `shares` bytes of each at a time, then what is left of each."""
    for share in shares:
        reads = [
            Read(file, data[reader.positions.get(file, 0) :][:share])
            for file, data in held.items()
            if reader.positions.get(file, 0) < len(data)
        ]
        if reads:
            reader.add(*reads)
    rest = [Read(file, data[reader.positions.get(file, 0) :], final=True) for file, data in held.items()]
    if any(read.data for read in rest):
        reader.add(*(read for read in rest if read.data))


def in_file_order(rows):
    return sorted(rows, key=lambda row: (row["source"], row["path"], row["generation"], row["offset"]))


def both(pool, export, compression, held, shares):
    """The object as it was first made, and as it is made again."""
    reader = Reader(Batch(settings(export, compression, LIMIT), FIELDS, pool), dict(ORIGINS))
    play(reader, held, shares)
    sealed = reader.batch.seal()
    record, first = record_of(sealed), sealed.body.result().tobytes()
    again = remake(Batch(record.settings, FIELDS, pool), record, span_bytes(sealed, held), frame)
    return reader, first, bytes(again)


@pytest.mark.parametrize("export", ["parquet", "ndjson"])
@given(played())
@hypothesis_settings(max_examples=60, deadline=None)
def test_the_rows_are_the_same(encode_pool, export, drawn):
    """Row for row: metadata, offsets, pieces of over-long lines, ends without a line feed, times, bytes."""
    reader, first, again = both(encode_pool, export, "zstd", *drawn)
    rows = object_rows(first, export, "zstd")
    assert len(rows) == len(reader.rows)
    assert in_file_order(object_rows(again, export, "zstd")) == in_file_order(rows)


@given(played())
@hypothesis_settings(max_examples=30, deadline=None)
def test_a_raw_object_is_the_same_byte_for_byte(encode_pool, drawn):
    """The spans' bytes in the order of the record, which is kept."""
    _, first, again = both(encode_pool, "raw", "gzip", *drawn)
    assert plain(again, "gzip") == plain(first, "gzip")


def test_times_stay_with_their_rows(encode_pool):
    """A span of several reads keeps the time of each."""
    held = {FILES[0]: b"one\ntwo\nthree\n", FILES[2]: b"eins\nzwei\ndrei\n"}
    _, first, again = both(encode_pool, "ndjson", "none", held, [4, 6, 3])
    times = [row["observed_at"] for row in in_file_order(object_rows(again, "ndjson", "none"))]
    assert times == [row["observed_at"] for row in in_file_order(object_rows(first, "ndjson", "none"))]
    assert len(set(times)) > 1


def test_what_is_left_of_a_batch_has_its_rows(encode_pool):
    """Where some spans are gone, the object has the rows of the others, with their own metadata."""
    reader = Reader(Batch(settings(max_line_bytes=LIMIT), FIELDS, encode_pool), dict(ORIGINS))
    held = {FILES[0]: b"gone\n", FILES[2]: b"left\n"}
    play(reader, held, [])
    sealed = reader.batch.seal()
    found = [each for each in span_bytes(sealed, held) if each[0].path == "x"]
    body = remake(Batch(sealed.settings, FIELDS, encode_pool), record_of(sealed), found, frame)
    rows = pq.read_table(pa.BufferReader(body)).to_pylist()
    assert [(row["source"], row["pod"], row["message"]) for row in rows] == [("odd", None, "left")]
