"""The nouns that travel between the rooms: frozen, complete values. Nothing here does I/O.

Names of sources and files are *encoded* wherever they stand in these values: bytes that are not UTF-8,
control characters and `%` are percent-encoded (see `intake.names.encode_name`), so each is printable, valid
UTF-8, and can be turned back into the name on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from collector.value import value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from collector.decoded import Decoded

FORMAT = 1
"""Version of every record, receipt and checkpoint that this code writes."""

Microseconds = Annotated[int, Meta(ge=-62_135_596_800_000_000, lt=253_402_300_800_000_000)]
"""Since the epoch, within the years 1 to 9999; a record with another is refused."""

ExportFormat = Literal["parquet", "ndjson", "raw"]
Compression = Literal["zstd", "gzip", "none"]
LossReason = Literal["deleted", "truncated", "unreadable", "void"]
FinishedBy = Literal["tombstone", "phase", "exit", "idle", "complete"]
LineFormat = Literal["plain", "cri"]
FieldType = Literal["string", "int64", "float64", "bool", "timestamp"]


@value
class Origin:
    """Whose lines these are: what the directory names of one file say.

    `source` is the encoded source directory below the volume, "." for files in the root.
    `matched` is false where the layout did not match; then all metadata is None.
    `fields` are further layout fields (uid, index, restart, the user's own) in layout order.
    """

    source: str
    matched: bool = False
    namespace: str | None = None
    job: str | None = None
    pod: str | None = None
    container: str | None = None
    pod_ip: str | None = None
    node_ip: str | None = None
    node: str | None = None
    cronjob: str | None = None
    scheduled_at: datetime | None = None
    fields: tuple[tuple[str, str | None], ...] = ()


@value
class FileId:
    """One content of one path: `source, path, generation` name it for ever.

    `path` is the encoded file below the source, by its name at first sight.
    """

    source: str
    path: str
    generation: int


@value
class Evidence:
    """By what a file is known again. Hashes are the first 32 hex digits of SHA-256.

    `head_hash` is of the first `head_bytes` (at most 1 KiB, grows with the file); `tail_hash` of the
    `tail_bytes` (at most 256) before the offset that this evidence was taken at. `prefix_sha256` is
    the full SHA-256 of all data before that offset where it was at hand (not after a restart).
    """

    device: int
    inode: int
    head_bytes: int
    head_hash: str
    tail_bytes: int
    tail_hash: str
    prefix_sha256: str | None = None


@value
class Span:
    """Bytes [start, end) of one file in one batch; whole rows, in order.

    `rows` counts rows, `line_feeds` those among its bytes. `xxh3_128` is of the source bytes, as hex.
    `reads` are (end offset, microseconds since the epoch): the span was read in these steps, each framed
    on its own and observed at that time, so that the same rows can be made again. `origin` is an index
    into the record's `origins`. `name` is the encoded name at the time.
    `terminated`: its last byte is a line feed, `starts_line`: a line starts at its first; None: not told.
    `content_xxh3_128` is that of what its rows hold (each row's bytes, and a line feed where `eol` is true),
    where that differs from the source bytes.
    """

    path: str
    generation: int
    origin: int
    start: int
    end: int
    rows: int
    line_feeds: int
    xxh3_128: str
    reads: tuple[tuple[int, Microseconds], ...]
    name: str
    evidence: Evidence
    terminated: bool | None = None
    starts_line: bool | None = None
    content_xxh3_128: str | None = None

    @property
    def ends_line(self) -> bool:
        """Whether its last byte is a line feed. Records that do not tell have a row for each line."""
        return self.rows == self.line_feeds if self.terminated is None else self.terminated


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The rows that framing found in an arena, in arena order; positions are into the arena.

    `starts`, `ends` (int64, exclusive, without the line feed) and `eol` have one element a row;
    `row_counts` and `consumed` (bytes that became rows, line feeds included) one a read. So have
    `line_feeds`, those among the consumed bytes; None where each row with `eol` has just one. `decoded`
    is there where lines are not the bytes that stand in the file.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    eol: NDArray[np.bool_]
    row_counts: NDArray[np.int64]
    consumed: NDArray[np.int64]
    line_feeds: NDArray[np.int64] | None = None
    decoded: Decoded | None = None

    @property
    def malformed_rows(self) -> int:
        return int(self.decoded.malformed.sum()) if self.decoded is not None else 0


@value
class Take:
    """What one read of one file added to the batch: bytes [start, end) of it, which lie at `at` in the arena.

    `evidence` is as of `end`. `rows` may be 0 only where `end == start`.
    """

    file: FileId
    name: str
    origin: Origin
    at: int
    start: int
    end: int
    rows: int
    line_feeds: int
    terminated: bool
    evidence: Evidence
    starts_line: bool = True


@value
class Loss:
    """Bytes [start, end) that were there and could not be collected."""

    source: str
    path: str
    generation: int
    start: int
    end: int
    reason: LossReason


@value
class Owner:
    """Who writes a shard's records. `instance` is random for each start of a process."""

    instance: str
    host: str
    pid: int
    version: str


@value
class Redaction:
    """What matches `pattern` (RE2) is replaced by `replacement`, as it is."""

    pattern: str
    replacement: str


@value
class DelimiterSettings:
    """Fields between separators (one character). With `quote`, rows that hold it are read as CSV."""

    separator: str
    fields: tuple[str, ...]
    quote: str | None = None


@value
class TimeSettings:
    """Which field fills the column `time`; `format` is of strptime, `iso8601`, or one of the `epoch` ones."""

    field: str
    format: str


@value
class ParseSettings:
    """How lines become columns. Just one of `regex`, `json` and `delimiter` is set.

    `columns` are all columns that this adds to the export, in order, with their types.
    """

    columns: tuple[tuple[str, FieldType], ...]
    regex: str | None = None
    json: bool = False
    delimiter: DelimiterSettings | None = None
    time: TimeSettings | None = None
    keep_message: bool = True


@value
class BatchSettings:
    """What the rows of a batch depend on besides the bytes: to make the same object again.

    `multiline` is the pattern by which records start; None: each line is one. `parse` None: no fields.
    """

    layout: str
    format: ExportFormat
    compression: Compression
    max_line_bytes: int
    line_format: LineFormat = "plain"
    multiline: str | None = None
    redact: tuple[Redaction, ...] = ()
    parse: ParseSettings | None = None

    @property
    def changes_rows(self) -> bool:
        """Whether rows may hold other bytes than the file."""
        return self.line_format != "plain" or bool(self.redact)

    @property
    def drops_messages(self) -> bool:
        """Whether rows may have neither `message` nor `raw`, so that their bytes cannot be proven."""
        return self.parse is not None and not self.parse.keep_message


@value
class OpenRecord:
    """A collector took the shard: from this number on, only records of `epoch` may follow."""

    volume: str
    shard: int
    sequence: int
    epoch: int
    owner: Owner
    opened_at: datetime
    kind: Literal["open"] = "open"
    format: int = FORMAT


@value
class BatchRecord:
    """A batch was claimed; the object under `object_key` exists or will. Written before the object."""

    volume: str
    shard: int
    sequence: int
    epoch: int
    instance: str
    sealed_at: datetime
    object_key: str
    object_bytes: int
    rows: int
    bytes: int
    settings: BatchSettings
    origins: tuple[Origin, ...]
    spans: tuple[Span, ...]
    losses: tuple[Loss, ...] = ()
    kind: Literal["batch"] = "batch"
    format: int = FORMAT


@value
class VoidRecord:
    """Bytes are gone: those of the batch record `voids`, whose object never came, or (None) others.

    `partial` says that other spans of that batch are still there: its object comes without the lost ones.
    """

    volume: str
    shard: int
    sequence: int
    epoch: int
    instance: str
    voided_at: datetime
    voids: int | None
    losses: tuple[Loss, ...]
    partial: bool = False
    kind: Literal["void"] = "void"
    format: int = FORMAT


CommitRecord = OpenRecord | BatchRecord | VoidRecord


@value
class ReceiptFile:
    """One file of a receipt. `bytes` is its length without holes; `lines` its line feeds, and one more
    for an unterminated end. `sha256` is of its data in order, holes left out; None where the file
    vanished before it could be hashed whole (its spans' are in the records). `holes` are [start, end).
    """

    path: str
    generation: int
    bytes: int
    lines: int
    sha256: str | None
    holes: tuple[tuple[int, int], ...] = ()


@value
class ReceiptLoss:
    path: str
    generation: int
    start: int
    end: int
    reason: LossReason


@value
class Receipt:
    """Proof that a source is complete: what it held, where that is now, and what was lost."""

    namespace: str | None
    job: str | None
    pod: str | None
    volume: str
    source: str
    revision: int
    finished_by: FinishedBy
    tombstone: str | None
    files: tuple[ReceiptFile, ...]
    objects: tuple[str, ...]
    losses: tuple[ReceiptLoss, ...]
    first_observed_at: datetime | None
    last_observed_at: datetime | None
    format: int = FORMAT


@value
class FileCheckpoint:
    """How far one file is committed.

    Everything before `offset` is in the destination, or in `holes`, or lost. `bytes`, `line_feeds` count
    what was committed. `terminated` is false while the last committed byte is no line feed. `name` is the
    encoded name it was last seen under.
    """

    file: FileId
    name: str
    offset: int
    bytes: int
    line_feeds: int
    terminated: bool
    evidence: Evidence
    holes: tuple[tuple[int, int], ...] = ()


@value
class SourceCheckpoint:
    """What is known of one source besides its files.

    `revision` is that of the last receipt, 0 before the first. `finished_by` is None where bytes came
    after that. `retired` sources are gone from the volume; `generation_floor` is where the generations of
    a new directory of the same name start, so that no row's key is ever used twice. `receipted_at` is
    when the last receipt was known to stand in the destination; None where that was not noted.
    """

    source: str
    origin: Origin
    objects: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
    first_observed_at: datetime | None = None
    last_observed_at: datetime | None = None
    revision: int = 0
    finished_by: FinishedBy | None = None
    tombstone: str | None = None
    retired: bool = False
    generation_floor: int = 0
    receipted_at: datetime | None = None
