"""The loop of one shard: discover, identify, read, frame, batch, ship, commit, finish."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import field
from datetime import UTC, datetime

from collector.budget import MOST_SEALED, Budget
from collector.events import (
    BatchCommitted,
    Emit,
    FirstRead,
    LinesMalformed,
    LinesRedacted,
    LinesRepaired,
    LinesUnparsed,
)
from collector.finish import Finisher
from collector.intake.catalog import Catalog
from collector.intake.read import Read, Reader
from collector.intake.scan import Scanner
from collector.losses import Losses
from collector.model import BatchRecord, BatchSettings, Lines, Loss, Owner, VoidRecord
from collector.records import object_key
from collector.rows.batch import Batch, Sealed
from collector.rows.body import Memory
from collector.rows.columns import Columns, columns_of
from collector.sink.ledger import Ledger
from collector.sink.ship import Shipper
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder
from collector.status import DiscoverySeconds
from collector.takeover import pack_snapshot
from collector.value import value

ROW_GROUPS_AT_ONCE = 2
"""So many are made at the same time, while the loop reads on."""

GATHER_BYTES = 512 << 10
"""So many bytes are worth another thread that makes columns of them; fewer are done before it is awake."""

MTIME_STEP_SECONDS = 0.01
"""A file's time is that of the last tick of the system's clock: perhaps before it was written by so much."""

SNAPSHOT_EVERY = 512
"""Commit records after which a checkpoint is put into the destination, so that a rebuild reads few."""


@value
class Clock:
    """`wall` in seconds since the epoch, for people; `monotonic` for schedules and durations."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]
    _ahead: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ahead", self.wall() - self.monotonic())

    def steady(self) -> float:
        """As the wall clock was when this was made, and evenly on from there, however that one jumps later:
        for all that is decided by how long ago something was.
        """
        return self.monotonic() + self._ahead


@value
class Plan:
    """What the loop is to do, besides its parts."""

    volume: str
    shard: int
    owner: Owner
    settings: BatchSettings
    fields: tuple[str, ...]
    budget: Budget
    batch_max_age_seconds: float
    read_bytes_per_second: int | None


@value
class Shipped:
    """A record that stands in the destination, as `encoded`, with its object if it has one."""

    record: BatchRecord | VoidRecord
    encoded: bytes
    took_seconds: float


