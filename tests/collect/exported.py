"""What is in a destination, read as anybody reads it: all Parquet objects, without a look at the records."""

from __future__ import annotations

import io
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

TOMBSTONE = "tombstone"
COLUMNS = ["source", "path", "generation", "offset", "message", "eol"]


def objects(to: str, prefix: str = "") -> dict[str, bytes]:
    """Every object by its key below the destination's prefix."""
    return {key: body(to, key) for key in keys(to, prefix)}


def body(to: str, key: str) -> bytes:
    """One object."""
    if not to.startswith("s3:"):
        return Path(folder_of(to), key).read_bytes()
    client, bucket, above = bucket_of(to)
    return client.get_object(Bucket=bucket, Key=above + key)["Body"].read()


def keys(to: str, prefix: str = "") -> list[str]:
    """The keys of all objects; temporary files of the store are none."""
    if not to.startswith("s3:"):
        root = folder_of(to)
        found = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        return sorted(key for key in found if key.startswith(prefix) and not key.startswith("_joblog/tmp/"))
    client, bucket, above = bucket_of(to)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=above + prefix)
    return [found["Key"].removeprefix(above) for page in pages for found in page.get("Contents", ())]


def folder_of(to: str) -> Path:
    return Path(to.removeprefix("file://"))


@cache
def client_of(endpoint: str):
    return boto3.session.Session().client("s3", endpoint_url=endpoint, region_name="us-east-1")


def bucket_of(to: str):
    """The client, the bucket, and what all keys start with."""
    url = urlsplit(to)
    return client_of(dict(parse_qsl(url.query))["endpoint_url"]), url.netloc, url.path.strip("/") + "/"


def rows(to: str) -> list[dict[str, object]]:
    """The rows of all Parquet objects."""
    bodies = [body for key, body in sorted(objects(to, "data/").items())]
    tables = [pq.ParquetFile(io.BytesIO(body)).read(columns=COLUMNS) for body in bodies]
    return pa.concat_tables([plain(table) for table in tables]).to_pylist() if tables else []


def plain(table: pa.Table) -> pa.Table:
    """Without dictionaries, which differ from object to object."""
    decoded = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in (column.combine_chunks() for column in table.columns)
    ]
    return pa.table(decoded, names=table.column_names)


def written(volume: Path) -> Counter[tuple[str, str]]:
    """Every line on the volume, with its source."""
    lines: Counter[tuple[str, str]] = Counter()
    for path in volume.rglob("*"):
        if path.is_file() and path.name != TOMBSTONE:
            source = path.relative_to(volume).parts[0]
            lines.update((source, line) for line in path.read_text().splitlines())
    return lines


def assert_exactly_once(volume: Path, to: str) -> int:
    """Every line on the volume is in the destination once, and nothing else. Returns how many there are."""
    delivered = rows(to)
    places = Counter((row["source"], row["path"], row["generation"], row["offset"]) for row in delivered)
    twice = [place for place, count in places.items() if count > 1]
    assert not twice, f"{len(twice)} places are there twice, such as {twice[:3]}"
    got, want = Counter((str(row["source"]), str(row["message"])) for row in delivered), written(volume)
    missing, further = list((want - got).elements()), list((got - want).elements())
    assert not missing, f"{len(missing)} of {want.total()} lines are missing, such as {missing[:3]}"
    assert not further, f"{len(further)} lines were never written, or are there twice, as {further[:3]}"
    return want.total()
