"""Each fact worth a log line or a metric, named once. Log, metrics, status page and tests use these names.

An event is emitted where the fact arises, through an `Emit` that `service.py` passes down. What
listens is `web.metrics` (counts it) and `logs` (writes it); nothing that emits knows who listens.
Values are numbers and encoded names, never bytes from a file and never a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from collector.model import LossReason
from collector.value import value

Level = Literal["debug", "info", "warning", "error"]


@value
class Event:
    """`name` is the event's name in the log; `level` how loud it is."""

    name: ClassVar[str]
    level: ClassVar[Level] = "info"


Emit = Callable[[Event], None]


@value
class CollectorStarted(Event):
    name: ClassVar[str] = "collector_started"
    volume: str
    shard: int
    path: str
    layout: str
    watch: str
    watch_reason: str
    to: str


@value
class CollectorStopped(Event):
    name: ClassVar[str] = "collector_stopped"
    volume: str
    shard: int
    reason: str


@value
class CollectorFailed(Event):
    name: ClassVar[str] = "collector_failed"
    level: ClassVar[Level] = "error"
    volume: str
    shard: int
    error: str


@value
class ShardOpened(Event):
    name: ClassVar[str] = "shard_opened"
    volume: str
    shard: int
    sequence: int
    epoch: int
    instance: str


@value
class ShardFenced(Event):
    name: ClassVar[str] = "shard_fenced"
    level: ClassVar[Level] = "error"
    volume: str
    shard: int
    by: str


@value
class StoreUnconditional(Event):
    """The destination ignores create-only puts, so that a second collector could overwrite records."""

    name: ClassVar[str] = "store_unconditional"
    level: ClassVar[Level] = "warning"
    to: str
    weakens: str


@value
class CheckpointRebuilt(Event):
    name: ClassVar[str] = "checkpoint_rebuilt"
    volume: str
    shard: int
    records: int
    files: int


@value
class ObjectCompleted(Event):
    """An object that an earlier collector had claimed and not put was put."""

    name: ClassVar[str] = "object_completed"
    volume: str
    shard: int
    sequence: int
    object_key: str


@value
class RecordVoided(Event):
    name: ClassVar[str] = "record_voided"
    level: ClassVar[Level] = "warning"
    volume: str
    shard: int
    sequence: int
    why: str


@value
class SourceFound(Event):
    name: ClassVar[str] = "source_found"
    level: ClassVar[Level] = "debug"
    volume: str
    source: str
    matched: bool


@value
class EntrySkipped(Event):
    """Something that is no regular file or directory, or that is too deep: never followed, counted."""

    name: ClassVar[str] = "entry_skipped"
    level: ClassVar[Level] = "debug"
    volume: str
    source: str
    path: str
    why: Literal["symlink", "special", "depth"]


@value
class FirstRead(Event):
    """The first bytes of a file that was written since the collector started were read. `written_at` is its
    mtime then; both are seconds since the epoch, by the clock of whoever keeps the file and by ours.
    """

    name: ClassVar[str] = "first_read"
    level: ClassVar[Level] = "debug"
    volume: str
    source: str
    path: str
    written_at: float
    read_at: float


@value
class FileRenamed(Event):
    name: ClassVar[str] = "file_renamed"
    level: ClassVar[Level] = "debug"
    volume: str
    source: str
    path: str
    to_name: str


@value
class FileReplaced(Event):
    """A path has a new content: truncated, replaced, or created again. A new generation begins."""

    name: ClassVar[str] = "file_replaced"
    volume: str
    source: str
    path: str
    generation: int
    why: str


@value
class BytesLost(Event):
    name: ClassVar[str] = "bytes_lost"
    level: ClassVar[Level] = "warning"
    volume: str
    source: str
    path: str
    generation: int
    start: int
    end: int
    reason: LossReason


@value
class FileUnreadable(Event):
    name: ClassVar[str] = "file_unreadable"
    level: ClassVar[Level] = "warning"
    volume: str
    source: str
    path: str
    error: str


@value
class VolumeUnreadable(Event):
    name: ClassVar[str] = "volume_unreadable"
    level: ClassVar[Level] = "error"
    volume: str
    error: str


@value
class ScanDone(Event):
    name: ClassVar[str] = "scan_done"
    level: ClassVar[Level] = "debug"
    volume: str
    shard: int
    seconds: float
    sources: int
    files: int


@value
class BatchCommitted(Event):
    name: ClassVar[str] = "batch_committed"
    volume: str
    shard: int
    sequence: int
    object_key: str
    rows: int
    bytes: int
    object_bytes: int
    files: int
    seconds: float


@value
class LinesRepaired(Event):
    """Rows whose bytes were no UTF-8: their exact bytes stand in `raw`."""

    name: ClassVar[str] = "lines_repaired"
    level: ClassVar[Level] = "debug"
    volume: str
    rows: int


@value
class LinesUnparsed(Event):
    """Rows of one object that `parse` does not match, or of which a value has not the type it should have."""

    name: ClassVar[str] = "lines_unparsed"
    level: ClassVar[Level] = "debug"
    volume: str
    rows: int


@value
class LinesMalformed(Event):
    """Rows of a CRI log without a header that can be read: kept as they are, without time and stream."""

    name: ClassVar[str] = "lines_malformed"
    level: ClassVar[Level] = "debug"
    volume: str
    rows: int


@value
class LinesRedacted(Event):
    """How often a pattern of `redact` matched, and what it matched was replaced."""

    name: ClassVar[str] = "lines_redacted"
    level: ClassVar[Level] = "debug"
    volume: str
    redactions: int


@value
class ReceiptWritten(Event):
    name: ClassVar[str] = "receipt_written"
    volume: str
    source: str
    revision: int
    finished_by: str
    files: int
    bytes: int
    lines: int
    lost_bytes: int


@value
class SourceDeleted(Event):
    """Retention deleted the files of a source that `receipt` (a key) proves. `files` and `bytes` are those of
    this time: what a collector that was killed had deleted before is not counted again.
    """

    name: ClassVar[str] = "source_deleted"
    volume: str
    source: str
    receipt: str
    files: int
    bytes: int
    reason: Literal["age", "space"]


@value
class RetentionSkipped(Event):
    """A source was to be deleted, and is not, or not as a whole; or (source empty) nothing can be."""

    name: ClassVar[str] = "retention_skipped"
    level: ClassVar[Level] = "warning"
    volume: str
    source: str
    why: str


@value
class DestinationFailing(Event):
    name: ClassVar[str] = "destination_failing"
    level: ClassVar[Level] = "warning"
    to: str
    error: str
    attempt: int
    next_try_seconds: float


@value
class DestinationRecovered(Event):
    name: ClassVar[str] = "destination_recovered"
    to: str
    attempts: int


@value
class WatchLimited(Event):
    """Notification is not available for all directories; polling serves the rest."""

    name: ClassVar[str] = "watch_limited"
    level: ClassVar[Level] = "warning"
    volume: str
    why: str


@value
class HttpUnavailable(Event):
    name: ClassVar[str] = "http_unavailable"
    level: ClassVar[Level] = "warning"
    address: str
    error: str
