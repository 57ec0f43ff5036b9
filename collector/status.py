"""What a running collector tells of itself."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from collector.value import value


@value
class LostSource:
    """What one source lost, in bytes by reason. `source` is encoded."""

    source: str
    lost_bytes: dict[str, int]


@value
class FilesWaiting:
    """`turn`: for the next turn; `line`: for the end of a line; `retry`: they could not be read."""

    turn: int = 0
    line: int = 0
    retry: int = 0


@value
class DiscoverySeconds:
    """Of a hundred new files, this many were read within so many seconds."""

    p50: float
    p99: float


@value
class ShardStatus:
    """What one shard does now: for `/api/status`, `/readyz`, metrics and `joblog status`.

    `ready` is false, with a `reason` in words, while the volume or the destination cannot be used.
    `backlog_bytes` were seen on the volume and are not yet committed; `unreadable_bytes` of them are in
    files that could not be read at the last try. `lost_bytes` are by reason, of all runs, in the sources
    that are still known; `lost_sources` are those that lost most. `free_bytes` of the volume's file system
    are measured only where retention is configured. `files_waiting` are those of `files` that have bytes to
    be read, by what they wait for. `watched_directories` is None where nothing is notified.
    `discovery_seconds` are from mtime to first reading: of the files that were written last, at most 1,000.
    """

    volume: str
    shard: int
    path: str
    to: str
    state: Literal["starting", "collecting", "draining", "stopped", "failed"]
    ready: bool
    reason: str
    watch: str
    watch_reason: str
    epoch: int
    sequence: int
    sources: int
    sources_unmatched: int
    sources_finished: int
    files: int
    open_files: int
    backlog_bytes: int
    batch_rows: int
    batch_bytes: int
    committed_rows: int
    committed_bytes: int
    lost_bytes: dict[str, int]
    last_commit_at: datetime | None
    last_scan_at: datetime | None
    last_scan_seconds: float
    unreadable_bytes: int = 0
    lost_sources: tuple[LostSource, ...] = ()
    free_bytes: int | None = None
    files_waiting: FilesWaiting = FilesWaiting()
    watched_directories: int | None = None
    discovery_seconds: DiscoverySeconds | None = None