class Pipeline:
    """One shard at work. `turn` is one round; all else is called from the same thread."""

    def __init__(
        self,
        plan: Plan,
        *,
        scanner: Scanner,
        catalog: Catalog,
        reader: Reader,
        ledger: Ledger,
        checkpoint: Checkpoint,
        folder: StateFolder,
        finisher: Finisher,
        pool: Executor,
        clock: Clock,
        wake: Callable[[], None],
        emit: Emit,
    ) -> None:
        self._plan = plan
        self._scanner, self._catalog, self._reader = scanner, catalog, reader
        self._ledger, self.checkpoint, self._folder = ledger, checkpoint, folder
        self._finisher = finisher
        self._pool, self._clock, self._emit = pool, clock, emit
        self._helpers = ThreadPoolExecutor(ROW_GROUPS_AT_ONCE, thread_name_prefix="joblog-rows")
        self._gatherer = ThreadPoolExecutor(1, thread_name_prefix="joblog-columns")
        self._shipper: Shipper[Shipped | None] = Shipper("joblog-ship", wake)
        self._memory = Memory(MOST_SEALED)
        self._batch = self._new_batch()
        self._opened_at: float | None = None
        """When the batch got its first row, by the steady clock; None while it is empty."""
        self._began_at = clock.wall()
        self._found_after: deque[float] = deque(maxlen=1000)
        """How many seconds after their mtime the newest files were read first."""
        self._paid_at = clock.monotonic()
        self._debt_bytes = 0.0
        self._taken_bytes = 0
        self._snapshot_at = checkpoint.sequence + SNAPSHOT_EVERY
        self.committed_rows = self.committed_bytes = 0
        self.losses = Losses(checkpoint.sources.values())
        self.last_commit_at: datetime | None = None

    def turn(self) -> bool:
        """One round. True if something moved, so that the next should follow at once."""
        now = self._clock.steady()
        for source in self._scanner.scan(now, self._clock.monotonic()):
            self._finisher.consider(source, now)
        self._catalog.queue.wake_partials(now)
        moved = self._collect(now)
        if self._is_due(now):
            self.seal()
        self._commit()
        self._finisher.step()
        self._compact()
        return moved or self._scanner.has_more

    def _collect(self, now: float) -> bool:
        if self._is_blocked():
            return False
        self._batch.catch_up()
        reads = self._reader.fill(self._catalog, now)
        if not reads:
            return False
        lines = self._reader.frame(reads)
        self._tell_first(reads)
        gathering = self._gather(reads, lines)
        takes = self._reader.take(self._catalog, reads, lines)
        repaired = self._batch.add(self._reader.arena, lines, takes, int(self._clock.wall() * 1e6), gathering)
        if self._opened_at is None and self._batch.rows:
            self._opened_at = now
        self._debt_bytes += sum(read.length for read in reads)
        self._taken_bytes += sum(take.end - take.start for take in takes)
        if repaired:
            self._emit(LinesRepaired(self._plan.volume, repaired))
        if lines.malformed_rows:
            self._emit(LinesMalformed(self._plan.volume, lines.malformed_rows))
        return True

    def _gather(self, reads: Sequence[Read], lines: Lines) -> Future[Columns] | None:
        """Starts to make the columns of many rows, while this thread hashes what their files have become."""
        if not len(lines.starts) or sum(read.length for read in reads) < GATHER_BYTES:
            return None
        return self._gatherer.submit(columns_of, self._reader.arena, lines, self._batch.settings)

    def _tell_first(self, reads: Sequence[Read]) -> None:
        """Tells of files of which this is the first that was read, and how long that took."""
        for read in reads:
            if read.start or not read.length:
                continue
            written_at = read.mtime_ns / 1e9
            if written_at >= self._began_at - MTIME_STEP_SECONDS:
                file, read_at = read.tracked.file, self._clock.wall()
                self._emit(FirstRead(self._plan.volume, file.source, file.path, written_at, read_at))
                self._found_after.append(max(0.0, read_at - written_at))

    def seal(self) -> None:
        """Ends the batch, if it holds anything, and sends it on its way, with the losses found so far. Waits
        for a later call while as many batches as may wait do.
        """
        if self._shipper.waiting >= MOST_SEALED:
            return
        losses = self._catalog.take_losses()
        if self._batch.rows:
            sealed = self._batch.seal()
            self._batch = self._new_batch(before=sealed.body)
            self._opened_at = None
            sealed_at = datetime.fromtimestamp(self._clock.wall(), UTC)
            self._shipper.submit(lambda: self._ship(sealed, sealed_at, losses))
        elif losses:
            self._shipper.submit(lambda: Shipped(self._ledger.void(None, losses), self._ledger.standing, 0.0))

    def _is_due(self, now: float) -> bool:
        if self._opened_at is None:
            return bool(self._catalog.losses)
        age = now - self._opened_at
        return age >= self._plan.batch_max_age_seconds or self._is_full()

    def _is_blocked(self) -> bool:
        """Back-pressure: the destination is behind, or the rate limit is used up."""
        return self._is_full() or self._overdrawn()

    def _is_full(self) -> bool:
        budget = self._plan.budget
        return self._batch.is_full(budget.batch_bytes, budget.object_bytes)

    def _overdrawn(self) -> bool:
        """Pays the debt of what was read with the time that passed; true while some is left."""
        rate = self._plan.read_bytes_per_second
        if rate is None:
            return False
        now = self._clock.monotonic()
        self._debt_bytes = max(0.0, self._debt_bytes - rate * (now - self._paid_at))
        self._paid_at = now
        return self._debt_bytes > 0

    # --- on the shipper's thread

    def _ship(self, sealed: Sealed, sealed_at: datetime, losses: tuple[Loss, ...]) -> Shipped:
        """The two puts of the commit protocol: record, then object."""
        body = sealed.body.result()
        if sealed.redacted:
            self._emit(LinesRedacted(self._plan.volume, sealed.redacted))
        if sealed.unparsed:
            self._emit(LinesUnparsed(self._plan.volume, sealed.unparsed))
        began = self._clock.monotonic()

        def make(sequence: int, epoch: int) -> BatchRecord:
            plan = self._plan
            return BatchRecord(
                volume=plan.volume,
                shard=plan.shard,
                sequence=sequence,
                epoch=epoch,
                instance=plan.owner.instance,
                sealed_at=sealed_at,
                object_key=object_key(plan.volume, plan.shard, sequence, sealed_at, sealed.settings),
                object_bytes=len(body),
                rows=sealed.rows,
                bytes=sealed.bytes,
                settings=sealed.settings,
                origins=sealed.origins,
                spans=sealed.spans,
                losses=losses,
            )

        record = self._ledger.claim(make)
        encoded = self._ledger.standing
        self._ledger.put_object(record, body)
        return Shipped(record, encoded, self._clock.monotonic() - began)

    # --- commits

    def _commit(self) -> None:
        """Takes in what is durable now: only here do committed offsets move."""
        for shipped in self._shipper.results():
            if shipped is not None:
                self._committed(shipped)
            if self.is_shipped():
                self._memory.clear()  # there may be nothing to do for long

    def _compact(self) -> None:
        """Called when the receipts that a commit allows are on their way: it may take a while."""
        if self._folder.wants_compaction():
            self._folder.compact(self.checkpoint)

    def _committed(self, shipped: Shipped) -> None:
        record = shipped.record
        self.checkpoint.apply(record)
        completed = None
        if isinstance(record, BatchRecord):
            completed = record.sequence
            self.checkpoint.completed(completed)
        self._folder.append(records=[shipped.encoded], completed=completed)
        self._catalog.recorded(record.losses)
        self.losses.add(record.losses)
        if isinstance(record, BatchRecord):
            self._batch_committed(record, shipped.took_seconds)
        if record.sequence >= self._snapshot_at:
            self._put_snapshot()

    def _batch_committed(self, record: BatchRecord, took_seconds: float) -> None:
        for span in record.spans:
            self._catalog.committed(record.origins[span.origin].source, span.path, span.generation, span.end)
        self.committed_rows += record.rows
        self.committed_bytes += record.bytes
        self.last_commit_at = datetime.fromtimestamp(self._clock.wall(), UTC)
        self._emit(
            BatchCommitted(
                volume=record.volume,
                shard=record.shard,
                sequence=record.sequence,
                object_key=record.object_key,
                rows=record.rows,
                bytes=record.bytes,
                object_bytes=record.object_bytes,
                files=len(record.spans),
                seconds=took_seconds,
            )
        )

    def _put_snapshot(self) -> None:
        sequence, body = self.checkpoint.sequence, pack_snapshot(self.checkpoint)
        self._snapshot_at = sequence + SNAPSHOT_EVERY
        self._shipper.submit(lambda: self._ledger.put_snapshot(sequence, body))

    # --- for whoever turns the loop

    @property
    def uncommitted_bytes(self) -> int:
        """Bytes that were read and are not yet committed."""
        return self._taken_bytes - self.committed_bytes

    @property
    def batch_rows(self) -> int:
        return self._batch.rows

    @property
    def batch_bytes(self) -> int:
        return self._batch.bytes

    def discovery_seconds(self) -> DiscoverySeconds | None:
        after = sorted(self._found_after)
        return DiscoverySeconds(after[len(after) // 2], after[len(after) * 99 // 100]) if after else None

    def due_seconds(self) -> float:
        """In how many seconds the batch, or a half line, will have waited long enough."""
        now, opened_at = self._clock.steady(), self._opened_at
        batch = opened_at + self._plan.batch_max_age_seconds if opened_at is not None else None
        due = [at for at in (batch, self._catalog.queue.next_partial()) if at is not None]
        return max(0.001, min(due) - now) if due else float("inf")

    def is_flushed(self) -> bool:
        """Sends off and takes in what it can; true when all that was read is committed, receipts too."""
        self.seal()
        self._commit()
        self._finisher.step()
        self._compact()
        return self.is_shipped() and not self._finisher.writing

    def is_shipped(self) -> bool:
        """Whether everything that was read, and every loss, is committed."""
        return not (self._batch.rows or self._shipper.waiting or self._catalog.losses)

    def close(self) -> None:
        self._shipper.close()
        for pool in (self._helpers, self._gatherer):
            pool.shutdown(wait=True, cancel_futures=True)

    def _new_batch(self, before: Future[memoryview] | None = None) -> Batch:
        plan = self._plan
        return Batch(
            plan.settings,
            plan.fields,
            self._pool,
            helpers=self._helpers,
            encode_bytes=plan.budget.encode_bytes,
            encode_rows=plan.budget.encode_rows,
            before=before,
            memory=self._memory,
        )
