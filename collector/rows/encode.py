"""Columns → the bytes of one object: Parquet, NDJSON or raw. Native code does the work, in row groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, compress, pairwise
from operator import ne
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from collector.model import BatchSettings, FileId, Origin
from collector.object_hash import KEY, ZEROS, write_hash
from collector.rows.block import numbers, truths
from collector.rows.body import Body, Memory
from collector.rows.encodings import bloom_filters, constants, encodings, needs_bloom_filter
from collector.rows.footer import RowGroups
from collector.rows.ndjson import json_lines
from collector.rows.runs import Run, Said, bits_chunk, runs_chunk
from collector.rows.schema import ORIGIN_COLUMNS, STREAMS, UNSORTED_COLUMNS, UTC_MICROSECONDS, schema

if TYPE_CHECKING:
    from collector.rows.parse.parser import Parser

ZSTD_LEVEL = 1

PAGE_BYTES = 2 << 20
"""Before compression. With pages of half the size objects are a tenth larger, and take longer to write."""

PAGE_ROWS = 1 << 20
"""No limit beside that of bytes: with Arrow's 20,000 rows the columns of metadata come in several pages a row
group, which take a twentieth of the time.
"""

MOST_RUNS = 64
"""Columns that change more often within a row group are left to Arrow's writer: it is quicker then."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

