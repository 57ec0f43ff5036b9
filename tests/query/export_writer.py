"""Writes exports row by row, straight from docs/export-format.md, so that each kind of damage can be made."""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
from xxhash import xxh3_128_hexdigest

from collector.model import (
    BatchRecord,
    BatchSettings,
    Evidence,
    Loss,
    OpenRecord,
    Origin,
    Owner,
    Receipt,
    ReceiptFile,
    ReceiptLoss,
    Span,
    VoidRecord,
)
from collector.records import encode_receipt, encode_record, object_key, receipt_key, record_key
from collector.sink.local import LocalStore

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEXT = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("us", "UTC")
ORIGIN = ("namespace", "job", "pod", "container", "pod_ip", "node_ip", "node", "cronjob")
SCHEMA = pa.schema(
    [
        *((name, TEXT) for name in ORIGIN),
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
        ("team", TEXT),
    ]
)
SETTINGS = BatchSettings("subpath", "parquet", "zstd", 1 << 20)
Row = dict[str, object]


def pod(name: str, *, namespace: str = "default", job: str | None = None, **more) -> Origin:
    source = f"{namespace}_{name}_10.0.0.1_10.1.0.1_n1"
    job = name.rpartition("-")[0] if job is None else job
    return Origin(source, True, namespace, job, name, node="n1", fields=(("team", "blue"),), **more)


@dataclass
class Read:
    """Bytes of one file that one batch takes, from `start` on."""

    origin: Origin
    data: bytes
    path: str = "app.log"
    start: int = 0
    generation: int = 0
    name: str | None = None
    head: bytes | None = None
    """The first bytes of the file, where `data` does not begin it."""


@dataclass
class Export:
    store: LocalStore
    volume: str = "default"
    shard: int = 0
    settings: BatchSettings = SETTINGS
    sequence: int = 0
    epoch: int = 0
    now: datetime = NOON
    records: list = field(default_factory=list)

    def open(self, epoch: int | None = None) -> OpenRecord:
        self.epoch = self.epoch + 1 if epoch is None else epoch
        owner = Owner(f"instance-{self.epoch}", "host", 1, "0")
        return self._put(OpenRecord(self.volume, self.shard, self.sequence, self.epoch, owner, self.now))

    def batch(
        self,
        *reads: Read,
        losses: Sequence[Loss] = (),
        put: bool = True,
        edit: Callable[[list[Row]], list[Row]] = list,
        edit_record: Callable[[BatchRecord], BatchRecord] = lambda record: record,
    ) -> BatchRecord:
        """Claims a batch and, if `put`, puts its object with the rows that `edit` leaves."""
        if not self.epoch:
            self.open()
        self.now += timedelta(seconds=30)
        origins = {origin: at for at, origin in enumerate(dict.fromkeys(read.origin for read in reads))}
        rows = [row for read in reads for row in self._rows(read)]
        record = BatchRecord(
            volume=self.volume,
            shard=self.shard,
            sequence=self.sequence,
            epoch=self.epoch,
            instance=f"instance-{self.epoch}",
            sealed_at=self.now,
            object_key=object_key(self.volume, self.shard, self.sequence, self.now, self.settings),
            object_bytes=1,
            rows=len(rows),
            bytes=sum(len(read.data) for read in reads),
            settings=self.settings,
            origins=tuple(origins),
            spans=tuple(self._span(read, origins) for read in reads),
            losses=tuple(losses),
        )
        record = self._put(edit_record(record))
        if put:
            self.put_object(record, edit(rows), b"".join(read.data for read in reads))
        return record

    def void(self, voids: int | None, *losses: Loss, partial: bool = False) -> VoidRecord:
        return self._put(
            VoidRecord(
                self.volume,
                self.shard,
                self.sequence,
                self.epoch,
                f"instance-{self.epoch}",
                self.now,
                voids,
                tuple(losses),
                partial,
            )
        )

    def receipt(
        self, origin: Origin, *files: ReceiptFile, revision: int = 1, losses: Sequence[ReceiptLoss] = ()
    ) -> Receipt:
        objects = (
            record.object_key
            for record in self.records
            if isinstance(record, BatchRecord) and any(of.source == origin.source for of in record.origins)
        )
        receipt = Receipt(
            origin.namespace,
            origin.job,
            origin.pod,
            self.volume,
            origin.source,
            revision,
            "tombstone",
            "0",
            tuple(files),
            tuple(sorted(objects)),
            tuple(losses),
            NOON,
            self.now,
        )
        self.put_receipt(receipt)
        return receipt

    def put_receipt(self, receipt: Receipt) -> None:
        key = receipt_key(receipt.namespace, receipt.source, receipt.volume, receipt.revision)
        assert self.store.put_new(key, encode_receipt(receipt))

    def put_object(self, record: BatchRecord, rows: list[Row], data: bytes = b"") -> None:
        self.store.put_new(record.object_key, encode(rows, data, record.settings))

    def using(self, kind: str, compression: str = "zstd", max_line_bytes: int = 1 << 20) -> "Export":
        self.settings = BatchSettings("subpath", kind, compression, max_line_bytes)
        return self

    def _put(self, record):
        assert self.store.put_new(record_key(self.volume, self.shard, self.sequence), encode_record(record))
        self.sequence += 1
        self.records.append(record)
        return record

    def _rows(self, read: Read) -> list[Row]:
        values: Row = {name: getattr(read.origin, name) for name in ORIGIN}
        values |= dict(read.origin.fields)
        values |= {"source": read.origin.source, "path": read.path, "generation": read.generation}
        offset, rows = read.start, []
        for piece in pieces(read.data, self.settings.max_line_bytes):
            text = piece.removesuffix(b"\n")
            message = text.decode("utf-8", "replace")
            row = {
                "offset": offset,
                "observed_at": self.now,
                "message": message,
                "raw": None if message.encode() == text else text,
                "eol": piece.endswith(b"\n"),
            }
            rows.append(values | row)
            offset += len(piece)
        return rows

    def _span(self, read: Read, origins: dict[Origin, int]) -> Span:
        rows = pieces(read.data, self.settings.max_line_bytes)
        head = ((read.head or b"") + (read.data if read.head is None else b""))[:1024]
        digest = hashlib.sha256(head).hexdigest()[:32]
        return Span(
            path=read.path,
            generation=read.generation,
            origin=origins[read.origin],
            start=read.start,
            end=read.start + len(read.data),
            rows=len(rows),
            line_feeds=read.data.count(b"\n"),
            xxh3_128=xxh3_128_hexdigest(read.data),
            reads=((read.start + len(read.data), int(self.now.timestamp() * 1_000_000)),),
            name=read.name or read.path,
            evidence=Evidence(1, 2, len(head), digest, 0, ""),
            terminated=read.data.endswith(b"\n"),
        )


