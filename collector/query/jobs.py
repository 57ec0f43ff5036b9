"""Which Jobs are in an export, from its records and receipts alone: no object is read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from collector.model import Loss, Receipt, ReceiptFile, Span
from collector.query.export import Claim, batches, newest_receipts
from collector.query.intervals import Ranges
from collector.query.rows import ObjectRef
from collector.sink.store import Store
from collector.value import value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@value
class JobSummary:
    """One Job, over all its Pods. A source that no layout matched is its own job, and has no namespace.

    `complete`: each of its sources has a receipt, and no bytes were committed that it does not cover.
    `lines` counts line feeds, and one more for each unterminated end.
    """

    namespace: str
    job: str
    pods: int
    files: int
    lines: int
    bytes: int
    first_observed_at: datetime | None
    last_observed_at: datetime | None
    complete: bool
    lost_bytes: int


@dataclass(slots=True)
class _File:
    collected: Ranges = field(default_factory=Ranges)
    bytes: int = 0
    line_feeds: int = 0
    last_end: int = 0
    unterminated: bool = False

    def add(self, span: Span) -> None:
        twice = sum(end - start for start, end in self.collected.add(span.start, span.end))
        if twice == span.end - span.start:
            return
        self.bytes += span.end - span.start - twice
        self.line_feeds += span.line_feeds
        if span.end >= self.last_end:
            self.last_end = span.end
            self.unterminated = not span.ends_line

    @property
    def lines(self) -> int:
        return self.line_feeds + self.unterminated


@dataclass(slots=True)
class _Source:
    """One source of one volume. `namespace`, `job` and `pod` are what its last origin or its receipt says."""

    namespace: str | None = None
    job: str | None = None
    pod: str | None = None
    files: dict[tuple[str, int], _File] = field(default_factory=dict)
    lost: dict[tuple[str, int], Ranges] = field(default_factory=dict)
    receipt: dict[tuple[str, int], ReceiptFile] | None = None
    first: datetime | None = None
    last: datetime | None = None

    def seen(self, first: datetime | None, last: datetime | None) -> None:
        self.first = min(filter(None, (self.first, first)), default=None)
        self.last = max(filter(None, (self.last, last)), default=None)

    def lose(self, path: str, generation: int, start: int, end: int) -> None:
        self.lost.setdefault((path, generation), Ranges()).add(start, end)

    @property
    def lost_bytes(self) -> int:
        nothing = _File()
        return sum(
            end - start
            for place, ranges in self.lost.items()
            for low, high in ranges
            for start, end in self.files.get(place, nothing).collected.missing(low, high)
        )

    @property
    def complete(self) -> bool:
        if self.receipt is None:
            return False
        covered = {place: file.bytes for place, file in self.receipt.items()}
        return all(file.bytes <= covered.get(place, 0) for place, file in self.files.items())


def summarise(store: Store, *, namespace: str | None = None) -> list[JobSummary]:
    """A summary of each Job, by namespace and name; only those of `namespace` ("" for none), if given.

    Raises StoreError, and ExportDamaged for a record or receipt that cannot be read.
    """
    sources: dict[tuple[str, str], _Source] = defaultdict(_Source)
    for item in batches(store):
        if isinstance(item, Claim):
            _add_batch(sources, item)
        else:
            _add_losses(sources, item.volume, item.losses)
    for _, receipt in newest_receipts(store, namespace):
        _add_receipt(sources[receipt.volume, receipt.source], receipt)
    jobs: dict[tuple[str, str], list[tuple[str, _Source]]] = defaultdict(list)
    for (_, name), source in sources.items():
        key = (source.namespace or "", source.job or source.pod or name)
        if namespace in (None, key[0]):
            jobs[key].append((name, source))
    return [_summary(*key, jobs[key]) for key in sorted(jobs)]


def _add_batch(sources: dict[tuple[str, str], _Source], claim: Claim) -> None:
    record = claim.record
    ref = ObjectRef.of(record, claim.voids)
    for origin, span in ref.spans:
        source = sources[record.volume, origin.source]
        source.namespace, source.job, source.pod = origin.namespace, origin.job, origin.pod
        if not claim.given_up and not ref.is_lost(origin, span):
            source.files.setdefault((span.path, span.generation), _File()).add(span)
            source.seen(_time(span.reads[0][1]), _time(span.reads[-1][1]))
    _add_losses(sources, record.volume, record.losses)


def _add_losses(sources: dict[tuple[str, str], _Source], volume: str, losses: tuple[Loss, ...]) -> None:
    for loss in losses:
        sources[volume, loss.source].lose(loss.path, loss.generation, loss.start, loss.end)


def _add_receipt(source: _Source, receipt: Receipt) -> None:
    source.namespace, source.job, source.pod = receipt.namespace, receipt.job, receipt.pod
    source.receipt = {(file.path, file.generation): file for file in receipt.files}
    source.seen(receipt.first_observed_at, receipt.last_observed_at)
    for loss in receipt.losses:
        source.lose(loss.path, loss.generation, loss.start, loss.end)


def _summary(namespace: str, job: str, sources: list[tuple[str, _Source]]) -> JobSummary:
    every = [source for _, source in sources]
    files = [file for source in every for file in source.files.values()]
    places = [{*source.files, *(source.receipt or ())} for source in every]
    return JobSummary(
        namespace=namespace,
        job=job,
        pods=len({source.pod or name for name, source in sources}),
        files=sum(map(len, places)),
        lines=sum(file.lines for file in files),
        bytes=sum(file.bytes for file in files),
        first_observed_at=min((source.first for source in every if source.first), default=None),
        last_observed_at=max((source.last for source in every if source.last), default=None),
        complete=all(source.complete for source in every),
        lost_bytes=sum(source.lost_bytes for source in every),
    )


def _time(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)