WRITE_ROWS = 8192
"""Rows that the writer encodes at a time: with its 1,024 a tenth of its time is spent between them."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The rows of one arena, detached from it. `files`, `starts`, `ends`, `counts` have one element a read;
    `offset`, `message`, `raw`, `eol`, `time` and `stream` one a row (None: all null), of `stream` its number
    in `STREAMS`, negative for null. `contents` is for raw objects only.
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
    contents: tuple[pa.Buffer, ...]
    time: pa.TimestampArray | None = None
    stream: NDArray[np.int8] | None = None

    @property
    def bytes(self) -> int:
        """What the rows were in their files."""
        return sum(self.ends) - sum(self.starts)


Step = Callable[[], None]
"""Adds to an object what was prepared for it."""


class Encoder(Protocol):
    """Makes one object. Any thread may `prepare`, several at once; the steps that this returns, and `finish`,
    are called in the order of the parts, from one thread at a time.

    `made` is how many bytes of it were made so far, and of how many bytes of files; another thread may ask.
    `unparsed` rows are those that `parse` could not read, or not wholly.
    """

    made: tuple[int, int]
    unparsed: int

    def prepare(self, parts: Sequence[Part]) -> Step: ...

    def finish(self, spans: Iterable[tuple[FileId, int, int]]) -> memoryview:
        """The object; `spans` are file, start and end offset, in the order of the record."""


def encoder(settings: BatchSettings, fields: Sequence[str], memory: Memory | None = None) -> Encoder:
    """`memory` is that of objects before, to make this one in."""
    body = Body(memory)
    if settings.format == "parquet":
        return ParquetEncoder(settings, fields, body)
    if settings.format == "ndjson":
        return NdjsonEncoder(settings, fields, body)
    return RawEncoder(settings, body)


def table(
    parts: Sequence[Part],
    said: Mapping[str, Sequence[Said]],
    wanted: Sequence[pa.Field],
    parser: Parser | None = None,
) -> tuple[pa.Table, int]:
    """The wanted columns of the parts, and how many rows the parser could not read; `said` is by read."""
    counts = np.concatenate([part.counts for part in parts])
    rows = [len(part.offset) for part in parts]
    values: dict[str, object] = {
        **_repeated({field.name: said[field.name] for field in wanted if field.name in said}, counts),
        "offset": numbers(np.concatenate([part.offset for part in parts])),
        "message": pa.chunked_array([part.message for part in parts]),
        "time": _filled([part.time for part in parts], rows, UTC_MICROSECONDS),
        "raw": _filled([part.raw for part in parts], rows, pa.binary()),
        "eol": truths(np.concatenate([part.eol for part in parts])),
    }
    if any(field.name == "stream" for field in wanted):
        codes = _streams(parts)
        values["stream"] = pa.array(STREAMS).take(pa.array(codes, mask=codes < 0))
    unparsed = 0
    if parser:
        parsed = [parser.parse(part.message) for part in parts]
        unparsed = sum(each.unparsed for each in parsed)
        values["message"] = _joined([each.message for each in parsed])
        filled = {name: _joined([each.columns[name] for each in parsed]) for name in parser.names}
        if "time" in filled and "time" in values:
            filled["time"] = pc.coalesce(filled["time"], values["time"])
        values |= filled
    columns = [
        values[field.name] if field.name in values else pa.nulls(sum(rows), field.type) for field in wanted
    ]
    return pa.table(columns, schema=pa.schema(wanted)), unparsed


def said_by_read(parts: Sequence[Part], fields: Sequence[str]) -> dict[str, list[Said]]:
    """What is the same in all rows of a read, by column: an element a read."""
    files = [file for part in parts for file in part.files]
    origins = [origin for _, origin in files]
    said: dict[str, list[Said]] = {name: [getattr(of, name) for of in origins] for name in ORIGIN_COLUMNS}
    said["scheduled_at"] = [_microseconds(of.scheduled_at) for of in origins]
    said["source"] = [file.source for file, _ in files]
    said["path"] = [file.path for file, _ in files]
    said["generation"] = [file.generation for file, _ in files]
    said["observed_at"] = [part.observed_us for part in parts for _ in part.files]
    for name in fields:
        said[name] = [dict(of.fields).get(name) for of in origins]
    return said


def runs(
    parts: Sequence[Part], said: Mapping[str, Sequence[Said]], parser: Parser | None = None
) -> dict[str, Sequence[Run]]:
    """The columns of the parts that hardly ever change, as runs; `said` is by read."""
    until = list(accumulate((count for part in parts for count in part.counts.tolist()), initial=0))
    found: dict[str, Sequence[Run]] = {}
    for name, column in said.items():
        changes = list(compress(range(1, len(column)), map(ne, column, column[1:])))
        if len(changes) < MOST_RUNS and not needs_bloom_filter(name, column):
            ends = pairwise((0, *changes, len(column)))
            found[name] = [(column[first], until[end] - until[first]) for first, end in ends]
    filled = parser.names if parser else ()
    for name in ("time", "stream", "raw"):
        if name not in filled and all(getattr(part, name) is None for part in parts):
            found[name] = [(None, until[-1])]
    return found


def _microseconds(time: datetime | None) -> int | None:
    return None if time is None else (time - EPOCH) // timedelta(microseconds=1)


def _joined(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], columns[0].type)


def _filled(columns: Sequence[pa.Array | None], rows: Sequence[int], kind: pa.DataType) -> pa.ChunkedArray:
    chunks = [
        pa.nulls(count, kind) if column is None else column
        for column, count in zip(columns, rows, strict=True)
    ]
    return pa.chunked_array(chunks, kind)


def _streams(parts: Sequence[Part]) -> NDArray[np.int8]:
    """A number of `STREAMS` a row, negative for null."""
    nulls = (np.full(len(part.offset), -1, np.int8) for part in parts)
    return np.concatenate(
        [none if part.stream is None else part.stream for part, none in zip(parts, nulls, strict=True)]
    )


def _repeated(said: Mapping[str, Sequence[Said]], counts: NDArray[np.int64]) -> dict[str, object]:
    """What each read says, once a row."""
    repeated: dict[bytes, pa.Array] = {}

    def text(values: Sequence[Said]) -> pa.DictionaryArray:
        encoded = pa.array(values, pa.string()).dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy()
        key = codes.tobytes()  # most columns change with the source, or not at all: they share their indices
        if key not in repeated:
            repeated[key] = _repeat(codes, counts)
        # Not `safe`: each index would be checked, and they are the dictionary's own.
        return pa.DictionaryArray.from_arrays(repeated[key], encoded.dictionary, safe=False)

    columns: dict[str, object] = {}
    for name, values in said.items():
        if name == "generation":
            columns[name] = np.repeat(np.array(values, np.int32), counts)
        elif name in {"observed_at", "scheduled_at"}:
            reads = pa.array(np.repeat(np.arange(len(values)), counts))
            columns[name] = pa.array(values, pa.int64()).cast(UTC_MICROSECONDS).take(reads)
        else:
            columns[name] = text(values)
    return columns


def _repeat(codes: NDArray[np.int32], counts: NDArray[np.int64]) -> pa.Array:
    """The index `codes[i]`, null where it is negative, `counts[i]` times."""
    repeated = np.repeat(codes, counts)
    return pa.array(repeated, mask=repeated < 0) if (codes < 0).any() else numbers(repeated)


def _parser(settings: BatchSettings) -> Parser | None:
    if settings.parse is None:
        return None
    from collector.rows.parse.parser import Parser  # noqa: PLC0415 - slow to import; most volumes need none

    return Parser(settings.parse)


def _schema(fields: Sequence[str], parser: Parser | None) -> pa.Schema:
    return schema(fields, parser.columns if parser else ())


class ParquetEncoder:
    """Each `prepare` makes a row group."""

    def __init__(self, settings: BatchSettings, fields: Sequence[str], body: Body) -> None:
        self.made, self.unparsed = (0, 0), 0
        self._codec, self._fields, self._parser = settings.compression, fields, _parser(settings)
        self._schema = _schema(fields, self._parser)
        self._body = body
        self._groups = RowGroups(self._body, self._empty())

    def _empty(self) -> memoryview:
        """An object without rows."""
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, self._schema) as writer:
            writer.add_key_value_metadata({KEY: ZEROS})
        return memoryview(sink.getvalue())

    def _writer(self, sink: pa.NativeFile, rows: pa.Table) -> pq.ParquetWriter:
        """From the rows it is learnt how columns are written of which nothing else is known."""
        parsed = self._parser.columns if self._parser else ()
        # Texts come in any order: each row group has nearly all between its first and last.
        unsorted = {*UNSORTED_COLUMNS, *(name for name, kind in parsed if kind == "string")}
        dictionaries = [field.name for field in rows.schema if pa.types.is_dictionary(field.type)]
        unknown = [name for name in ("time", *(name for name, _ in parsed)) if name in rows.schema.names]
        repeating, others = encodings(rows, unknown)
        return pq.ParquetWriter(
            sink,
            rows.schema,
            compression=self._codec,
            compression_level=ZSTD_LEVEL if self._codec == "zstd" else None,
            use_dictionary=[*dictionaries, *repeating],
            write_statistics=[name for name in rows.schema.names if name not in unsorted],
            column_encoding={"offset": "DELTA_BINARY_PACKED", **others},
            write_batch_size=WRITE_ROWS,
            data_page_size=PAGE_BYTES,
            max_rows_per_page=PAGE_ROWS,
            write_page_checksum=True,
            bloom_filter_options=bloom_filters(rows),
        )

    def prepare(self, parts: Sequence[Part]) -> Step:
        said = said_by_read(parts, self._fields)
        seldom = runs(parts, said, self._parser)
        ours = {name: runs_chunk(self._schema.field(name), seldom[name]) for name in seldom}
        if "stream" not in ours:
            ours["stream"] = bits_chunk(self._schema.field("stream"), STREAMS, _streams(parts))
        wanted = [field for field in self._schema if field.name not in ours]
        rows, unparsed = table(parts, said, wanted, self._parser)
        if self._parser:
            never = constants(rows, ["message", *(name for name, _ in self._parser.columns)])
            ours |= {name: runs_chunk(self._schema.field(name), never[name]) for name in never}
            rows = rows.drop_columns(list(never))
        sink = pa.BufferOutputStream()
        with self._writer(sink, rows) as writer:
            writer.write_table(rows, row_group_size=max(1, len(rows)))
        file, size = sink.getvalue(), sum(part.bytes for part in parts)
        others = {self._schema.get_field_index(name): chunk for name, chunk in ours.items()}

        def step() -> None:
            self._groups.add(memoryview(file), others)
            self.unparsed += unparsed
            self.made = self._body.size, self.made[1] + size

        return step

    def finish(self, spans: Iterable[tuple[FileId, int, int]]) -> memoryview:
        self._groups.finish()
        body = self._body.view()
        write_hash(body)
        return body


class NdjsonEncoder:
    def __init__(self, settings: BatchSettings, fields: Sequence[str], body: Body) -> None:
        self.made, self.unparsed = (0, 0), 0
        self._fields, self._parser = fields, _parser(settings)
        self._schema = _schema(fields, self._parser)
        self._body, self._stream = body, _compressed(settings, body)

    def prepare(self, parts: Sequence[Part]) -> Step:
        rows, unparsed = table(parts, said_by_read(parts, self._fields), list(self._schema), self._parser)
        size = sum(part.bytes for part in parts)

        def step() -> None:
            for block in json_lines(rows):
                self._stream.write(block)
            self.unparsed += unparsed
            self.made = self._body.size, self.made[1] + size

        return step

    def finish(self, spans: Iterable[tuple[FileId, int, int]]) -> memoryview:
        self._stream.close()
        return self._body.view()


class RawEncoder:
    """The spans' bytes one after the other. Those of the first one are compressed as they come; the others
    are kept until it is known where the spans before them end.
    """

    def __init__(self, settings: BatchSettings, body: Body) -> None:
        self.made, self.unparsed = (0, 0), 0
        self._body, self._stream = body, _compressed(settings, body)
        self._next: tuple[FileId, int] | None = None
        """Where the first span goes on."""
        self._kept: dict[tuple[FileId, int], tuple[int, pa.Buffer]] = {}
        self._kept_bytes = 0

    def prepare(self, parts: Sequence[Part]) -> Step:
        return lambda: self._write(parts)

    def _write(self, parts: Sequence[Part]) -> None:
        for part in parts:
            for (file, _), start, end, content in zip(
                part.files, part.starts, part.ends, part.contents, strict=True
            ):
                if self._next in (None, (file, start)):
                    self._stream.write(content)
                    self._next = file, end
                else:
                    self._kept[file, start] = end, content
                    self._kept_bytes += len(content)
        self.made = (
            self._body.size + self._kept_bytes,
            self.made[1] + sum(part.bytes for part in parts),
        )

    def finish(self, spans: Iterable[tuple[FileId, int, int]]) -> memoryview:
        for number, (file, start, end) in enumerate(spans):
            position = start
            if number == 0 and self._next is not None:
                position = self._next[1]
            while position < end:
                position, content = self._kept.pop((file, position))
                self._stream.write(content)
        self._stream.close()
        return self._body.view()


def _compressed(settings: BatchSettings, body: Body) -> Body | pa.NativeFile:
    """A stream that writes into the body through the codec. To close it leaves what was written."""
    if settings.compression == "none":
        return body
    return pa.CompressedOutputStream(body.buffered(), settings.compression)
