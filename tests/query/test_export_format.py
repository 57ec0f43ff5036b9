"""docs/export-format.md is true: its examples can be read, its columns are the columns, its queries run."""

import json
import re
from pathlib import Path

import duckdb
from export_writer import Read, pod

from collector.model import BatchRecord, OpenRecord, Receipt, VoidRecord
from collector.query.export import decode_receipt
from collector.query.rows import COLUMNS, DICTIONARY
from collector.records import decode_record, object_key, receipt_key

PAGE = (Path(__file__).parents[2] / "docs/export-format.md").read_text()
TEXT = b"an error\nno worry\n"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_examples_are_records_and_a_receipt():
    """Each JSON example decodes, has every key that such a record has, and keys that fit it."""
    *records, receipt = blocks("json")
    kinds = [decode_record(each.encode(), "example") for each in records]
    assert [type(each) for each in kinds] == [OpenRecord, BatchRecord, VoidRecord]
    for example, known in zip(records, kinds, strict=True):
        assert list(json.loads(example)) == list(known.__dataclass_fields__)
    _, batch, _ = kinds
    place = (batch.volume, batch.shard, batch.sequence, batch.sealed_at, batch.settings)
    assert batch.object_key == object_key(*place)
    decoded = decode_receipt(receipt.encode(), "example")
    assert list(json.loads(receipt)) == list(Receipt.__dataclass_fields__)
    assert decoded.objects == (batch.object_key,)
    assert decoded.source in receipt_key(decoded.namespace, decoded.source, decoded.volume, 1)


def test_columns_are_those_of_the_table():
    """Names, order and types of the page's table are those that are read."""
    table = PAGE.split("## Columns")[1].split("## Objects")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE)
    shown = {DICTIONARY: "dictionary"}
    types = {name: shown.get(kind, str(kind).replace("tz=", "")) for name, kind in COLUMNS.items()}
    assert dict(rows) == types
    assert [name for name, _ in rows] == list(COLUMNS)


def test_duckdb_reads_it(export, store):
    """The page's query counts what was written, with the partition's date."""
    export.batch(Read(pod("nightly-bcdfg"), TEXT), Read(pod("hourly-bcdfg"), TEXT * 2))
    [query] = blocks("sql")
    query = query.replace("PREFIX", store.url).rstrip().removesuffix(";")
    found = duckdb.sql(f"SELECT namespace, job, rows FROM ({query})").fetchall()  # noqa: S608 - the page's own
    assert found == [("default", "hourly", 2), ("default", "nightly", 1)]


def test_pyarrow_reads_it(export, store):
    """The page's Python gives a Job's rows in order."""
    export.batch(Read(pod("nightly-28123456-bcdfg"), TEXT), Read(pod("hourly-bcdfg"), TEXT))
    [code] = blocks("python")
    lines = code.replace("PREFIX", store.url).replace(".to_pandas()", "").splitlines()
    known: dict[str, object] = {}
    exec("\n".join(lines[:-1]), known)  # noqa: S102 - the page's own example; pandas is no dependency
    assert known["rows"]["message"].to_pylist() == ["an error", "no worry"]
