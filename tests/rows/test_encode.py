"""Objects: the columns of the contract, in each format and compression, as other programs read them."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arenas import NOON_US, Read, Reader, origin, settings
from objects import object_rows, plain

from collector.model import FileId, Origin
from collector.rows.batch import ENCODE_BYTES, Batch
from collector.rows.table import MOST_RUNS

TEXT = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("us", "UTC")
CONTRACT = [
    ("namespace", TEXT),
    ("job", TEXT),
    ("pod", TEXT),
    ("container", TEXT),
    ("pod_ip", TEXT),
    ("node_ip", TEXT),
    ("node", TEXT),
    ("cronjob", TEXT),
    ("scheduled_at", TIME),
    ("source", TEXT),
    ("path", TEXT),
    ("generation", pa.int32()),
    ("offset", pa.int64()),
    ("observed_at", TIME),
    ("time", TIME),
    ("stream", pa.string()),
    ("message", pa.string()),
    ("raw", pa.binary()),
    ("eol", pa.bool_()),
]
COMPRESSIONS = ["zstd", "gzip", "none"]

APP = FileId("prod_mill-1", "app.log", 0)
ODD = FileId("odd", "%FFname", 3)
FULL = origin(
    APP.source,
    container="main",
    pod_ip="10.0.0.1",
    node_ip="fd00::1",
    node="n1",
    cronjob="mill",
    scheduled_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
    fields=(("team", "blue"), ("zone", None)),
)
UNMATCHED = Origin("odd")

DUCKDB_QUERY = """
select path, generation, "offset", message, raw, eol, team, epoch_us(observed_at), pod
from read_parquet($1) order by source, "offset"
"""


def played(encode_pool, export="parquet", compression="zstd", fields=("team", "zone")) -> Reader:
    """A batch with rows of two sources, of which one says nothing of itself."""
    reader = Reader(Batch(settings(export, compression), fields, encode_pool))
    reader.origins = {APP.source: FULL, ODD.source: UNMATCHED}
    reader.add(Read(APP, b"one\ntw\xffo\n"), Read(ODD, "drei 😀\n".encode()))
    reader.add(Read(ODD, b"\nvi\0er", final=True), Read(APP, b"three\n"))
    return reader


def sealed_body(reader: Reader) -> bytes:
    return reader.batch.seal().body.result().tobytes()


def stored(body: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(body))


def test_the_schema_is_that_of_the_contract(encode_pool):
    """Names, types and order of the columns, further fields of the layout at the end, no row missing."""
    rows = stored(sealed_body(played(encode_pool)))
    assert list(zip(rows.schema.names, rows.schema.types, strict=True)) == [
        *CONTRACT,
        ("team", TEXT),
        ("zone", TEXT),
    ]
    assert len(rows) == 6


def test_the_schema_is_the_same_without_further_fields(encode_pool):
    """A layout without fields of its own adds no column."""
    rows = stored(sealed_body(played(encode_pool, fields=())))
    assert rows.schema.names == [name for name, _ in CONTRACT]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("export", ["parquet", "ndjson"])
def test_every_value_stands_in_its_row(encode_pool, export, compression):
    """Each row has the columns of its file and its own, and none that is null."""
    known = {name: getattr(FULL, name) for name, _ in CONTRACT[:9]}
    app = known | {"source": APP.source, "path": "app.log", "generation": 0, "team": "blue"}
    odd = {"source": "odd", "path": "%FFname", "generation": 3}
    times = [datetime.fromtimestamp((NOON_US + n * 1_000_001) / 1e6, UTC) for n in (1, 2)]
    first, second = ({"observed_at": time} for time in times)
    expected = [
        app | first | {"offset": 0, "message": "one", "eol": True},
        app | first | {"offset": 4, "message": "tw\ufffdo", "raw": b"tw\xffo", "eol": True},
        odd | first | {"offset": 0, "message": "drei 😀", "eol": True},
        odd | second | {"offset": 10, "message": "", "eol": True},
        odd | second | {"offset": 11, "message": "vi\0er", "eol": False},
        app | second | {"offset": 9, "message": "three", "eol": True},
    ]
    if export == "ndjson":
        expected = [{name: as_json(value) for name, value in row.items()} for row in expected]
    body = sealed_body(played(encode_pool, export, compression))
    assert object_rows(body, export, compression) == expected


def as_json(value):
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value


@pytest.mark.parametrize(
    ("compression", "codec"), [("zstd", "ZSTD"), ("gzip", "GZIP"), ("none", "UNCOMPRESSED")]
)
def test_parquet_is_compressed_as_told(encode_pool, compression, codec):
    """Every column that Arrow writes has the codec of the setting; what is said in runs has a few bytes."""
    meta = pq.ParquetFile(pa.BufferReader(sealed_body(played(encode_pool, compression=compression)))).metadata
    columns = [meta.row_group(0).column(number) for number in range(meta.num_columns)]
    codecs = {column.path_in_schema: column.compression for column in columns}
    assert {codecs[name] for name in ("offset", "message", "eol")} == {codec}
    assert all(column.total_compressed_size < 300 for column in columns if column.compression != codec)


def test_metadata_is_a_dictionary_in_the_file_too(encode_pool):
    """The columns that repeat are dictionary pages with indices; messages are not."""
    meta = pq.ParquetFile(pa.BufferReader(sealed_body(played(encode_pool)))).metadata
    columns = {meta.row_group(0).column(n).path_in_schema: meta.row_group(0).column(n) for n in range(21)}
    with_dictionary = {
        name for name, column in columns.items() if any("DICTIONARY" in each for each in column.encodings)
    }
    assert with_dictionary >= {name for name, kind in CONTRACT if kind == TEXT}
    assert not with_dictionary & {"message", "raw", "offset", "eol"}


def test_statistics_let_readers_skip_by_metadata(encode_pool):
    """Minimum and maximum stand there for what is asked by, and not for the text."""
    meta = pq.ParquetFile(pa.BufferReader(sealed_body(played(encode_pool)))).metadata.row_group(0)
    columns = {meta.column(n).path_in_schema: meta.column(n).statistics for n in range(21)}
    assert (columns["pod"].min, columns["pod"].max, columns["pod"].null_count) == ("mill-1", "mill-1", 3)
    assert columns["observed_at"].min < columns["observed_at"].max
    assert columns["message"] is None


@pytest.mark.parametrize("sources", [1, 2, MOST_RUNS, MOST_RUNS + 1, 3 * MOST_RUNS])
def test_metadata_may_change_with_each_read_or_never(encode_pool, sources):
    """However it is written: the rows of each source say what its origin does."""
    reader = Reader(Batch(settings(), ["team"], encode_pool))
    origins = [
        origin(
            f"prod_{'mill' if number % 7 else 'lime'}-{number}",
            container="main" if number % 2 else None,
            scheduled_at=datetime(2026, 11, 22, 9, number % 60, tzinfo=UTC) if number % 3 else None,
            fields=(("team", "blue" if number % 5 else None),),
        )
        for number in range(sources)
    ]
    reader.origins = {each.source: each for each in origins}
    for generation in range(2):
        reads = [Read(FileId(each.source, "app.log", generation), b"one\ntwo\n") for each in origins]
        reader.add(*reads)
    rows = stored(sealed_body(reader)).to_pylist()
    of = {each.source: each for each in origins}
    assert len(rows) == 4 * sources
    assert [row["generation"] for row in rows] == [0] * 2 * sources + [1] * 2 * sources
    for row in rows:
        known = of[row["source"]]
        said = [known.job, known.pod, known.container, known.scheduled_at, known.node, known.fields[0][1]]
        names = ("job", "pod", "container", "scheduled_at", "node", "team")
        assert [row[name] for name in names] == said
    assert len({row["observed_at"] for row in rows}) == 2


def test_each_encoding_is_a_row_group(encode_pool):
    """A batch of several encodings has as many row groups, with the rows in the order they came."""
    reader = Reader(Batch(settings(), [], encode_pool))
    for letter in b"abc":
        reader.add(Read(APP, bytes([letter]) * (ENCODE_BYTES - 1) + b"\n"))
    body = sealed_body(reader)
    assert pq.ParquetFile(pa.BufferReader(body)).num_row_groups == 3
    pieces = stored(body)["message"].to_pylist()
    assert [piece[0] for piece in pieces] == [letter for letter in "abc" for _ in range(ENCODE_BYTES >> 20)]


PROBE = "select bloom_filter_excludes from parquet_bloom_probe($1, 'pod', $2) order by row_group_id"


def test_a_bloom_filter_tells_which_row_groups_have_a_pod(encode_pool, tmp_path):
    """Each row group has one of its own, where it has more pods than its minimum and maximum name."""
    reader = Reader(Batch(settings(), [], encode_pool, encode_bytes=1))
    groups = [range(5), range(5, 9), range(2, 4), range(1, 13, 5)]
    for group in groups:
        reader.add(*(Read(FileId(f"prod_mill-{pod}", "app.log", 0), b"one\n") for pod in group))
    file = str(tmp_path / "object.parquet")
    Path(file).write_bytes(sealed_body(reader))
    with duckdb.connect() as database:
        for pod in range(13):
            probed = database.execute(PROBE, [file, f"mill-{pod}"]).fetchall()
            excludes = [is_out for (is_out,) in probed]
            assert excludes[2] is False  # two pods, no filter
            assert not any(is_out and pod in group for is_out, group in zip(excludes, groups, strict=True))
            query = "select count(*) from read_parquet($1) where pod = $2"
            found = database.execute(query, [file, f"mill-{pod}"]).fetchall()
            assert found == [(sum(pod in group for group in groups),)]
    assert excludes == [True, True, False, True]  # there is no pod 12


def test_duckdb_reads_the_object(encode_pool, tmp_path):
    """A query engine of other people finds the same values, NUL and repaired bytes included."""
    file = tmp_path / "object.parquet"
    file.write_bytes(sealed_body(played(encode_pool)))
    rows = duckdb.sql(DUCKDB_QUERY, params=[str(file)]).fetchall()
    assert rows[1] == ("%FFname", 3, 10, "", None, True, None, NOON_US + 2_000_002, None)
    assert rows[2][3:6] == ("vi\0er", None, False)
    assert rows[4] == (
        "app.log",
        0,
        4,
        "tw\ufffdo",
        b"tw\xffo",
        True,
        "blue",
        NOON_US + 1_000_001,
        "mill-1",
    )


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_raw_object_is_its_spans_one_after_the_other(encode_pool, compression):
    """Bytes stand in the order of the record's spans, not in the order they were read."""
    reader = played(encode_pool, "raw", compression)
    sealed = reader.batch.seal()
    body = plain(sealed.body.result().tobytes(), compression)
    assert body == b"one\ntw\xffo\nthree\n" + "drei 😀\n\nvi\0er".encode()
    assert [(span.path, span.end) for span in sealed.spans] == [("app.log", 15), ("%FFname", 16)]


