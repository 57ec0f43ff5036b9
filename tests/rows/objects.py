"""Reads objects back with other programs' eyes: pyarrow, gzip, json. Nothing here is ours."""

import base64
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq


def plain(body: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.decompress(body)
    if compression == "zstd":
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            return stream.read()
    return body


def object_rows(body: bytes, export: str, compression: str) -> list[dict]:
    """All rows of a Parquet or NDJSON object, nulls left out, `raw` as bytes."""
    if export == "parquet":
        rows = pq.read_table(pa.BufferReader(body)).to_pylist()
        return [{name: value for name, value in row.items() if value is not None} for row in rows]
    rows = [json.loads(line) for line in plain(body, compression).splitlines()]
    return [row | {"raw": base64.b64decode(row["raw"])} if "raw" in row else row for row in rows]


def row_bytes(row: dict) -> bytes:
    """The bytes in the file that a row is made of."""
    return row.get("raw", row["message"].encode()) + b"\n" * row["eol"]
