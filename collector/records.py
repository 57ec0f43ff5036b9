"""Commit records and receipts as they stand in the export: their keys and their JSON.

The formats are described in `docs/export-format.md`. A record of a newer format version, or one
that is damaged, is refused with its key; nothing is guessed.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from collector.errors import ExportDamaged
from collector.json_text import NotJson, Unfit, decoded, encoded, indented
from collector.model import (
    FORMAT,
    BatchRecord,
    BatchSettings,
    CommitRecord,
    OpenRecord,
    Receipt,
    VoidRecord,
)
from collector.value import value

T = TypeVar("T")

COMMITS = "_joblog/commits/"
RECEIPTS = "_joblog/receipts/"
DATA = "data/"
SEQUENCE_DIGITS = 12
SHARD_DIGITS = 3
LONGEST_SOURCE_BYTES = 180


@value
class RecordHead:
    """Which record it is: that is read at once, however many spans it has."""

    kind: Literal["open", "batch", "void"]
    volume: str
    shard: int
    sequence: int
    epoch: int


@value
class Form:
    """How the rest is to be read: that is looked at first, whatever stands there."""

    kind: Any = None
    format: Any = None

    @property
    def is_newer(self) -> bool:
        return isinstance(self.format, int) and self.format > FORMAT


def commits_prefix(volume: str, shard: int) -> str:
    return f"{COMMITS}{volume}/{shard:0{SHARD_DIGITS}d}/"


def record_key(volume: str, shard: int, sequence: int) -> str:
    return f"{commits_prefix(volume, shard)}{sequence:0{SEQUENCE_DIGITS}d}.json"


def object_key(volume: str, shard: int, sequence: int, sealed_at: datetime, settings: BatchSettings) -> str:
    """The key of a batch's object: `date` and `hour` are those of the sealing, in UTC."""
    at = sealed_at.astimezone(UTC)
    name = f"{volume}-{shard:0{SHARD_DIGITS}d}-{sequence:0{SEQUENCE_DIGITS}d}"
    return f"{DATA}date={at:%Y-%m-%d}/hour={at:%H}/{name}{object_suffix(settings)}"


def object_suffix(settings: BatchSettings) -> str:
    if settings.format == "parquet":
        return ".parquet"
    stem = ".ndjson" if settings.format == "ndjson" else ".log"
    return stem + {"zstd": ".zst", "gzip": ".gz", "none": ""}[settings.compression]


def receipt_key(namespace: str | None, source: str, volume: str, revision: int) -> str:
    """`source` may hold "/" (layouts of several levels): it is one component here, so "/" is `%2F`."""
    return f"{receipt_prefix(namespace, source, volume)}{revision}.json"


def receipt_prefix(namespace: str | None, source: str, volume: str) -> str:
    """What the keys of all revisions of one source's receipt start with."""
    return f"{RECEIPTS}{namespace or '_'}/{_component(source)}.{volume}."


def _component(source: str) -> str:
    """One path component for a source: at most 180 bytes, because file systems end names at 255."""
    flat = source.replace("/", "%2F")
    if len(flat.encode()) <= LONGEST_SOURCE_BYTES:
        return flat
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    return flat.encode()[:160].decode(errors="ignore") + "~" + digest


def encode_record(record: CommitRecord) -> bytes:
    return encoded(record)


def decode_record(body: bytes, key: str) -> CommitRecord:
    """Raises ExportDamaged for what is no record of a known format."""
    try:
        return record_of(_known_form(body, key).kind, body)
    except Unfit as error:
        raise _damaged(key, error) from None


def record_of(kind: object, body: bytes) -> CommitRecord:
    """Raises Unfit."""
    match kind:
        case "open":
            return decoded(OpenRecord, body)
        case "batch":
            return decoded(BatchRecord, body)
        case "void":
            return decoded(VoidRecord, body)
        case _:
            raise Unfit("Expected `open`, `batch` or `void`", place="kind")


def decode_head(body: bytes, key: str) -> RecordHead:
    """Raises ExportDamaged for what is no JSON, or no record of a known format."""
    return _decode(RecordHead, body, key)


def encode_receipt(receipt: Receipt) -> bytes:
    return indented(receipt, 1)


def decode_receipt(body: bytes, key: str) -> Receipt:
    """Raises ExportDamaged for what is no receipt of a known format."""
    return _decode(Receipt, body, key)


def _decode(of: type[T], body: bytes, key: str) -> T:
    try:
        _known_form(body, key)
        return decoded(of, body)
    except Unfit as error:
        raise _damaged(key, error) from None


def _known_form(body: bytes, key: str) -> Form:
    form = decoded(Form, body)
    if form.is_newer:
        raise ExportDamaged(
            f"{key}: format {form.format} is newer than this joblog knows ({FORMAT})",
            hint="use a newer joblog",
        )
    return form


def _damaged(key: str, error: Unfit) -> ExportDamaged:
    what = "" if isinstance(error, NotJson) else "not a valid record: "
    return ExportDamaged(f"{key}: {what}{error}")
