"""Records as the tests of the state room need them: a few words make a valid one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from collector.model import (
    BatchRecord,
    BatchSettings,
    Evidence,
    Loss,
    OpenRecord,
    Origin,
    Owner,
    Span,
    VoidRecord,
)
from collector.records import object_key

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000
SETTINGS = BatchSettings(layout="subpath", format="parquet", compression="zstd", max_line_bytes=1 << 20)


class Make:
    """Makes values; all that a test does not name is plain and the same each time."""

    noon = NOON
    owner = Owner(instance="one", host="node-1", pid=4711, version="0.1.0")

    def open(self, sequence: int = 0, epoch: int = 1, *, volume: str = "v", shard: int = 0) -> OpenRecord:
        return OpenRecord(volume, shard, sequence, epoch, self.owner, NOON)

    def span(
        self,
        path: str = "app.log",
        start: int = 0,
        end: int = 10,
        *,
        generation: int = 0,
        origin: int = 0,
        rows: int = 1,
        line_feeds: int | None = None,
        terminated: bool | None = None,
        at_us: int = 0,
        name: str | None = None,
        inode: int = 7,
    ) -> Span:
        return Span(
            path=path,
            generation=generation,
            origin=origin,
            start=start,
            end=end,
            rows=rows,
            line_feeds=rows if line_feeds is None else line_feeds,
            xxh3_128="0" * 32,
            reads=((end, NOON_US + at_us),),
            name=name or path,
            evidence=Evidence(1, inode, min(end, 1024), "a" * 32, min(end, 256), "b" * 32),
            terminated=terminated,
        )

    def batch(
        self,
        sequence: int,
        *spans: Span,
        epoch: int = 1,
        sources: tuple[str, ...] = ("ns_pod",),
        losses: tuple[Loss, ...] = (),
    ) -> BatchRecord:
        sealed_at = NOON + timedelta(seconds=sequence)
        return BatchRecord(
            volume="v",
            shard=0,
            sequence=sequence,
            epoch=epoch,
            instance="one",
            sealed_at=sealed_at,
            object_key=object_key("v", 0, sequence, sealed_at, SETTINGS),
            object_bytes=100,
            rows=sum(span.rows for span in spans),
            bytes=sum(span.end - span.start for span in spans),
            settings=SETTINGS,
            origins=tuple(
                Origin(source, matched=True, namespace="ns", job="job", pod="pod") for source in sources
            ),
            spans=spans,
            losses=losses,
        )

    def void(
        self, sequence: int, voids: int | None, losses: tuple[Loss, ...], *, epoch: int = 1
    ) -> VoidRecord:
        return VoidRecord("v", 0, sequence, epoch, "one", NOON, voids, losses)

    def loss(self, start: int, end: int, *, path: str = "app.log", source: str = "ns_pod") -> Loss:
        return Loss(source, path, 0, start, end, "deleted")
