"""Deletes from the volume what has its receipt: after a time, or when the volume runs full.

Deleting cannot be undone, so a source is proved first (`prover.py`), which waits for the destination on
threads of its own. The deleting itself takes a few milliseconds of each turn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

from collector.config_sections import RetentionConfig
from collector.events import Emit, RetentionSkipped, SourceDeleted
from collector.expiry import Candidate, Choice, Expiry, Reason, Space, expire, missing_bytes
from collector.finish import Finisher
from collector.finished import Finished
from collector.intake.catalog import Catalog
from collector.intake.discover import Discovery
from collector.intake.read import Reader
from collector.intake.removal import (
    CHANGED,
    Match,
    device_of,
    is_empty_of_files,
    match,
    remove,
    remove_directories,
    remove_tombstone,
    times_of,
)
from collector.intake.track import TrackedSource
from collector.intake.volume import VANISHED, Volume
from collector.pipeline import Clock
from collector.prover import Order, Proof, Prover
from collector.sink.store import Store
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder
from collector.value import value

PLAN_SECONDS = 1.0
"""How often it is looked what is to be deleted, and how much is free; rarer where that takes long."""

PLAN_PART = 50
"""Planning takes no more than this part of the time."""

HOLD_SECONDS = 60.0
"""How long a source that could not be deleted is left alone."""

WARN_SECONDS = 600.0
"""How often it is said that nothing more can be deleted, or that free space cannot be judged."""

TURN_SECONDS = 0.02
"""How long deleting may take in one turn, so that collecting goes on."""

PROVERS = 4

UNJUDGED = "free_space cannot be judged: the file system does not tell its size; nothing is deleted for it"


@value
class Outlook:
    """What retention would do with one source now. `key` is empty where there is no receipt."""

    source: str
    key: str
    revision: int
    files: int
    bytes: int
    deletes: bool
    why: str


class Retention:
    def __init__(
        self,
        wanted: RetentionConfig,
        *,
        catalog: Catalog,
        checkpoint: Checkpoint,
        folder: StateFolder,
        finisher: Finisher,
        reader: Reader,
        discovery: Discovery,
        volume: Volume,
        store: Store,
        tombstone: str,
        clock: Clock,
        wake: Callable[[], None],
        emit: Emit,
    ) -> None:
        self._wanted = wanted
        self._catalog, self._checkpoint = catalog, checkpoint
        self._finished = Finished(catalog, checkpoint, folder, clock)
        self._finisher, self._reader = finisher, reader
        self._discovery, self._volume = discovery, volume
        self._prover = Prover(store, checkpoint.volume, volume, clock.monotonic)
        self._tombstone = tombstone
        self._clock, self._wake, self._emit = clock, wake, emit
        self._pool = ThreadPoolExecutor(PROVERS, thread_name_prefix="joblog-retention")
        self._chosen: list[Choice] = []
        self._proving: list[Future[Proof]] = []
        self._deleting: Iterator[None] | None = None
        self._plan_at = self._warn_at = float("-inf")
        self._held: dict[str, float] = {}
        self._told: dict[str, str] = {}
        self.free_bytes: int | None = None

    @property
    def busy(self) -> bool:
        return bool(self._deleting or self._proving or self._chosen)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def step(self) -> None:
        """A few milliseconds of work, if there is some; then it wakes the loop for more."""
        if not self.busy and self._clock.monotonic() >= self._plan_at:
            self._plan()
        while self._chosen and len(self._proving) < PROVERS:
            self._prove(self._chosen.pop(0))
        if self._deleting is None and self._proving and self._proving[0].done():  # the oldest goes first
            self._deleting = self._delete(self._proving.pop(0).result())
        if self._deleting is not None:
            self._go_on(self._deleting)

    def finish(self, wait: Callable[[], None], stopped: Callable[[], bool]) -> None:
        """Deletes all that is to be deleted now; `wait` returns when there may be something to do."""
        for _ in range(2):  # once more, to see whether it was enough
            self._plan()
            while self.busy and not stopped():
                self.step()
                if self._deleting is None and self._proving:
                    wait()

    def is_due(self) -> bool:
        """Whether a collector that takes the shard would delete something, or note when it saw receipts."""
        sources = self._checkpoint.sources.values()
        if any(known.finished_by and known.receipted_at is None for known in sources):
            return True
        there = {each.source for each in self._catalog if each.files or each.tombstone}
        return any(choice.source in there for choice in self._expiry().choices)

    # --- what is to be deleted

    def _plan(self) -> None:
        began = self._clock.monotonic()
        self._finished.note_times()
        expiry = self._expiry()
        self._chosen = list(expiry.choices)
        missing = missing_bytes(self._wanted, self._space())
        if missing and not self._chosen:
            self._warn(f"{missing} bytes less are free than free_space asks for, and nothing can be deleted")
        now = self._clock.monotonic()
        self._plan_at = now + max(PLAN_SECONDS, PLAN_PART * (now - began))

    def _expiry(self) -> Expiry:
        space = self._space()
        if self._wanted.free_space is not None and space is None:
            self._warn(UNJUDGED)
        now = self._clock.steady()
        candidates = [
            Candidate(source.source, known.receipted_at, _bytes_of(source))
            for source in self._catalog
            if (known := self._finished.standing(source)) is not None
            and known.receipted_at is not None
            and self._held.get(source.source, 0.0) <= self._clock.monotonic()
        ]
        return expire(candidates, self._wanted, space, datetime.fromtimestamp(now, UTC))

    def _space(self) -> Space | None:
        """None where the file system does not tell: it has no size, or cannot be asked."""
        try:
            total, free = self._volume.space()
        except OSError:
            total = free = 0
        self.free_bytes = free if total else None
        return Space(total, free) if total else None

    # --- the proof

    def _prove(self, choice: Choice) -> None:
        order = self._finished.order(choice)
        if order is None or (choice.reason == "space" and not self._lacks_space()):
            return
        future = self._pool.submit(self._prover.prove, order)
        future.add_done_callback(lambda _: self._wake())
        self._proving.append(future)

    def _lacks_space(self) -> bool:
        return missing_bytes(self._wanted, self._space()) > 0

    # --- the deletion

    def _go_on(self, deleting: Iterator[None]) -> None:
        until = self._clock.monotonic() + TURN_SECONDS
        for _ in deleting:
            if self._clock.monotonic() >= until:
                break
        else:
            self._deleting = None
        if self.busy:
            self._wake()

    def _delete(self, proof: Proof) -> Iterator[None]:
        """Deletes one source, a name at a time. What stops it is told; what is left is tried again later."""
        order = proof.order
        source = self._catalog.sources.get(order.known.source)
        if source is None or self._finished.standing(source) != order.known:
            return
        if order.choice.reason == "space" and not self._lacks_space():
            return
        if proof.why:
            self._skip(source, proof.why)
            return
        deletion = Deletion(source, order)
        try:
            matched = self._match(source, proof)
            if matched.why:
                self._skip(source, matched.why)
                return
            yield from self._files(deletion, matched)
            if not deletion.why:
                yield from self._rest(deletion, matched)
        except OSError as error:
            deletion.why = CHANGED if error.errno in VANISHED else os.strerror(error.errno or 0)
        self._conclude(deletion)

    def _match(self, source: TrackedSource, proof: Proof) -> Match:
        """Raises OSError."""
        look = self._discovery.look(source.directory)
        if look is None:
            return Match(why="it is gone")
        if times_of(source) != proof.order.times:
            return Match(why=CHANGED)
        return match(source, look, device_of(self._volume, source.directory), proof.receipted)

    def _files(self, deletion: Deletion, matched: Match) -> Iterator[None]:
        for doomed in matched.doomed:
            tracked = doomed.tracked
            if not deletion.source.finished:
                deletion.why = "a file came after its receipt"
                return
            self._reader.release(tracked)
            removal = remove(self._volume, deletion.source.directory, doomed)
            if removal.why:
                deletion.why = removal.why
                return
            deletion.files += 1
            deletion.bytes += tracked.read_offset
            if removal.descriptor >= 0:
                self._reader.adopt(tracked, removal.descriptor)
                self._catalog.deleted_late(tracked, removal.size, self._clock.steady())
            else:
                self._catalog.deleted(tracked)
            yield

    def _rest(self, deletion: Deletion, matched: Match) -> Iterator[None]:
        """The tombstone, then the directories; not while a file is left that belongs to the source."""
        source = deletion.source
        look = self._discovery.look(source.directory)
        if matched.left or (look is not None and look.files) or not source.finished:
            deletion.why = "a file came after its receipt"
            return
        if source.directory.flat:
            deletion.whole = is_empty_of_files(self._volume, source.directory)
            return
        remove_tombstone(self._volume, source.directory, self._tombstone)
        yield
        for gone in remove_directories(self._volume, source.directory):
            deletion.whole = gone
            yield
        if not deletion.whole:
            deletion.why = "what was not collected is left in it"

    def _conclude(self, deletion: Deletion) -> None:
        source, order = deletion.source, deletion.order
        if deletion.files or deletion.whole:
            self._emit(
                SourceDeleted(
                    self._checkpoint.volume,
                    source.source,
                    order.key,
                    deletion.files,
                    deletion.bytes,
                    order.choice.reason,
                )
            )
        if deletion.whole and not source.gone:
            self._finisher.retire(source)
            self._told.pop(source.source, None)
            self._held.pop(source.source, None)
        elif deletion.why:
            self._skip(source, deletion.why)
        else:
            self._held[source.source] = self._clock.monotonic() + HOLD_SECONDS

    def _skip(self, source: TrackedSource, why: str) -> None:
        """Leaves the source alone for a while, has it looked at, and tells why, once."""
        self._held[source.source] = self._clock.monotonic() + HOLD_SECONDS
        self._catalog.urgent[source] = None
        if self._told.get(source.source) != why:
            self._told[source.source] = why
            self._emit(RetentionSkipped(self._checkpoint.volume, source.source, why))

    def _warn(self, why: str) -> None:
        if self._clock.monotonic() >= self._warn_at:
            self._warn_at = self._clock.monotonic() + WARN_SECONDS
            self._emit(RetentionSkipped(self._checkpoint.volume, "", why))

    # --- what would be deleted

    def outlook(self) -> Iterator[Outlook]:
        """What would become of each source now. Proves as a deletion would, and changes nothing."""
        reasons = {choice.source: choice.reason for choice in self._expiry().choices}
        for source in sorted(self._catalog, key=lambda each: each.source):
            if source.missing:
                continue
            known = self._finished.standing(source)
            reason = reasons.get(source.source)
            deletes, why = self._foresee(source, reason)
            yield Outlook(
                source.source,
                self._finished.key(known) if known else "",
                known.revision if known else 0,
                len(source.files),
                _bytes_of(source),
                deletes,
                why if known else "it has no receipt for what it holds now",
            )

    def _foresee(self, source: TrackedSource, reason: Reason | None) -> tuple[bool, str]:
        if reason is None:
            return False, "it is not due"
        order = self._finished.order(Choice(source.source, reason))
        if order is None:
            return False, "it has no receipt for what it holds now"
        proof = self._prover.prove(order)
        try:
            why = proof.why or self._match(source, proof).why
        except OSError as error:
            why = os.strerror(error.errno or 0)
        return not why, why or reason


class Deletion:
    """One source while it is deleted: what is gone of it, and why it is not gone as a whole."""

    def __init__(self, source: TrackedSource, order: Order) -> None:
        self.source = source
        self.order = order
        self.files = self.bytes = 0
        self.whole = False
        self.why = ""


def _bytes_of(source: TrackedSource) -> int:
    return sum(tracked.read_offset for tracked in source.files.values())
