"""Columns → the bytes of one object: Parquet, NDJSON or raw. Native code does the work, in row groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from collector.model import BatchSettings, FileId
from collector.object_hash import KEY, ZEROS, write_hash
from collector.rows.block import Block
from collector.rows.body import Body, Memory
from collector.rows.chunk import ZSTD_LEVEL, Chunk
from collector.rows.encodings import bloom_filters, constants, encodings
from collector.rows.footer import RowGroups
from collector.rows.ndjson import json_lines
from collector.rows.packed import numbers_chunk, text_chunk, truths_chunk
from collector.rows.runs import bits_chunk, runs_chunk
from collector.rows.schema import STREAMS, UNSORTED_COLUMNS, schema
from collector.rows.table import Part, runs, said_by_read, streams, table

if TYPE_CHECKING:
    from collector.rows.parse.parser import Parser

PAGE_BYTES = 2 << 20
"""Of what Arrow writes, before compression."""

PAGE_ROWS = 1 << 20
"""No limit beside that of bytes: with Arrow's 20,000 rows the columns of metadata come in several pages a row
group, which take a twentieth of the time.
"""

WRITE_ROWS = 8192
"""Rows that the writer encodes at a time: with its 1,024 a tenth of its time is spent between them."""


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
        self._groups = RowGroups(self._body)

    def _empty(self) -> memoryview:
        """An object without rows."""
        from pyarrow import parquet as pq  # noqa: PLC0415 - see _by_arrow

        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, self._schema) as writer:
            writer.add_key_value_metadata({KEY: ZEROS})
        return memoryview(sink.getvalue())

    def prepare(self, parts: Sequence[Part]) -> Step:
        said = said_by_read(parts, self._fields)
        seldom = runs(parts, said, self._parser)
        ours = {name: runs_chunk(self._schema.field(name), seldom[name]) for name in seldom}
        if "stream" not in ours:
            ours["stream"] = bits_chunk(self._schema.field("stream"), STREAMS, streams(parts))
        ours |= self._packed(parts)
        wanted = [field for field in self._schema if field.name not in ours]
        rows, unparsed = table(parts, said, wanted, self._parser)
        if self._parser:
            never = constants(rows, ["message", *(name for name, _ in self._parser.columns)])
            ours |= {name: runs_chunk(self._schema.field(name), never[name]) for name in never}
            rows = rows.drop_columns(list(never))
        file = self._by_arrow(rows) if rows.num_columns else None
        size = sum(part.bytes for part in parts)
        others = {self._schema.get_field_index(name): chunk for name, chunk in ours.items()}

        def step() -> None:
            self._groups.add(file, others)
            self.unparsed += unparsed
            self.made = self._body.size, self.made[1] + size

        return step

    def _packed(self, parts: Sequence[Part]) -> dict[str, Chunk]:
        """The columns that need no look at a single row."""
        found = {"eol": truths_chunk("eol", np.concatenate([part.eol for part in parts]), self._codec)}
        offsets = numbers_chunk("offset", np.concatenate([part.offset for part in parts]), self._codec)
        if offsets is not None:
            found["offset"] = offsets
        if self._parser is None:
            messages = [Block.of(part.message, has_room=part.has_room) for part in parts]
            found["message"] = text_chunk("message", messages, self._codec)
        return found

    def _by_arrow(self, rows: pa.Table) -> memoryview:
        """From the rows it is learnt how columns are written of which nothing else is known."""
        from pyarrow import parquet as pq  # noqa: PLC0415 - slow to import; here others go on meanwhile

        parsed = self._parser.columns if self._parser else ()
        # Texts come in any order: each row group has nearly all between its first and last.
        unsorted = {*UNSORTED_COLUMNS, *(name for name, kind in parsed if kind == "string")}
        dictionaries = [field.name for field in rows.schema if pa.types.is_dictionary(field.type)]
        unknown = [name for name in ("time", *(name for name, _ in parsed)) if name in rows.schema.names]
        repeating, others = encodings(rows, unknown)
        if "offset" in rows.schema.names:
            others["offset"] = "DELTA_BINARY_PACKED"
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(
            sink,
            rows.schema,
            compression=self._codec,
            compression_level=ZSTD_LEVEL if self._codec == "zstd" else None,
            use_dictionary=[*dictionaries, *repeating],
            write_statistics=[name for name in rows.schema.names if name not in unsorted],
            column_encoding=others,
            write_batch_size=WRITE_ROWS,
            data_page_size=PAGE_BYTES,
            max_rows_per_page=PAGE_ROWS,
            write_page_checksum=True,
            bloom_filter_options=bloom_filters(rows),
        ) as writer:
            writer.write_table(rows, row_group_size=max(1, len(rows)))
        return memoryview(sink.getvalue())

    def finish(self, spans: Iterable[tuple[FileId, int, int]]) -> memoryview:
        self._groups.finish(self._empty())
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
