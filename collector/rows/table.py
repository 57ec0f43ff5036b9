"""The rows of a row group as columns: those that differ from row to row, and those that are said in runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, compress, pairwise
from operator import ne
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.model import FileId, Origin
from collector.rows.block import numbers, truths
from collector.rows.encodings import needs_bloom_filter
from collector.rows.runs import Run, Said
from collector.rows.schema import EPOCH, MICROSECOND, NO_STREAM, ORIGIN_COLUMNS, STREAMS, UTC_MICROSECONDS

if TYPE_CHECKING:
    from collector.rows.parse.parser import Parser

MOST_RUNS = 64
"""Columns that change more often within a row group are left to Arrow's writer: it is quicker then."""

OPTIONAL_COLUMNS = ("time", "stream", "raw")
"""Those of a `Part` that may be None."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The rows of one arena, detached from it. `files`, `starts`, `ends`, `counts` have one element a read;
    `offset`, `message`, `raw`, `eol`, `time` and `stream` one a row (None: all null), of `stream` its number
    in `STREAMS`, negative for null. `contents` is for raw objects only. `has_room`: nobody reads what the
    memory of `message` has before the first row.
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
    has_room: bool = False

    @property
    def bytes(self) -> int:
        """What the rows were in their files."""
        return sum(self.ends) - sum(self.starts)


def table(
    parts: Sequence[Part],
    said: Mapping[str, Sequence[Said]],
    wanted: Sequence[pa.Field],
    parser: Parser | None = None,
) -> tuple[pa.Table, int]:
    """The wanted columns of the parts, and how many rows the parser could not read; `said` is by read."""
    counts = np.concatenate([part.counts for part in parts])
    rows = [len(part.offset) for part in parts]
    names = {field.name for field in wanted}
    values = _repeated({name: said[name] for name in said if name in names}, counts)
    if "offset" in names:
        values["offset"] = numbers(np.concatenate([part.offset for part in parts]))
    if "message" in names:
        values["message"] = pa.chunked_array([part.message for part in parts])
    if "eol" in names:
        values["eol"] = truths(np.concatenate([part.eol for part in parts]))
    present = names & _present(parts)
    if "time" in present:
        values["time"] = _filled([part.time for part in parts], rows, UTC_MICROSECONDS)
    if "raw" in present:
        values["raw"] = _filled([part.raw for part in parts], rows, pa.binary())
    if "stream" in present:
        codes = streams(parts)
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
    there = {*_present(parts), *(parser.names if parser else ())}
    for name in OPTIONAL_COLUMNS:
        if name not in there:
            found[name] = [(None, until[-1])]
    return found


def _present(parts: Sequence[Part]) -> set[str]:
    """The optional columns that are not null in all rows."""
    return {name for name in OPTIONAL_COLUMNS if any(getattr(part, name) is not None for part in parts)}


def _microseconds(time: datetime | None) -> int | None:
    return None if time is None else (time - EPOCH) // MICROSECOND


def _joined(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], columns[0].type)


def _filled(columns: Sequence[pa.Array | None], rows: Sequence[int], kind: pa.DataType) -> pa.ChunkedArray:
    chunks = [
        pa.nulls(count, kind) if column is None else column
        for column, count in zip(columns, rows, strict=True)
    ]
    return pa.chunked_array(chunks, kind)


def streams(parts: Sequence[Part]) -> NDArray[np.int8]:
    """A number of `STREAMS` a row, negative for null."""
    nulls = (np.full(len(part.offset), NO_STREAM, np.int8) for part in parts)
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