def pieces(data: bytes, limit: int) -> list[bytes]:
    """The rows of `data`, with their line feeds; long ASCII lines in pieces."""
    rows = []
    for line in data.splitlines(keepends=True) if b"\r" not in data else _lines(data):
        while len(line.rstrip(b"\n")) > limit:
            rows.append(line[:limit])
            line = line[limit:]  # noqa: PLW2901 - what is left of it
        rows.append(line)
    return rows


def _lines(data: bytes) -> list[bytes]:
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return [line for line in lines if line]


def file_of(data: bytes, path: str = "app.log", generation: int = 0, holes=()) -> ReceiptFile:
    lines = data.count(b"\n") + (1 if data and not data.endswith(b"\n") else 0)
    return ReceiptFile(path, generation, len(data), lines, hashlib.sha256(data).hexdigest(), tuple(holes))


def encode(rows: list[Row], data: bytes, settings: BatchSettings) -> bytes:
    if settings.format == "parquet":
        sink = pa.BufferOutputStream()
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        with pq.ParquetWriter(sink, SCHEMA, compression=settings.compression) as writer:
            writer.write_table(table, row_group_size=100)
            writer.add_key_value_metadata({"joblog.xxh3_128": "0" * 32})
        return hashed(sink.getvalue().to_pybytes())
    plain = data if settings.format == "raw" else "".join(map(_json, rows)).encode()
    if settings.compression == "none":
        return plain
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, settings.compression) as stream:
        stream.write(plain)
    return sink.getvalue().to_pybytes()


def hashed(body: bytes) -> bytes:
    """The object with the hash of itself in place of the zeros."""
    key = b"joblog.xxh3_128"
    at = body.rindex(key) + len(key)
    digits = body.index(b"0" * 32, at)
    return body[:digits] + xxh3_128_hexdigest(body).encode() + body[digits + 32 :]


def _json(row: Row) -> str:
    return json.dumps({name: _value(value) for name, value in row.items() if value is not None}) + "\n"


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def changed(record: BatchRecord, index: int = 0, **values) -> BatchRecord:
    """The record with one span changed."""
    spans = list(record.spans)
    spans[index] = replace(spans[index], **values)
    return replace(record, spans=tuple(spans))
