"""Lines as typed columns, end to end: a real collector, and DuckDB reads what it wrote."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from collector_process import Ended, joblog
from rebuilt import plain

SOURCE = "shop_mill-x6nnw_10.0.0.7_10.0.0.1_node-1"
ACCESS = (
    r'(?P<ip>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<url>\S+) [^"]+" '
    r"(?P<status>\d+) (?P<size>\S+)"
)
LINES = (
    '10.1.2.3 - - [22/Nov/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 512\n'
    'Traceback "is no access line"\n'
    '10.1.2.4 - - [22/Nov/2026:10:00:01 +0100] "PUT /b HTTP/1.1" 201 -\n'
    '10.1.2.5 - - [soon] "GET /c HTTP/1.1" 999 99999999999999999999\n'
)
REGEX = {
    "regex": ACCESS,
    "types": {"status": "int64", "size": "int64"},
    "time": {"field": "time", "format": "%d/%b/%Y:%H:%M:%S %z"},
}
LEAN = {**REGEX, "keep_message": False}


def run(root: Path, parse: dict, lines: str = LINES, state: str = "state", export: str = "parquet") -> Ended:
    source = root / "volume" / SOURCE
    source.mkdir(parents=True, exist_ok=True)
    (source / "app.log").write_text(lines)
    settings = {
        "volumes": [{"path": str(root / "volume"), "parse": parse}],
        "to": str(root / "export"),
        "state": str(root / state),
        "format": export,
    }
    config = root / "joblog.yaml"
    config.write_text(json.dumps(settings))
    arguments = ("--once", "--complete", "--log-format", "json", "--log-level", "debug")
    done = joblog("run", "--config", str(config), *arguments)
    assert done.code == 0, done.stderr
    return done


def query(root: Path, select: str) -> list[tuple]:
    parquet = (
        f"read_parquet('{root}/export/data/**/*.parquet', hive_partitioning = true, union_by_name = true)"
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        ordered = f'SELECT {select} FROM {parquet} ORDER BY path, "offset"'  # noqa: S608 - of this file's own words
        return connection.execute(ordered).fetchall()


def test_typed_columns_are_read_by_duckdb(tmp_path: Path):
    """Integers, the time, the line; what does not match, or has another type, keeps the line and is null."""
    done = run(tmp_path, REGEX)
    rows = query(tmp_path, "ip, method, status, size, epoch_us(time), message, date")
    day = rows[0][-1]
    nine = int(datetime(2026, 11, 22, 9, tzinfo=UTC).timestamp()) * 1_000_000
    lines = LINES.splitlines()
    assert rows == [
        ("10.1.2.3", "GET", 200, 512, nine, lines[0], day),
        (None, None, None, None, None, lines[1], day),
        ("10.1.2.4", "PUT", 201, None, nine + 1_000_000, lines[2], day),
        ("10.1.2.5", "GET", 999, None, None, lines[3], day),
    ]
    assert query(tmp_path, "typeof(status), typeof(time), typeof(ip)")[0] == (
        "BIGINT",
        "TIMESTAMP WITH TIME ZONE",
        "VARCHAR",
    )
    assert sum(event["rows"] for event in done.named("lines_unparsed")) == 2
    assert joblog("verify", "--to", str(tmp_path / "export")).code == 0


def test_statistics_of_typed_columns_let_readers_skip(tmp_path: Path):
    """Numbers and times have a minimum and a maximum in each row group."""
    run(tmp_path, REGEX)
    (path,) = (tmp_path / "export/data").rglob("*.parquet")
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n).statistics for n in range(group.num_columns)}
    assert (columns["status"].min, columns["status"].max) == (200, 999)
    assert columns["time"].has_min_max


@pytest.mark.parametrize("export", ["parquet", "ndjson"])
def test_without_the_line_verify_says_what_it_cannot_prove(tmp_path: Path, export: str):
    """Rows are counted and the export is complete; `logs` shows the fields as JSON."""
    run(tmp_path, LEAN, export=export)
    to = str(tmp_path / "export")
    proof = joblog("verify", "--to", to, "--volume", str(tmp_path / "volume"))
    assert proof.code == 0, proof.stdout + proof.stderr
    assert f"{len(LINES)} bytes are in objects that do not keep lines" in proof.stdout + proof.stderr
    shown = joblog("logs", "shop/mill-x6nnw", "--to", to).stdout.splitlines()
    lines = LINES.splitlines()
    assert json.loads(shown[0]) == {
        "ip": "10.1.2.3",
        "method": "GET",
        "url": "/a",
        "status": 200,
        "size": 512,
        "time": "2026-11-22 09:00:00+00:00",
    }
    assert [shown[1], shown[3]] == [lines[1], lines[3]]
    every = [
        json.loads(line)
        for line in joblog("logs", "shop/mill-x6nnw", "--to", to, "-o", "json").stdout.splitlines()
    ]
    assert [row["status"] for row in every] == [200, None, 201, 999]
    assert [row["message"] for row in every] == [None, lines[1], None, lines[3]]


def test_without_the_line_a_missing_row_is_still_found(tmp_path: Path):
    """An object with fewer rows than its record says is a difference."""
    run(tmp_path, LEAN)
    (path,) = (tmp_path / "export/data").rglob("*.parquet")
    rows = pq.read_table(path, partitioning=None)
    for kept in (rows.slice(0, 3), rows.take([0, 0, 1, 2])):
        pq.write_table(kept, path)
        assert joblog("verify", "--to", str(tmp_path / "export")).code == 1


@pytest.mark.parametrize(("export", "parse"), [("parquet", LEAN), ("ndjson", REGEX)])
def test_a_missing_object_is_put_again_with_the_same_fields(tmp_path: Path, export: str, parse: dict):
    """Whoever completes what a killed collector claimed parses as the record says, not as configured now."""
    run(tmp_path, parse, export=export)
    (path,) = (path for path in (tmp_path / "export/data").rglob("*.*"))
    first = rows_of(path)
    path.unlink()
    shutil.rmtree(tmp_path / "state")
    run(tmp_path, {"json": "true", "types": {"other": "int64"}}, state="another", export=export)
    assert rows_of(path) == first


def rows_of(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        return pq.read_table(path, partitioning=None).to_pylist()
    return [json.loads(line) for line in plain(path).splitlines()]


def test_json_lines_become_columns(tmp_path: Path):
    """Those that `types` names; nested values as JSON; the time from milliseconds."""
    parse = {
        "json": "true",
        "types": {"level": "string", "took": "float64", "ok": "bool", "at": "timestamp", "more": "string"},
        "time": {"field": "ts", "format": "epoch_ms"},
    }
    lines = (
        '{"level":"info","took":1.5,"ok":true,"at":"2026-11-22T10:00:00Z","more":{"a":[1]},"ts":1700000000123}\n'
        "not json\n"
        '{"level":"warn","x":1}\n'
    )
    run(tmp_path, parse, lines)
    at = int(datetime(2026, 11, 22, 10, tzinfo=UTC).timestamp()) * 1_000_000
    assert query(tmp_path, 'level, took, ok, epoch_us("at"), more, epoch_us(time), message') == [
        ("info", 1.5, True, at, '{"a":[1]}', 1_700_000_000_123_000, lines.splitlines()[0]),
        (None, None, None, None, None, None, "not json"),
        ("warn", None, None, None, None, None, lines.splitlines()[2]),
    ]


def test_delimited_lines_become_columns(tmp_path: Path):
    """Quotes as in CSV; a line with another number of fields does not match."""
    parse = {
        "delimiter": {"separator": ",", "fields": ["name", "n"], "quote": '"'},
        "types": {"n": "int64"},
    }
    run(tmp_path, parse, 'a,1\n"b, ""c""",2\nd\ne,5,6\n')
    assert query(tmp_path, "name, n") == [("a", 1), ('b, "c"', 2), (None, None), (None, None)]
