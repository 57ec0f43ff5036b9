"""The rows of one object as columns, whatever its format; in batches, so that memory stays small.

Two readers ask for different things. Proof wants the exact bytes of long runs of rows (`proof_rows`);
people want the columns of a few files (`file_batches`). Neither makes a Python object of a row.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from collector.errors import ExportDamaged
from collector.model import BatchRecord, BatchSettings, FileId, Origin, Span, VoidRecord
from collector.object_hash import fits_hash
from collector.query.export import damaged
from collector.query.fields import field_columns
from collector.query.raw import RawBlock, plain_size, plain_stream, raw_blocks
from collector.value import value

DICTIONARY = pa.dictionary(pa.int32(), pa.string())
UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")
ORIGIN_COLUMNS = ("namespace", "job", "pod", "container", "pod_ip", "node_ip", "node", "cronjob")
COLUMNS: dict[str, pa.DataType] = {
    **dict.fromkeys(ORIGIN_COLUMNS, DICTIONARY),
    "scheduled_at": UTC_MICROSECONDS,
    "source": DICTIONARY,
    "path": DICTIONARY,
    "generation": pa.int32(),
    "offset": pa.int64(),
    "observed_at": UTC_MICROSECONDS,
    "time": UTC_MICROSECONDS,
    "stream": pa.string(),
    "message": pa.string(),
    "raw": pa.binary(),
    "eol": pa.bool_(),
}
FILE_COLUMNS = ("source", "path", "generation")
PROOF_COLUMNS = (*FILE_COLUMNS, "offset", "message", "raw", "eol")
TEXT_COLUMNS = (*PROOF_COLUMNS, "observed_at")
NEVER_NULL = (*FILE_COLUMNS, "offset", "eol")

BATCH_BYTES = 16 << 20
LEAST_BATCH_ROWS, MOST_BATCH_ROWS = 1024, 1 << 18
JSON_BLOCK_BYTES = 8 << 20
MOST_JSON_BYTES = 128 << 20
LONGEST_JSON_PER_BYTE = 8
"""A byte of a line takes at most six in a JSON string, and two more where `raw` says it again."""


Place = tuple[FileId, int, int]
"""Bytes [start, end) of a file."""


@value
class ObjectRef:
    """One object, and what its record says of it; `spans` are all of the record, or those of interest.

    A raw object can only be read with all of them. `lost` are those that void records say are gone: the
    object may have come without them.
    """

    key: str
    settings: BatchSettings
    spans: tuple[tuple[Origin, Span], ...]
    lost: frozenset[Place] = frozenset()

    @classmethod
    def of(cls, record: BatchRecord, voids: Iterable[VoidRecord] = ()) -> ObjectRef:
        try:
            spans = tuple((record.origins[span.origin], span) for span in record.spans)
        except IndexError:
            raise ExportDamaged(f"{record.object_key}: its record has a span without origin") from None
        losses = (loss for void in voids for loss in void.losses)
        lost = frozenset(
            (FileId(each.source, each.path, each.generation), each.start, each.end) for each in losses
        )
        return cls(record.object_key, record.settings, spans, lost)

    def is_lost(self, origin: Origin, span: Span) -> bool:
        return (file_of(origin, span), span.start, span.end) in self.lost


@dataclass(frozen=True, slots=True, eq=False)
class FileRows:
    """Rows of one file in the order of the object. `data` is their bytes, line feeds included, joined.

    `offsets` and `lengths` (in bytes, line feed included) and `eol` have one element a row. `odd` are the
    columns that say something else of whose rows these are than the record does.
    """

    file: FileId
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    eol: NDArray[np.bool_]
    data: memoryview
    odd: tuple[str, ...] = ()


def file_of(origin: Origin, span: Span) -> FileId:
    return FileId(origin.source, span.path, span.generation)


def proof_rows(body: bytes, ref: ObjectRef) -> Iterator[FileRows]:
    """All rows of the object with their bytes. Raises ExportDamaged where it is not what was written."""
    if ref.settings.format == "raw":
        for block in _raw_blocks(body, ref):
            file = file_of(block.origin, block.span)
            yield FileRows(file, block.offsets, block.lengths, block.eol, memoryview(block.data))
        return
    if ref.settings.format == "parquet" and not fits_hash(body):
        raise ExportDamaged(f"{ref.key}: its bytes are not those that were written")
    origins = {file_of(origin, span): origin for origin, span in ref.spans}
    for batch in _batches(body, ref, None, None):  # all columns: each must be readable
        yield from _proofs(batch, ref, origins)


def file_batches(
    body: bytes, ref: ObjectRef, wanted: frozenset[FileId], columns: Sequence[str] | None
) -> Iterator[tuple[FileId, pa.RecordBatch]]:
    """The rows of the wanted files, file by file within each batch; `columns` None means all.

    Raises ExportDamaged where the object cannot be read.
    """
    if ref.settings.format == "raw":
        for block in _raw_blocks(body, ref):
            file = file_of(block.origin, block.span)
            if file in wanted:
                yield file, _raw_batch(block, file)
        return
    sources = frozenset(file.source for file in wanted)
    if columns is not None and ref.settings.drops_messages:
        columns = [*columns, *field_columns(ref.settings)]
    for batch in _batches(body, ref, columns, sources):
        ordered, runs = _runs(batch)
        for file, start, stop in runs:
            if file in wanted:
                yield file, ordered.slice(start, stop - start)


def content(batch: pa.RecordBatch) -> pa.LargeBinaryArray:
    """Each row's bytes as they stood in the file, with the line feed where there was one."""
    text = pc.coalesce(batch["raw"].cast(pa.large_binary()), batch["message"].cast(pa.large_binary()))
    binary = pa.large_binary()
    line_feeds = pc.if_else(batch["eol"], pa.scalar(b"\n", binary), pa.scalar(b"", binary))
    return pc.binary_join_element_wise(text, line_feeds, pa.scalar(b"", binary))


