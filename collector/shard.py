"""One shard from start to end: takes it over, turns its loop, drains it, and says how it is doing."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from operator import attrgetter
from typing import Literal

from collector.assembly import Assembly, Parts, Task, open_ground
from collector.errors import Incomplete
from collector.events import (
    CollectorStarted,
    CollectorStopped,
    DestinationFailing,
    DestinationRecovered,
    Emit,
    Event,
)
from collector.pace import Pace
from collector.sink.retry import Retrying
from collector.sink.store import Store
from collector.status import ShardStatus

DRAIN_SECONDS = 25.0
"""How long a collector that was told to stop may take: Kubernetes kills after 30 s unless told otherwise."""

STATUS_EVERY_SECONDS = 0.25
STATUS_PART = 200
"""Of thousands of sources the status is told less often: it takes at most this part of the time."""

LONGEST_WAIT_SECONDS = 1.0

FINISHED = attrgetter("finished")
"""Of a source; of a hundred thousand the quickest way to ask."""

State = Literal["starting", "collecting", "draining", "stopped", "failed"]


class Shard:
    """Made by the main thread, `run` on a thread of its own; `stop` and `status` may be called from any."""

    def __init__(self, task: Task, store: Store, emit: Emit) -> None:
        """Raises UsageError for what the user got wrong: the volume or its layout."""
        self._task = task
        self._ground = open_ground(task)
        self._emit = emit
        self._pace = Pace(task.clock.monotonic, task.config.batch.max_age_seconds)
        self._stop = threading.Event()
        self._give_up = threading.Event()
        self._destination_error = ""
        self._state: State = "starting"
        self._reason = "starting"
        self._store = Retrying(
            store, policy=task.policy, emit=self._note, random=task.random, stop=self._give_up
        )
        self._parts: Parts | None = None
        self._status_at = 0.0
        self._status = self._first_status()

    def stop(self) -> None:
        """Asks the shard to drain and end, any number of times."""
        self._stop.set()
        if self._parts is None:
            self._give_up.set()  # nothing was read yet: there is nothing to wait for the destination with
        self._pace.hurry()

    def status(self) -> ShardStatus:
        return self._status

    def run(self) -> int:
        """Collects until the end; returns the exit code. Raises JoblogError."""
        try:
            with ExitStack() as stack:
                return self._run(stack)
        except BaseException as error:
            self._state, self._reason = "failed", str(error)
            raise
        finally:
            if self._state != "failed":
                self._state, self._reason = "stopped", "stopped"
            self._publish()

    def _run(self, stack: ExitStack) -> int:
        task, ground = self._task, self._ground
        stack.callback(ground.volume.close)
        ground.folder.lock(task.owner)
        stack.callback(ground.folder.close)
        assembly = Assembly(
            task,
            ground,
            self._store,
            stack=stack,
            pace=self._pace,
            give_up=self._give_up.set,
            emit=self._emit,
        )
        if task.once and not assembly.has_work():
            return 0
        self._parts = assembly.parts()
        self._tell_started(self._parts)
        self._state, self._reason = "collecting", ""
        return self._collect_once(self._parts) if task.once else self._collect(self._parts)

    def _tell_started(self, parts: Parts) -> None:
        volume = self._task.volume
        self._emit(
            CollectorStarted(
                volume=volume.name,
                shard=self._task.shard,
                path=str(volume.path),
                layout=self._ground.layout.text,
                watch=parts.watch_kind,
                watch_reason=parts.watch_reason,
                to=self._store.url,
            )
        )

    def _collect(self, parts: Parts) -> int:
        while not self._stop.is_set():
            moved = self._turn(parts)
            if parts.scanner.has_more or (moved and (parts.catalog.queue.ready or parts.catalog.urgent)):
                continue
            if moved:
                self._pace.rest()
            self._pace.wait(self._due_seconds(parts))
        self._state, self._reason = "draining", "told to stop"
        self._drain(parts, DRAIN_SECONDS)
        reason = "told to stop; all that was read is committed"
        self._emit(CollectorStopped(self._task.volume.name, self._task.shard, reason))
        return 0

    def _collect_once(self, parts: Parts) -> int:
        done = self._turn_until_read(parts)
        self._drain(parts, DRAIN_SECONDS if self._stop.is_set() else None)
        if done and parts.retention is not None:
            parts.retention.finish(self._rest, self._stop.is_set)
        if done and parts.catalog.queue.ready:  # written to while it was deleted
            done = self._turn_until_read(parts)
            self._drain(parts, DRAIN_SECONDS if self._stop.is_set() else None)
        whole = not (
            parts.pipeline.losses.found_bytes or parts.scanner.unreadable or parts.catalog.has_failures()
        )
        return 0 if done and whole else 1

    def _turn(self, parts: Parts) -> bool:
        moved = parts.pipeline.turn()
        if parts.retention is not None and not self._task.once:
            parts.retention.step()
        if self._task.clock.monotonic() >= self._status_at:
            self._publish()
        return moved

    def _due_seconds(self, parts: Parts) -> float:
        """In how many seconds something is due, if nobody wakes the loop before."""
        seconds = self._task.clock.monotonic()
        due = parts.scanner.next_at(seconds) - seconds
        return min(max(due, 0.001), parts.pipeline.due_seconds(), LONGEST_WAIT_SECONDS)

    def _rest(self) -> None:
        """Waits a moment, or until somebody wakes the loop."""
        self._pace.pause(0.05)

    def _turn_until_read(self, parts: Parts) -> bool:
        """Turns until all that was there is read and receipted; false if told to stop before."""
        clock = self._task.clock
        began = clock.steady()
        while not self._stop.is_set():
            if self._turn(parts):
                continue
            parts.pipeline.seal()
            if self._is_all_read(parts, began) and parts.pipeline.is_shipped() and not parts.finisher.busy:
                return True
            self._pace.pause(self._due_seconds(parts))
        return False

    def _is_all_read(self, parts: Parts, began: float) -> bool:
        """Whether nothing waits but the half lines of files that were written to since `began`."""
        catalog = parts.catalog
        if parts.scanner.last_at is None or catalog.queue.ready or catalog.urgent or catalog.has_unsettled():
            return bool(parts.scanner.unreadable)
        return all(tracked.grown_at > began for tracked in parts.catalog.queue.partial)

    def _drain(self, parts: Parts, within_seconds: float | None) -> None:
        """Seals, ships and commits what was read. Raises Incomplete where that takes too long: then nothing
        more is claimed, and the next start reads the rest again.
        """
        clock = self._task.clock
        deadline = None if within_seconds is None else clock.monotonic() + within_seconds
        while not parts.pipeline.is_flushed():
            if deadline is not None and clock.monotonic() > deadline:
                if parts.pipeline.is_shipped():
                    return  # receipts that are left are written by the next start
                raise overdue()
            self._rest()

    # --- status

    def _note(self, event: Event) -> None:
        """Listens to the store's troubles on their way to everybody else."""
        if isinstance(event, DestinationFailing):
            self._destination_error = event.error
        elif isinstance(event, DestinationRecovered):
            self._destination_error = ""
        if self._parts is None:
            self._status = self._first_status()  # no turn would tell it yet
        self._emit(event)

    def _publish(self) -> None:
        began = self._task.clock.monotonic()
        self._tell()
        took = self._task.clock.monotonic() - began
        self._status_at = began + max(STATUS_EVERY_SECONDS, STATUS_PART * took)

    def _tell(self) -> None:
        parts = self._parts
        if parts is None:
            self._status = self._first_status()
            return
        catalog, pipeline, scanner = parts.catalog, parts.pipeline, parts.scanner
        reason = self._reason or self._destination_error or scanner.unreadable
        sources = catalog.sources.values()
        self._status = ShardStatus(
            volume=self._task.volume.name,
            shard=self._task.shard,
            path=str(self._task.volume.path),
            to=self._store.url,
            state=self._state,
            ready=self._state == "collecting" and not reason,
            reason=reason,
            watch=parts.watch_kind,
            watch_reason=parts.watch_reason,
            epoch=pipeline.checkpoint.epoch,
            sequence=pipeline.checkpoint.sequence,
            sources=len(sources),
            sources_unmatched=catalog.unmatched,
            sources_finished=sum(map(FINISHED, sources)),
            files=catalog.files(),
            open_files=parts.reader.open_files,
            backlog_bytes=catalog.queue.unread_bytes() + pipeline.uncommitted_bytes,
            batch_rows=pipeline.batch_rows,
            batch_bytes=pipeline.batch_bytes,
            committed_rows=pipeline.committed_rows,
            committed_bytes=pipeline.committed_bytes,
            lost_bytes=dict(pipeline.losses.by_reason),
            last_commit_at=pipeline.last_commit_at,
            last_scan_at=None if scanner.last_at is None else self._on_the_wall(scanner.last_at),
            last_scan_seconds=scanner.last_seconds,
            unreadable_bytes=catalog.queue.unreadable_bytes(),
            lost_sources=pipeline.losses.worst(),
            free_bytes=parts.retention.free_bytes if parts.retention else None,
            files_waiting=catalog.queue.waiting(),
            watched_directories=parts.hinted.watched if parts.hinted else None,
            discovery_seconds=pipeline.discovery_seconds(),
        )

    def _on_the_wall(self, steady: float) -> datetime:
        """A moment of the steady clock, as people's clocks tell it now."""
        clock = self._task.clock
        return datetime.fromtimestamp(clock.wall() - (clock.steady() - steady), UTC)

    def _first_status(self) -> ShardStatus:
        """The status before there is anything to tell."""
        return ShardStatus(
            volume=self._task.volume.name,
            shard=self._task.shard,
            path=str(self._task.volume.path),
            to=self._store.url,
            state=self._state,
            ready=False,
            reason=self._destination_error or self._reason,
            watch="",
            watch_reason="",
            epoch=0,
            sequence=0,
            sources=0,
            sources_unmatched=0,
            sources_finished=0,
            files=0,
            open_files=0,
            backlog_bytes=0,
            batch_rows=0,
            batch_bytes=0,
            committed_rows=0,
            committed_bytes=0,
            lost_bytes={},
            last_commit_at=None,
            last_scan_at=None,
            last_scan_seconds=0.0,
        )


def overdue() -> Incomplete:
    """What a collector ends with that was told to stop, and could not commit all it had read."""
    return Incomplete(
        f"the destination did not take what was read within {DRAIN_SECONDS:.0f} s",
        hint="nothing is lost: the next start collects it",
    )