def test_the_first_span_of_a_raw_object_is_compressed_as_it_comes(encode_pool):
    """So a batch of one large file is as large in memory as its object; what is read of other files is kept
    as it is until the end, and counts so.
    """
    line = b"the same again\n" * 10_000
    reader = Reader(Batch(settings("raw"), [], encode_pool, encode_bytes=1))
    for _ in range(3):
        reader.add(Read(APP, line))
    reader.batch.catch_up()
    assert not reader.batch.is_full(1 << 30, len(line))
    reader.add(Read(APP, line), Read(ODD, line * 2))
    reader.add(Read(APP, line))
    reader.batch.catch_up()
    assert reader.batch.is_full(1 << 30, 2 * len(line))
    assert plain(sealed_body(reader), "zstd") == line * 7


def test_a_raw_object_keeps_holes_apart(encode_pool):
    """Spans of one file with a hole between them are both there, without the hole."""
    reader = Reader(Batch(settings("raw", "none"), [], encode_pool))
    reader.add(Read(APP, b"before\n"))
    reader.add(Read(APP, b"behind\n", start=4096))
    assert sealed_body(reader) == b"before\nbehind\n"


@pytest.mark.parametrize("export", ["ndjson", "raw"])
def test_streams_are_what_their_suffix_says(encode_pool, export):
    """`.gz` is one gzip stream that any gunzip reads to its end."""
    body = sealed_body(played(encode_pool, export, "gzip"))
    assert gzip.decompress(body).count(b"\n") >= 4
