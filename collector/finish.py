"""When is a source finished, and its receipt: decided here, proved by the checkpoint, written once.

A source is finished by its tombstone, by idle time, by `--complete`, or because its directory is gone.
Then it is looked at once more (with `--complete`, which was said before all looks, at least once), read
to its end (the unterminated last line included), committed, and its receipt put. Bytes that come later
make it unfinished again, and give a further revision.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

from collector.events import Emit, ReceiptWritten
from collector.intake.catalog import Catalog
from collector.intake.names import encode_name
from collector.intake.track import TrackedFile, TrackedSource
from collector.intake.volume import Volume
from collector.model import FileCheckpoint, FileId, FinishedBy, Receipt, ReceiptFile, SourceCheckpoint
from collector.receipts import ReceiptWriter, Written
from collector.sink.store import Store
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder
from collector.state.receipt import build

WRITERS = 8
MOST_WAITING = 64

NOTED_AT_ONCE = 32
"""Receipts that are noted in the state folder together, while more are written: each note is an fsync."""

RETIRE_SECONDS = 600.0
"""How long a source whose directory is gone is remembered with its files."""

MOST_TRIES = 3
"""With `--complete`, how often a file is tried before what is left of it is taken for lost."""

QUIET_SECONDS = 10.0
"""A source that went on after its receipt must be quiet for so long before the next revision."""


class Finisher:
    def __init__(
        self,
        catalog: Catalog,
        checkpoint: Checkpoint,
        folder: StateFolder,
        store: Store,
        volume: Volume,
        *,
        tombstone: str,
        expect_owned: Callable[[], None],
        complete_after_idle_seconds: float,
        complete: bool,
        follow: bool,
        clock: Callable[[], float],
        wake: Callable[[], None],
        emit: Emit,
    ) -> None:
        self._catalog = catalog
        self._checkpoint = checkpoint
        self._folder = folder
        self._writer = ReceiptWriter(store, volume, tombstone=tombstone, expect_owned=expect_owned)
        self._idle_seconds = complete_after_idle_seconds
        self._complete = complete
        self._follow = follow
        self._clock = clock
        self._wake = wake
        self._emit = emit
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="joblog-receipt")
        self._closing: dict[TrackedSource, int] = {}
        """Finished sources, and how often each was looked at before: each is looked at and read once more."""
        self._stirred: OrderedDict[TrackedSource, None] = OrderedDict()
        """Those that a look or a read may have brought further: no other is asked."""
        self._awaiting: dict[TrackedSource, int] = {}
        """Those of which all is read, and not all committed: only a commit, or a look, can change that."""
        self._sequence = checkpoint.sequence
        self._writing: dict[Future[Written], None] = {}
        self._ended: deque[Future[Written]] = deque()
        """Of those, the ones that are done."""

    @property
    def writing(self) -> bool:
        return bool(self._writing)

    @property
    def busy(self) -> bool:
        """Whether a source is on its way to its receipt. One with a file that cannot be read is stuck."""
        return bool(self._writing) or any(
            not self._catalog.is_stuck(source) or (self._complete and self._catalog.is_retried(source))
            for source in chain(self._closing, self._awaiting)
        )

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def consider(self, source: TrackedSource, now: float) -> None:
        """Decides, after a look at the source, whether it is finished, or done with altogether."""
        if source.missing > 1 and self._is_over(source, now):
            self.retire(source)
        elif source in self._awaiting:
            self._closing[source] = self._awaiting.pop(source)
            self._stirred[source] = None
        elif source in self._closing:
            self._stirred[source] = None
        elif source.finish_by is None and (reason := self.reason(source, now)):
            source.finish_by = reason
            self._catalog.recheck(source)
            # `--complete` was said before this look, which is the one that is asked for then.
            is_last = reason == "complete" and not (source.missing or source.unsettled)
            self._closing[source] = source.looks - is_last
            self._stirred[source] = None
            if not is_last:
                self._catalog.urgent[source] = None

    def step(self) -> None:
        """Notes the receipts that stand, many at once, and sends off those of sources that are done."""
        if self._is_noting_due():
            self._note_written()
        self._stirred.update(self._catalog.queue.take_stirred())
        if self._checkpoint.sequence != self._sequence:
            self._sequence = self._checkpoint.sequence
            self._closing.update(self._awaiting)
            self._stirred.update(dict.fromkeys(self._awaiting))
            self._awaiting.clear()
        while self._stirred and len(self._writing) < MOST_WAITING:
            source, _ = self._stirred.popitem(last=False)
            looks = self._closing.get(source)
            if looks is not None and source.looks > looks and self._is_drained(source):
                self._move_on(source)
        self._wake_to_note()  # what was put while this went on woke nobody

    def _move_on(self, source: TrackedSource) -> None:
        looks = self._closing.pop(source)
        if self._is_committed(source):
            self._write(source)
        else:
            self._awaiting[source] = looks

    def reason(self, source: TrackedSource, now: float) -> FinishedBy | None:
        """Why the source is to be taken for finished, None while it is not."""
        quiet = now - self._last_stir(source)
        known = self._checkpoint.sources.get(source.source)
        if self._complete:
            return "complete"
        if known and known.revision and quiet < QUIET_SECONDS:
            return None
        if source.tombstone:
            return "tombstone"
        return "idle" if source.missing > 1 or quiet >= self._idle_seconds else None

    def _last_stir(self, source: TrackedSource) -> float:
        """Since when the source is quiet. Who stays sees that for himself: the mtimes of what stood there at
        the first look are by the clock of whoever keeps the files.
        """
        if self._follow:
            return max(source.newest, source.first_seen)
        return source.newest or source.first_seen

    def _is_drained(self, source: TrackedSource) -> bool:
        if self._complete:
            for tracked in source.files.values():
                if tracked.failures >= MOST_TRIES and tracked.unread_bytes:
                    self._catalog.give_up(tracked)
        return not source.error and self._catalog.is_drained(source)

    def _is_committed(self, source: TrackedSource) -> bool:
        return self._catalog.is_committed(source) and not self._catalog.has_unrecorded(source)

    def _is_over(self, source: TrackedSource, now: float) -> bool:
        """Whether a vanished source can be forgotten: at once if it never held anything; else it may be that
        a network file system lost sight of it, and comes to.
        """
        if self._catalog.has_unrecorded(source):
            return False
        if source.source not in self._checkpoint.sources:
            files = (*source.files.values(), *source.gone, *source.past)
            return not any(tracked.taken_offset or tracked.seen_bytes for tracked in files)
        return source.finished and now - source.missing_since >= RETIRE_SECONDS

    def retire(self, source: TrackedSource) -> None:
        """The source is gone from the volume and done with: keeps only what a new one must not repeat."""
        for kept in (self._closing, self._stirred, self._awaiting):
            kept.pop(source, None)
        if source.source in self._checkpoint.sources:
            self._checkpoint.retire(source.source)
            self._folder.append(retired=[source.source])
            self._catalog.floors[source.source] = self._checkpoint.sources[source.source].generation_floor
        self._catalog.forget(source)

    # --- one receipt

    def _write(self, source: TrackedSource) -> None:
        receipt, unhashed = self._receipt(source)
        known = self._checkpoint.sources[source.source]
        future = self._pool.submit(self._writer.put, source, known, receipt, unhashed)
        self._writing[future] = None
        future.add_done_callback(self._end)

    def _end(self, future: Future[Written]) -> None:
        self._ended.append(future)
        self._wake_to_note()

    def _wake_to_note(self) -> None:
        if self._is_noting_due():
            self._wake()

    def _is_noting_due(self) -> bool:
        return bool(self._writing) and len(self._ended) >= min(NOTED_AT_ONCE, len(self._writing))

    def _receipt(self, source: TrackedSource) -> tuple[Receipt, dict[FileId, FileCheckpoint]]:
        """The receipt, and the files whose hash is not at hand and must be read again."""
        known = self._checkpoint.sources.get(source.source) or SourceCheckpoint(source.source, source.origin)
        if known.origin != source.origin or known.retired or source.source not in self._checkpoint.sources:
            self._checkpoint.note_source(replace(known, origin=source.origin, retired=False))
        live = [*source.files.values(), *source.past]
        # What nothing was taken of has no checkpoint.
        empty = [(each.file.path, each.file.generation) for each in live if not each.committed_offset]
        receipt = build(
            self._checkpoint,
            source.source,
            finished_by=source.finish_by or "idle",
            empty_files=empty,
        )
        if any(each.hole_end > each.read_offset for each in live):
            by_place = {(each.file.path, each.file.generation): each for each in live}
            files = (
                _with_last_hole(file, by_place.get((file.path, file.generation))) for file in receipt.files
            )
            receipt = replace(receipt, files=tuple(files))
        if all(file.sha256 for file in receipt.files):
            return receipt, {}
        committed = self._checkpoint.files_of(source.source)
        unhashed = [at for at in committed if at.bytes and not at.evidence.prefix_sha256]
        # A file may have moved since its last commit.
        names = {each.file: encode_name(each.name) for each in live}
        void = {(loss.path, loss.generation) for loss in known.losses if loss.reason == "void"}
        return receipt, {
            at.file: replace(at, name=names.get(at.file, at.name))
            for at in unhashed
            if (at.file.path, at.file.generation) not in void
        }

    # --- back on the shard's own thread

    def _note_written(self) -> None:
        noted = []
        while self._ended:
            ended = self._ended.popleft()
            del self._writing[ended]
            written = ended.result()
            receipt = written.receipt
            known = self._checkpoint.sources[receipt.source]
            still = self._is_still(written)
            written.source.finished = still
            written.source.finish_by = receipt.finished_by if still else None
            noted.append(
                replace(
                    known,
                    revision=receipt.revision,
                    finished_by=receipt.finished_by if still else None,
                    tombstone=receipt.tombstone,
                    receipted_at=datetime.fromtimestamp(self._clock(), UTC),
                )
            )
            self._checkpoint.note_source(noted[-1])
            if written.is_new:
                self._announce(receipt)
        self._folder.append(sources=noted)

    def _is_still(self, written: Written) -> bool:
        """Whether the source holds what the receipt says, and no more came while it was written."""
        if self._checkpoint.sources[written.receipt.source] is written.known:
            unchanged = True  # no record spoke of it since
        else:
            receipted = sum(file.bytes for file in written.receipt.files)
            unchanged = sum(at.bytes for at in self._checkpoint.files.of(written.receipt.source)) == receipted
        return unchanged and self._is_drained(written.source) and self._is_committed(written.source)

    def _announce(self, receipt: Receipt) -> None:
        self._emit(
            ReceiptWritten(
                volume=receipt.volume,
                source=receipt.source,
                revision=receipt.revision,
                finished_by=receipt.finished_by,
                files=len(receipt.files),
                bytes=sum(file.bytes for file in receipt.files),
                lines=sum(file.lines for file in receipt.files),
                lost_bytes=sum(loss.end - loss.start for loss in receipt.losses),
            )
        )


def _with_last_hole(file: ReceiptFile, tracked: TrackedFile | None) -> ReceiptFile:
    """Adds the hole that a sparse file ends in: no row follows it, so no record tells of it."""
    if tracked is None or tracked.hole_end <= tracked.read_offset:
        return file
    return replace(file, holes=(*file.holes, (tracked.read_offset, tracked.hole_end)))
