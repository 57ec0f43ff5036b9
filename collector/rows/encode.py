"""Columns → the bytes of one object: Parquet, NDJSON or raw. Native code does the work, in row groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from collector.model import BatchSettings, FileId, Origin
from collector.rows.body import Body
from collector.rows.ndjson import json_lines
from collector.rows.schema import ORIGIN_COLUMNS, UNSORTED_COLUMNS, UTC_MICROSECONDS, schema

ZSTD_LEVEL = 1

PAGE_BYTES = 2 << 20
"""Before compression. With pages of half the size objects are a tenth larger, and take longer to write."""

WRITE_ROWS = 8192
"""Rows that the writer encodes at a time: with its 1,024 a tenth of its time is spent between them."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The rows of one arena, detached from it. `files`, `starts`, `ends`, `counts` have one element a read;
    `offset`, `message`, `raw` (None: all null), `eol` one a row. `contents` is for raw objects only.
    """

    files: tuple[tuple[FileId, Origin], ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    counts: NDArray[np.int64]
    offset: NDArray[np.int64]
    message: pa.StringArray
    raw: pa.BinaryArray | None
    eol: NDArray[np.bool_]
    observed_us: int
    contents: tuple[bytes, ...]

    @property
    def bytes(self) -> int:
        """What the rows were in their files."""
        return sum(self.ends) - sum(self.starts)


class Encoder(Protocol):
    """Makes one object. `write` and `finish` are called in order, from one thread at a time.

    `made` is how many bytes of it were made so far, and of how many bytes of files; another thread may ask.
    """

    made: tuple[int, int]

    def write(self, parts: Sequence[Part]) -> None: ...

    def finish(self, spans: Sequence[tuple[FileId, int, int]]) -> memoryview:
        """The object; `spans` are file, start and end offset, in the order of the record."""


def encoder(settings: BatchSettings, fields: Sequence[str]) -> Encoder:
    if settings.format == "parquet":
        return ParquetEncoder(settings, fields)
    if settings.format == "ndjson":
        return NdjsonEncoder(settings, fields)
    return RawEncoder(settings)


def table(parts: Sequence[Part], fields: Sequence[str]) -> pa.Table:
    """All columns of the parts, in the order of the schema."""
    files = [file for part in parts for file in part.files]
    counts = np.concatenate([part.counts for part in parts])
    rows = [len(part.offset) for part in parts]
    wanted = schema(fields)
    values = {
        **_origin_columns(files, counts, fields),
        "generation": np.repeat(np.array([file.generation for file, _ in files], np.int32), counts),
        "offset": np.concatenate([part.offset for part in parts]),
        "observed_at": pa.array(np.repeat([part.observed_us for part in parts], rows)).cast(UTC_MICROSECONDS),
        "message": pa.chunked_array([part.message for part in parts]),
        "raw": pa.chunked_array([_raw(part) for part in parts]),
        "eol": np.concatenate([part.eol for part in parts]),
    }
    columns = [
        values[field.name] if field.name in values else pa.nulls(sum(rows), field.type) for field in wanted
    ]
    return pa.table(columns, schema=wanted)


def _raw(part: Part) -> pa.BinaryArray:
    return pa.nulls(len(part.offset), pa.binary()) if part.raw is None else part.raw


def _origin_columns(
    files: Sequence[tuple[FileId, Origin]], counts: NDArray[np.int64], fields: Sequence[str]
) -> dict[str, pa.Array]:
    repeated: dict[bytes, pa.Array] = {}

    def text(values: Sequence[str | None]) -> pa.DictionaryArray:
        encoded = pa.array(values, pa.string()).dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy()
        key = codes.tobytes()  # most columns change with the source, or not at all: they share their indices
        if key not in repeated:
            repeated[key] = _repeat(codes, counts)
        return pa.DictionaryArray.from_arrays(repeated[key], encoded.dictionary)

    columns = {name: text([getattr(origin, name) for _, origin in files]) for name in ORIGIN_COLUMNS}
    columns["source"] = text([file.source for file, _ in files])
    columns["path"] = text([file.path for file, _ in files])
    for name in fields:
        columns[name] = text([dict(origin.fields).get(name) for _, origin in files])
    scheduled = pa.array([origin.scheduled_at for _, origin in files], UTC_MICROSECONDS)
    columns["scheduled_at"] = scheduled.take(pa.array(np.repeat(np.arange(len(files)), counts)))
    return columns


def _repeat(codes: NDArray[np.int32], counts: NDArray[np.int64]) -> pa.Array:
    """The index `codes[i]`, null where it is negative, `counts[i]` times."""
    repeated = np.repeat(codes, counts)
    return pa.array(repeated, pa.int32(), mask=repeated < 0 if (codes < 0).any() else None)


class ParquetEncoder:
    """Each `write` is a row group."""

    def __init__(self, settings: BatchSettings, fields: Sequence[str]) -> None:
        self.made = 0, 0
        self._fields = fields
        wanted = schema(fields)
        dictionaries = [field.name for field in wanted if pa.types.is_dictionary(field.type)]
        codec = settings.compression
        self._body = Body()
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._body, mode="w"),
            wanted,
            compression=codec,
            compression_level=ZSTD_LEVEL if codec == "zstd" else None,
            use_dictionary=dictionaries,
            write_statistics=[field.name for field in wanted if field.name not in UNSORTED_COLUMNS],
            column_encoding={"offset": "DELTA_BINARY_PACKED"},
            write_batch_size=WRITE_ROWS,
            data_page_size=PAGE_BYTES,
            write_page_checksum=True,
        )

    def write(self, parts: Sequence[Part]) -> None:
        rows = table(parts, self._fields)
        self._writer.write_table(rows, row_group_size=max(1, len(rows)))
        self.made = self._body.size, self.made[1] + sum(part.bytes for part in parts)

    def finish(self, spans: Sequence[tuple[FileId, int, int]]) -> memoryview:
        self._writer.close()
        return self._body.view()


class NdjsonEncoder:
    def __init__(self, settings: BatchSettings, fields: Sequence[str]) -> None:
        self.made = 0, 0
        self._fields = fields
        self._body, self._stream = _compressed(settings)

    def write(self, parts: Sequence[Part]) -> None:
        for block in json_lines(table(parts, self._fields)):
            self._stream.write(block)
        self.made = self._body.size, self.made[1] + sum(part.bytes for part in parts)

    def finish(self, spans: Sequence[tuple[FileId, int, int]]) -> memoryview:
        self._stream.close()
        return self._body.view()


class RawEncoder:
    """The spans' bytes one after the other, so all are kept until the order of the spans is known."""

    def __init__(self, settings: BatchSettings) -> None:
        self.made = 0, 0
        self._settings = settings
        self._reads: dict[tuple[FileId, int], tuple[int, bytes]] = {}

    def write(self, parts: Sequence[Part]) -> None:
        for part in parts:
            for (file, _), start, end, content in zip(
                part.files, part.starts, part.ends, part.contents, strict=True
            ):
                self._reads[file, start] = (end, content)
        size = self.made[1] + sum(part.bytes for part in parts)
        self.made = size, size

    def finish(self, spans: Sequence[tuple[FileId, int, int]]) -> memoryview:
        body, stream = _compressed(self._settings)
        for file, start, end in spans:
            position = start
            while position < end:
                position, content = self._reads.pop((file, position))
                stream.write(content)
        stream.close()
        return body.view()


def _compressed(settings: BatchSettings) -> tuple[Body, Body | pa.NativeFile]:
    """A body and the stream that writes into it through the codec. To close the stream leaves the body."""
    body = Body()
    if settings.compression == "none":
        return body, body
    return body, pa.CompressedOutputStream(pa.PythonFile(body, mode="w"), settings.compression)
