"""Files made again from the export alone, byte for byte: from rows, or from the bytes of raw objects."""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from collector.object_hash import KEY, ZEROS, write_hash

Name = tuple[str, str]
Pieces = dict[Name, list[tuple[int, bytes]]]


def rebuilt(to: Path) -> dict[Name, bytes]:
    """Each file that a receipt names, by source and path. What no row covers is a hole: zeros."""
    rows = pieces(to)
    files = {}
    for source, receipt in receipts(to).items():
        for file in receipt["files"]:
            name = source, file["path"]
            ends = [hole[1] for hole in file["holes"]]
            files[name] = assembled(sorted(rows.pop(name, [])), max(ends, default=0))
    assert not rows, f"rows of files that no receipt names: {list(rows)}"
    return files


def receipts(to: Path) -> dict[str, dict]:
    """The receipts by source: each source has one."""
    found = [json.loads(path.read_bytes()) for path in (to / "_joblog/receipts").rglob("*.json")]
    assert len({each["source"] for each in found}) == len(found)
    return {each["source"]: each for each in found}


def assembled(found: list[tuple[int, bytes]], size: int) -> bytes:
    """Fails where two pieces overlap."""
    content, at = bytearray(), 0
    for offset, data in found:
        assert offset >= at, f"bytes {offset} to {at} are there twice"
        content += bytes(offset - at) + data
        at = offset + len(data)
    return bytes(content + bytes(max(0, size - at)))


def pieces(to: Path) -> Pieces:
    found: Pieces = defaultdict(list)
    for path in sorted((to / "data").rglob("*.*")):
        if ".log" in path.suffixes:
            continue
        for row in object_rows(path):
            assert row.get("generation") == 0
            data = row.get("raw")
            data = row["message"].encode() if data is None else data
            found[row["source"], row["path"]].append((row["offset"], data + b"\n" * row["eol"]))
    for record in map(json.loads, (path.read_bytes() for path in (to / "_joblog/commits").rglob("*.json"))):
        if record["kind"] == "batch" and record["settings"]["format"] == "raw":
            add_spans(found, record, plain(to / record["object_key"]))
    return found


def add_spans(found: Pieces, record: dict, body: bytes) -> None:
    """A raw object is the spans of its record one after the other, and nothing else."""
    at = 0
    for span in record["spans"]:
        length = span["end"] - span["start"]
        name = record["origins"][span["origin"]]["source"], span["path"]
        found[name].append((span["start"], body[at : at + length]))
        at += length
    assert at == len(body)


def object_rows(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        columns = ["source", "path", "generation", "offset", "message", "raw", "eol"]
        return pq.ParquetFile(path).read(columns=columns).to_pylist()
    rows = [json.loads(line) for line in plain(path).splitlines()]
    return [row | {"raw": base64.b64decode(row["raw"])} if "raw" in row else row for row in rows]


def plain(path: Path) -> bytes:
    body = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(body)
    if path.suffix == ".zst":
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            return stream.read()
    return body


def rewrite(found: Path, table: pa.Table) -> None:
    """As a forger would, with a hash that fits."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({KEY: ZEROS})
    write_hash(sink.getbuffer())
    found.write_bytes(sink.getvalue())