def joined(rows: pa.LargeBinaryArray) -> tuple[memoryview, NDArray[np.int64]]:
    """All bytes of `rows` one after the other, not copied; where each row begins, and the last ends."""
    _, offsets, data = rows.buffers()
    bounds = np.frombuffer(offsets, np.int64)[rows.offset : rows.offset + len(rows) + 1]
    return memoryview(data if data is not None else b""), bounds


def lengths_of(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Each row's length in bytes in the file, line feed included; where the line was not kept, that alone."""
    text = pc.coalesce(pc.binary_length(batch["raw"]), pc.binary_length(batch["message"]), 0)
    lengths = text.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return np.asarray(lengths + batch["eol"].to_numpy(zero_copy_only=False), np.int64)


def _proofs(batch: pa.RecordBatch, ref: ObjectRef, origins: dict[FileId, Origin]) -> Iterator[FileRows]:
    ordered, runs = _runs(batch)
    rows = content(ordered)
    if ref.settings.drops_messages:
        rows = pa.array([b""] * len(rows), pa.large_binary())  # some are null, and none proves anything
    if rows.null_count:
        raise ExportDamaged(f"{ref.key}: a row has neither message nor raw")
    data, bounds = joined(rows)
    offsets = ordered["offset"].to_numpy()
    eol = ordered["eol"].to_numpy(zero_copy_only=False)
    lengths = np.diff(bounds)
    odd = _odd_columns(ordered, runs, origins)
    for (file, start, stop), names in zip(runs, odd, strict=True):
        at = slice(start, stop)
        yield FileRows(file, offsets[at], lengths[at], eol[at], data[bounds[start] : bounds[stop]], names)


def _odd_columns(
    batch: pa.RecordBatch, runs: Sequence[tuple[FileId, int, int]], origins: dict[FileId, Origin]
) -> list[tuple[str, ...]]:
    """For each run, the columns in which a row has another value than its origin in the record."""
    starts = np.array([start for _, start, _ in runs], np.int64)
    whose = [origins.get(file) for file, _, _ in runs]
    odd: list[tuple[str, ...]] = [()] * len(runs)
    for name in ORIGIN_COLUMNS if len(batch) else ():
        codes, values = _codes(batch, name)
        steady = np.minimum.reduceat(codes, starts) == np.maximum.reduceat(codes, starts)
        first = codes[starts].tolist()
        for run, origin in enumerate(whose):
            if origin and not (steady[run] and values[first[run]] == getattr(origin, name)):
                odd[run] = (*odd[run], name)
    return odd


def _codes(batch: pa.RecordBatch, name: str) -> tuple[NDArray[np.int64], list[str | None]]:
    """A text column as numbers, and what each stands for; null is the last."""
    if name not in batch.schema.names:
        return np.zeros(len(batch), np.int64), [None]
    column = batch[name]
    values = [*column.dictionary.to_pylist(), None]
    return column.indices.fill_null(len(values) - 1).to_numpy().astype(np.int64), values


def _runs(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[tuple[FileId, int, int]]]:
    """The batch, sorted by file where files interleave finely, and each file's runs of rows in it."""
    if not len(batch):
        return batch, []
    columns = _file_codes(batch)
    starts = _run_starts(columns)
    if len(starts) > 64 and len(starts) * 8 > len(batch):
        order = np.lexsort(columns)  # stable, so rows of one file keep their order
        batch = batch.take(pa.array(order))
        columns = [codes[order] for codes in columns]
        starts = _run_starts(columns)
    sources, paths = (batch[name].dictionary.to_pylist() for name in ("source", "path"))
    stops = [*starts[1:].tolist(), len(batch)]
    at = [codes[starts].tolist() for codes in columns]
    files = (FileId(sources[s], paths[p], g) for s, p, g in zip(*at, strict=True))
    return batch, list(zip(files, starts.tolist(), stops, strict=True))


def _file_codes(batch: pa.RecordBatch) -> list[NDArray[np.int64]]:
    return [
        batch["source"].indices.to_numpy(),
        batch["path"].indices.to_numpy(),
        batch["generation"].to_numpy(),
    ]


def _run_starts(columns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    changes = np.zeros(len(columns[0]), np.bool_)
    changes[0] = True
    for codes in columns:
        changes[1:] |= codes[1:] != codes[:-1]
    return np.flatnonzero(changes)


def _batches(
    body: bytes, ref: ObjectRef, columns: Sequence[str] | None, sources: frozenset[str] | None
) -> Iterator[pa.RecordBatch]:
    """The object's batches with columns of the contract's types, only rows of `sources` (None: all)."""
    try:
        if ref.settings.format == "parquet":
            found = _parquet_batches(body, columns, sources)
        else:
            found = _json_batches(body, ref, columns)
        for batch in found:
            checked = _checked(batch, ref.key)
            yield checked if sources is None else _only(checked, sources)
    except (pa.ArrowException, OSError) as error:
        raise damaged(ref.key, error) from None


def _checked(batch: pa.RecordBatch, key: str) -> pa.RecordBatch:
    """The batch with the types of the contract. Raises ExportDamaged for what has not these columns."""
    for name in PROOF_COLUMNS:
        if name not in batch.schema.names:
            raise ExportDamaged(f"{key}: has no column {name}")
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        wanted = COLUMNS.get(name, column.type)
        columns.append(column if column.type == wanted else _cast(column, wanted))
        if name in NEVER_NULL and column.null_count:
            raise ExportDamaged(f"{key}: a row has no {name}")
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _cast(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if wanted == DICTIONARY and not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    return column.cast(wanted)


def _only(batch: pa.RecordBatch, sources: frozenset[str]) -> pa.RecordBatch:
    column = batch["source"]
    is_wanted = np.array([source in sources for source in column.dictionary.to_pylist()], np.bool_)
    if not is_wanted.any():
        return batch.slice(0, 0)
    return batch.filter(pa.array(is_wanted[column.indices.to_numpy()]))


def _parquet_batches(
    body: bytes, columns: Sequence[str] | None, sources: frozenset[str] | None
) -> Iterator[pa.RecordBatch]:
    try:
        file = pq.ParquetFile(
            pa.BufferReader(body), read_dictionary=["source", "path"], page_checksum_verification=True
        )
    except KeyError as error:
        raise pa.ArrowInvalid(f"it has no column {error}") from None
    groups = _row_groups(file, sources)
    if not groups or not file.metadata.num_rows:
        return
    size = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
    rows = BATCH_BYTES * file.metadata.num_rows // max(size, 1)
    rows = min(max(rows, LEAST_BATCH_ROWS), MOST_BATCH_ROWS)
    yield from file.iter_batches(rows, row_groups=groups, columns=columns and list(columns))


def _row_groups(file: pq.ParquetFile, sources: frozenset[str] | None) -> list[int]:
    """The row groups that may hold rows of `sources`, by the statistics."""
    every = list(range(file.num_row_groups))
    if sources is None or "source" not in file.schema_arrow.names:
        return every
    column = file.schema_arrow.names.index("source")

    def may_hold(group: int) -> bool:
        known: Any = file.metadata.row_group(group).column(column).statistics
        if known is None or not known.has_min_max:
            return True
        return any(known.min <= source <= known.max for source in sources)

    return [group for group in every if may_hold(group)]


def _json_batches(body: bytes, ref: ObjectRef, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    further = {name: DICTIONARY for origin, _ in ref.spans for name, _ in origin.fields}
    every = {**COLUMNS, **further, **field_columns(ref.settings)}
    wanted = every if columns is None else {name: every[name] for name in columns}
    block = max(JSON_BLOCK_BYTES, LONGEST_JSON_PER_BYTE * ref.settings.max_line_bytes * _growth(ref.settings))
    reader = pyarrow.json.open_json(
        plain_stream(body, ref.settings.compression),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=block),
        parse_options=pyarrow.json.ParseOptions(
            explicit_schema=pa.schema([(name, _json_type(kind)) for name, kind in wanted.items()]),
            unexpected_field_behavior="ignore",
        ),
    )
    for batch in reader:
        values = [_from_json(batch[name], kind) for name, kind in wanted.items()]
        yield pa.RecordBatch.from_arrays(values, names=list(wanted))


def _growth(settings: BatchSettings) -> int:
    """By how much redaction can make a row longer. As large as Arrow reads at once is enough."""
    longest = max((len(each.replacement.encode()) for each in settings.redact), default=1)
    return max(1, min(longest, MOST_JSON_BYTES // (LONGEST_JSON_PER_BYTE * settings.max_line_bytes)))


def _json_type(kind: pa.DataType) -> pa.DataType:
    is_text = pa.types.is_dictionary(kind) or pa.types.is_binary(kind)
    return pa.string() if is_text else kind


def _from_json(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_binary(kind):
        return _cast(column, kind)
    there = pc.is_valid(column)
    try:
        values = [base64.b64decode(value, validate=True) for value in column.filter(there).to_pylist()]
    except ValueError as error:
        raise pa.ArrowInvalid(f"raw is no base64: {error}") from None
    return pc.replace_with_mask(pa.nulls(len(column), kind), there, pa.array(values, kind))


def _raw_blocks(body: bytes, ref: ObjectRef) -> Iterator[RawBlock]:
    """A raw object that came without its lost spans is shorter by just them."""
    spans = ref.spans
    compression = ref.settings.compression
    if ref.lost and plain_size(body, compression, ref.key) < sum(span.end - span.start for _, span in spans):
        spans = tuple((origin, span) for origin, span in spans if not ref.is_lost(origin, span))
    return raw_blocks(body, compression, ref.key, spans)


def _raw_batch(block: RawBlock, file: FileId) -> pa.RecordBatch:
    """The rows of a raw object with all columns: what the object lacks, its record says."""
    rows = len(block.offsets)
    origin = block.origin
    texts = {name: getattr(origin, name) for name in ORIGIN_COLUMNS}
    texts |= {"source": file.source, "path": file.path}
    messages, raw = block.texts()
    known = {
        **{name: _constant(value, rows) for name, value in texts.items()},
        "scheduled_at": pa.repeat(pa.scalar(origin.scheduled_at, UTC_MICROSECONDS), rows),
        "generation": pa.repeat(pa.scalar(file.generation, pa.int32()), rows),
        "offset": pa.array(block.offsets),
        "observed_at": pa.array(block.observed_us()).cast(UTC_MICROSECONDS),
        "message": messages,
        "raw": raw,
        "eol": pa.array(block.eol),
    }
    columns = {name: known.get(name, pa.nulls(rows, kind)) for name, kind in COLUMNS.items()}
    columns |= {name: _constant(value, rows) for name, value in origin.fields}
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _constant(value: str | None, rows: int) -> pa.DictionaryArray:
    if value is None:
        return pa.nulls(rows, DICTIONARY)
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([value], pa.string()))
