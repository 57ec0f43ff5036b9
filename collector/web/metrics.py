"""Metrics: events are counted as they happen, gauges are taken from the shards when somebody asks.

Label values are the volume's name, the shard's number, and words of fixed sets; never the name of a
file, a source or a Job, of which there is no end. Each metric is described in `docs/operations.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import singledispatchmethod
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from collector import __version__, events
from collector.events import Event
from collector.model import FinishedBy, LossReason
from collector.status import ShardStatus

LOSS_REASONS: tuple[str, ...] = get_args(LossReason)
FINISHED_BY: tuple[str, ...] = get_args(FinishedBy)
SKIPPED_WHY = ("symlink", "special", "depth")
OTHER = "other"
"""Stands for a word that is in none of the sets above."""

_PLAIN_VERSION = re.compile(r"; *version=[0-9](?:\.[0-9]{1,2}){0,2} *(?:;(?!.*version)|$)")
_BUCKETS_FOUND = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_BUCKETS_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """An `Emit` that counts, and the text that a scrape gets. May be used from any thread."""

    def __init__(self) -> None:
        # By attribute it would be wrapped anew for each event, which costs more than counting.
        self._dispatch = Metrics.__dict__["_count"].dispatcher.dispatch
        disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each, which nobody asks for
        self._registry = CollectorRegistry()
        self._by_volume: list[Counter | Histogram] = []
        info = Info("joblog_build", "The version that runs.", registry=self._registry)
        info.info({"version": __version__})

        self._batches = self._counter("batches_committed", "Batches whose record and object are in place.")
        self._rows = self._counter("rows_committed", "Rows of those batches.")
        self._bytes = self._counter("bytes_committed", "Bytes of files that those batches cover.")
        self._object_bytes = self._counter("object_bytes", "Bytes of the objects, encoded and compressed.")
        self._commit_seconds = self._histogram("commit_seconds", "From the sealing of a batch to its commit.")
        self._receipts = self._counter(
            "receipts_written", "Receipts, by what ended the source.", "finished_by"
        )
        self._lost = self._counter("lost_bytes", "Bytes that could not be collected.", "reason")
        self._deleted_sources = self._counter("deleted_sources", "Sources that retention deleted.")
        self._deleted_bytes = self._counter("deleted_bytes", "Bytes of files that retention deleted.")
        self._skips = self._counter("retention_skipped", "Times that retention had to leave something.")
        self._repaired = self._counter("lines_repaired", "Rows that were no UTF-8; their bytes are in `raw`.")

        self._malformed = self._counter("lines_malformed", "Rows of CRI logs without a header.")
        self._redactions = self._counter("redactions", "Matches of `redact` that were replaced.")
        self._unparsed = self._counter("lines_unparsed", "Rows that `parse` could not read, or not wholly.")

        self._found = self._counter("sources_found", "Source directories seen for the first time.")
        self._unmatched = self._counter("sources_unmatched", "Those of them that the layout does not match.")
        self._skipped = self._counter("entries_skipped", "Entries that are never collected.", "why")
        self._renamed = self._counter("files_renamed", "Files known again under another name.")
        self._replaced = self._counter("files_replaced", "Paths that have a new content.")
        self._unreadable = self._counter("files_unreadable", "Times that a file could not be read.")
        self._volume_errors = self._counter("volume_errors", "Times that the volume could not be read.")
        self._watch_limited = self._counter("watch_limited", "Times that notification could not serve all.")
        self._scan_seconds = self._histogram("scan_seconds", "How long a scan of the volume took.")
        self._discovery_seconds = self._histogram(
            "discovery_seconds", "From a file's mtime to the reading of its first bytes.", _BUCKETS_FOUND
        )

        self._opened = self._counter("shards_opened", "Times that a shard was taken.")
        self._fenced = self._counter("shards_fenced", "Times that another collector took a shard over.")
        self._failed = self._counter("shards_failed", "Shards that ended with an error.")
        self._rebuilt = self._counter("checkpoints_rebuilt", "Checkpoints rebuilt from the destination.")
        self._completed = self._counter("objects_completed", "Objects put for an earlier collector.")
        self._voided = self._counter("records_voided", "Records that say that bytes are gone.")

        self._destination_errors = self._plain_counter("destination_errors", "Failed tries to reach it.")
        self._destination_recoveries = self._plain_counter(
            "destination_recoveries", "Times that it worked again."
        )
        self._unconditional = Gauge(
            "joblog_destination_unconditional",
            "1 where the destination ignores create-only puts.",
            registry=self._registry,
        )

    def __call__(self, event: Event) -> None:
        self._dispatch(type(event))(self, event)

    def render(self, accept: str, statuses: Sequence[ShardStatus], now: datetime) -> tuple[bytes, str]:
        """The text of all metrics, and its content type: OpenMetrics where `accept` asks for it."""
        everything = CollectorRegistry()
        everything.register(self._registry)
        everything.register(_ShardGauges(statuses, now))
        encode, content_type = choose_encoder(_understood(accept))
        return encode(everything), content_type

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        made = Counter(f"joblog_{name}", help_text, ("volume", *labels), registry=self._registry)
        if not labels:
            self._by_volume.append(made)
        return made

    def _histogram(self, name: str, help_text: str, buckets: Sequence[float] = _BUCKETS_SECONDS) -> Histogram:
        made = Histogram(f"joblog_{name}", help_text, ("volume",), buckets=buckets, registry=self._registry)
        self._by_volume.append(made)
        return made

    def _plain_counter(self, name: str, help_text: str) -> Counter:
        return Counter(f"joblog_{name}", help_text, registry=self._registry)

    @singledispatchmethod
    def _count(self, event: Event) -> None:
        """For events that no metric speaks of."""

    @_count.register
    def _(self, event: events.CollectorStarted) -> None:
        """All series begin at 0 here, so that the first loss is an increase."""
        for metric in self._by_volume:
            metric.labels(event.volume)
        for metric, words in (
            (self._lost, LOSS_REASONS),
            (self._receipts, FINISHED_BY),
            (self._skipped, SKIPPED_WHY),
        ):
            for word in words:
                metric.labels(event.volume, word)

    @_count.register
    def _(self, event: events.BatchCommitted) -> None:
        self._batches.labels(event.volume).inc()
        self._rows.labels(event.volume).inc(event.rows)
        self._bytes.labels(event.volume).inc(event.bytes)
        self._object_bytes.labels(event.volume).inc(event.object_bytes)
        self._commit_seconds.labels(event.volume).observe(event.seconds)

    @_count.register
    def _(self, event: events.ReceiptWritten) -> None:
        self._receipts.labels(event.volume, _one_of(FINISHED_BY, event.finished_by)).inc()

    @_count.register
    def _(self, event: events.BytesLost) -> None:
        self._lost.labels(event.volume, _one_of(LOSS_REASONS, event.reason)).inc(event.end - event.start)

    @_count.register
    def _(self, event: events.SourceDeleted) -> None:
        self._deleted_sources.labels(event.volume).inc()
        self._deleted_bytes.labels(event.volume).inc(event.bytes)

    @_count.register
    def _(self, event: events.RetentionSkipped) -> None:
        self._skips.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.LinesRepaired) -> None:
        self._repaired.labels(event.volume).inc(event.rows)

    @_count.register
    def _(self, event: events.LinesMalformed) -> None:
        self._malformed.labels(event.volume).inc(event.rows)

    @_count.register
    def _(self, event: events.LinesRedacted) -> None:
        self._redactions.labels(event.volume).inc(event.redactions)

    @_count.register
    def _(self, event: events.LinesUnparsed) -> None:
        self._unparsed.labels(event.volume).inc(event.rows)

    @_count.register
    def _(self, event: events.SourceFound) -> None:
        self._found.labels(event.volume).inc()
        if not event.matched:
            self._unmatched.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.EntrySkipped) -> None:
        self._skipped.labels(event.volume, _one_of(SKIPPED_WHY, event.why)).inc()

    @_count.register
    def _(self, event: events.FileRenamed) -> None:
        self._renamed.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.FileReplaced) -> None:
        self._replaced.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.FileUnreadable) -> None:
        self._unreadable.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.VolumeUnreadable) -> None:
        self._volume_errors.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.WatchLimited) -> None:
        self._watch_limited.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.ScanDone) -> None:
        self._scan_seconds.labels(event.volume).observe(event.seconds)

    @_count.register
    def _(self, event: events.FirstRead) -> None:
        # Clocks differ: what was read before it was written was read at once.
        self._discovery_seconds.labels(event.volume).observe(max(0.0, event.read_at - event.written_at))

    @_count.register
    def _(self, event: events.ShardOpened) -> None:
        self._opened.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.ShardFenced) -> None:
        self._fenced.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.CollectorFailed) -> None:
        self._failed.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.CheckpointRebuilt) -> None:
        self._rebuilt.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.ObjectCompleted) -> None:
        self._completed.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.RecordVoided) -> None:
        self._voided.labels(event.volume).inc()

    @_count.register
    def _(self, event: events.DestinationFailing) -> None:
        self._destination_errors.inc()

    @_count.register
    def _(self, event: events.DestinationRecovered) -> None:
        self._destination_recoveries.inc()

    @_count.register
    def _(self, event: events.StoreUnconditional) -> None:
        self._unconditional.set(1)


def _understood(accept: str) -> str:
    """The formats of an Accept header, but for those of odd versions, which the answer would repeat."""
    return ",".join(one for one in accept.split(",") if "version" not in one or _PLAIN_VERSION.search(one))


def _one_of(words: Sequence[str], word: str) -> str:
    return word if word in words else OTHER


_GAUGES: tuple[tuple[str, str, Callable[[ShardStatus], float]], ...] = (
    ("ready", "1 while volume and destination can be used.", lambda s: s.ready),
    ("backlog_bytes", "Bytes seen on the volume and not yet committed.", lambda s: s.backlog_bytes),
    ("sources", "Source directories that are known.", lambda s: s.sources),
    ("sources_finished", "Those of them that are finished.", lambda s: s.sources_finished),
    ("files", "Files that are known.", lambda s: s.files),
    ("open_files", "Files that are open.", lambda s: s.open_files),
    ("files_to_read", "Files that are read in the next turn.", lambda s: s.files_waiting.turn),
    ("files_partial", "Files whose rest is no complete line.", lambda s: s.files_waiting.line),
    ("files_to_retry", "Files that could not be read at the last try.", lambda s: s.files_waiting.retry),
    ("sequence", "Number of the last commit record.", lambda s: s.sequence),
    ("epoch", "Epoch of the shard's owner.", lambda s: s.epoch),
    ("batch_rows", "Rows that wait in the open batch.", lambda s: s.batch_rows),
    ("batch_bytes", "Bytes that wait in the open batch.", lambda s: s.batch_bytes),
)


@dataclass(frozen=True, slots=True, eq=False)
class _ShardGauges:
    """What the shards say of themselves at one moment."""

    statuses: Sequence[ShardStatus]
    now: datetime

    def collect(self) -> Iterator[Metric]:
        for name, help_text, value in _GAUGES:
            yield self._family(name, help_text, value)
        yield self._family(
            "volume_free_bytes",
            "Free bytes of the volume's file system, where retention is configured.",
            lambda status: status.free_bytes,
        )
        yield self._family(
            "watched_directories",
            "Directories that the kernel gives notification of, where it is asked to.",
            lambda status: status.watched_directories,
        )
        yield self._family(
            "seconds_since_last_commit",
            "Seconds since the last commit, where there was one.",
            lambda status: self._since(status.last_commit_at),
        )
        yield self._family(
            "seconds_since_last_scan",
            "Seconds since the last scan of the volume ended, where there was one.",
            lambda status: self._since(status.last_scan_at),
        )

    def _family(
        self, name: str, help_text: str, value: Callable[[ShardStatus], float | None]
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"joblog_{name}", help_text, labels=("volume", "shard"))
        for status in self.statuses:
            measured = value(status)
            if measured is not None:
                family.add_metric((status.volume, str(status.shard)), measured)
        return family

    def _since(self, at: datetime | None) -> float | None:
        """Never negative: clocks are set back."""
        return None if at is None else max((self.now - at).total_seconds(), 0.0)
