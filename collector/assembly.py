"""Puts one shard's parts together: what the loop turns, in the order in which each needs the one before."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collector.batch_settings import batch_settings
from collector.budget import Budget, plan
from collector.config_sections import Config, VolumeConfig
from collector.errors import VolumeError
from collector.events import Emit, Event
from collector.finish import Finisher
from collector.intake.catalog import Catalog
from collector.intake.discover import Discovery
from collector.intake.framing import framing
from collector.intake.globs import Selection
from collector.intake.layout import Layout
from collector.intake.listing import all_sources
from collector.intake.look import Looker
from collector.intake.mounts import choose
from collector.intake.names import decode_name
from collector.intake.read import Reader
from collector.intake.removal import expect_deletable
from collector.intake.scan import Scanner
from collector.intake.track import TrackedSource
from collector.intake.volume import Volume
from collector.model import Origin, Owner
from collector.pace import Pace
from collector.pipeline import Clock, Pipeline, Plan
from collector.retention import Outlook, Retention
from collector.sink.ledger import Ledger
from collector.sink.retry import RetryPolicy
from collector.sink.store import Store
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder
from collector.takeover import Completion, Surveyed, parts_of, survey, take_over
from collector.value import value

if TYPE_CHECKING:
    from collector.intake.hinted import Hinted

ONCE_PARTIAL_SECONDS = 5.0
SETTLE_SECONDS = 10.0
ONCE_SETTLE_SECONDS = 2.0


@value
class Task:
    """What one shard is to do."""

    config: Config
    volume: VolumeConfig
    shard: int
    memory_bytes: int
    once: bool
    complete: bool
    owner: Owner
    policy: RetryPolicy
    clock: Clock
    random: Callable[[], float]


@value
class Ground:
    """What the user may have got wrong, opened: volume, what its names mean, state folder, memory."""

    layout: Layout
    volume: Volume
    discovery: Discovery
    folder: StateFolder
    budget: Budget


@value
class Parts:
    """A shard that was taken over, ready to turn. `watch_kind` and `watch_reason` are for people."""

    catalog: Catalog
    reader: Reader
    scanner: Scanner
    finisher: Finisher
    pipeline: Pipeline
    retention: Retention | None
    watch_kind: str
    watch_reason: str
    hinted: Hinted | None


def open_ground(task: Task) -> Ground:
    """Raises UsageError for a layout, pattern or volume that is wrong, or too little memory."""
    wanted = task.volume
    budget = plan(
        task.memory_bytes,
        export=task.config.format,
        max_line_bytes=wanted.max_line_bytes,
        batch_max_bytes=task.config.batch.max_bytes,
    )
    layout = Layout.parse(wanted.layout)
    selection = Selection(wanted.include, wanted.exclude)
    volume = Volume(wanted.path)
    discovery = Discovery(
        volume,
        layout,
        selection,
        tombstone=wanted.tombstone,
        shard=task.shard,
        shards=task.config.shards,
    )
    if wanted.retention is not None:
        _expect_deletable(volume, discovery, layout)
    return Ground(layout, volume, discovery, StateFolder(task.config.state, wanted.name, task.shard), budget)


def _expect_deletable(volume: Volume, discovery: Discovery, layout: Layout) -> None:
    """Raises VolumeError where retention is configured for a volume that nothing can be deleted from."""
    try:
        sources = all_sources(discovery)
    except OSError:
        sources = []  # the scanner will say why it cannot be listed
    expect_deletable(volume, sources, in_root=layout.source_depth == 1)


class Assembly:
    """Makes the parts of one shard. What has to be closed goes on `stack`, in the order of making."""

    def __init__(
        self,
        task: Task,
        ground: Ground,
        store: Store,
        *,
        stack: ExitStack,
        pace: Pace,
        give_up: Callable[[], None],
        emit: Emit,
    ) -> None:
        self._task = task
        self._ground = ground
        self._store = store
        self._stack = stack
        self._pace = pace
        self._give_up = give_up
        self._emit = emit
        self._origins: dict[str, Origin] = {}
        """What `has_work` learned of the names, for the collector that then starts."""
        self._surveyed: Surveyed | None = None  # and of the shard, while its folder stays locked

    def has_work(self) -> bool:
        """Whether a collector that takes the shard now would write anything. Writes nothing itself.

        Raises JoblogError, VolumeError where the volume cannot be listed.
        """
        task, now = self._task, self._task.clock.steady()
        ledger = self._ledger()
        self._surveyed = survey(self._ground.folder, ledger)
        checkpoint = self._surveyed.checkpoint
        if self._surveyed.lacks_object:
            return True
        catalog = self._catalog(checkpoint, _silent)
        scanner = self._scanner(catalog, None, _silent)
        finisher = self._finisher(catalog, checkpoint, ledger, _silent)

        def is_wanted(source: TrackedSource) -> bool:
            finishes = source.finish_by is None and finisher.reason(source, now)
            return bool(finishes or catalog.queue.ready or catalog.losses)

        looked = scanner.scan(now, task.clock.monotonic(), until=is_wanted)
        if scanner.unreadable:
            raise VolumeError(f"volume {self._ground.volume.path}: {scanner.unreadable}")
        finishes = any(is_wanted(source) for source in looked[-1:])
        wanted = catalog.queue.ready or catalog.losses or catalog.has_deferred()
        self._origins = {name: source.origin for name, source in catalog.sources.items()}
        retention = self._retention(catalog, checkpoint, finisher, self._reader(), _silent)
        is_due = retention is not None and retention.is_due()
        return bool(finishes or wanted or catalog.has_failures() or is_due)

    def outlook(self) -> list[Outlook]:
        """What retention would do with each source, if a collector took the shard now. Writes nothing.

        Raises JoblogError, VolumeError where the volume cannot be listed.
        """
        clock, ledger = self._task.clock, self._ledger()
        checkpoint = survey(self._ground.folder, ledger).checkpoint
        catalog = self._catalog(checkpoint, _silent)
        scanner = self._scanner(catalog, None, _silent)
        scanner.scan(clock.steady(), clock.monotonic())
        if scanner.unreadable:
            raise VolumeError(f"volume {self._ground.volume.path}: {scanner.unreadable}")
        finisher = self._finisher(catalog, checkpoint, ledger, _silent)
        retention = self._retention(catalog, checkpoint, finisher, self._reader(), self._emit)
        return [] if retention is None else list(retention.outlook())

    def parts(self) -> Parts:
        """Takes the shard over. Raises JoblogError."""
        task, ground = self._task, self._ground
        pool = ThreadPoolExecutor(1, thread_name_prefix="joblog-encode")
        self._stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        ledger = self._ledger()
        surveyed, self._surveyed = self._surveyed, None
        checkpoint = take_over(ground.folder, ledger, self._emit, surveyed)
        completion = Completion(
            ground.volume,
            ground.discovery,
            ledger=ledger,
            folder=ground.folder,
            pool=pool,
            emit=self._emit,
        )
        voided = completion.complete(checkpoint)
        catalog = self._catalog(checkpoint, self._emit)
        reader = self._reader()
        self._stack.callback(reader.close)
        kind, why, hinted = self._watch(catalog, reader)
        scanner = self._scanner(catalog, hinted, self._emit)
        finisher = self._finisher(catalog, checkpoint, ledger, self._emit)
        pipeline = Pipeline(
            self._plan(),
            scanner=scanner,
            catalog=catalog,
            reader=reader,
            ledger=ledger,
            checkpoint=checkpoint,
            folder=ground.folder,
            finisher=finisher,
            pool=pool,
            clock=task.clock,
            wake=self._pace.wake,
            emit=self._emit,
        )
        self._stack.callback(pipeline.close)
        retention = self._retention(catalog, checkpoint, finisher, reader, self._emit)
        # Last in, first out: whatever waits for the destination is told to give up before it is waited for.
        self._stack.callback(self._give_up)
        pipeline.losses.note_found(voided)
        return Parts(catalog, reader, scanner, finisher, pipeline, retention, kind, why, hinted)

    def _ledger(self) -> Ledger:
        task = self._task
        return Ledger(
            self._store,
            volume=task.volume.name,
            shard=task.shard,
            owner=task.owner,
            clock=lambda: datetime.fromtimestamp(task.clock.wall(), UTC),
            emit=self._emit,
        )

    def _catalog(self, checkpoint: Checkpoint, emit: Emit) -> Catalog:
        """The catalog as the checkpoint left it."""
        task = self._task
        patient = task.volume.partial_after_seconds
        catalog = Catalog(
            self._ground.volume,
            task.volume.name,
            self._ground.layout,
            partial_after_seconds=min(patient, ONCE_PARTIAL_SECONDS) if task.once else patient,
            settle_seconds=ONCE_SETTLE_SECONDS if task.once else SETTLE_SECONDS,
            follow=not task.once,
            record_after_seconds=self._record_after(),
            emit=emit,
            origins=self._origins,
        )
        now = task.clock.steady()
        devices: set[int] = set()
        for known in checkpoint.sources.values():
            if known.generation_floor:
                catalog.floors[known.source] = known.generation_floor
            if not known.retired:
                source = catalog.source(self._ground.discovery.directory(parts_of(known.source)), now)
                if source.origin == known.origin:
                    source.origin = known.origin  # one copy of it will do
                catalog.restore(source, checkpoint.files.of(known.source), known.losses, decode_name)
                devices.update(tracked.device for tracked in (*source.files.values(), *source.past))
                source.finish_by, source.finished = known.finished_by, known.finished_by is not None
        if devices:  # an empty volume on another file system than these is one that is not mounted
            self._ground.discovery.devices = devices
        return catalog

    def _reader(self) -> Reader:
        task = self._task
        return Reader(
            self._ground.volume,
            task.volume.name,
            arena_bytes=self._ground.budget.arena_bytes,
            most_lines=self._ground.budget.arena_lines,
            max_line_bytes=task.volume.max_line_bytes,
            open_files=task.config.limits.open_files,
            follow=not task.once,
            emit=self._emit,
            framing=framing(batch_settings(task.config, task.volume, self._ground.layout)),
        )

    def _record_after(self) -> float | None:
        multiline = self._task.volume.multiline
        if multiline is None:
            return None
        return min(multiline.timeout_seconds, ONCE_PARTIAL_SECONDS if self._task.once else float("inf"))

    def _watch(self, catalog: Catalog, reader: Reader) -> tuple[str, str, Hinted | None]:
        """How the volume is watched, why so, and where its hints go."""
        task, volume = self._task, self._task.volume
        kind, why = choose(volume.path, volume.watch)
        if kind != "inotify" or task.once:
            return kind, why, None
        from collector.intake.hinted import Hinted  # noqa: PLC0415 - slow to import; `--once` needs none
        from collector.intake.watch import Watch  # noqa: PLC0415 - see above

        own, seen = Volume(volume.path), self._ground.discovery
        watch = Watch(own, volume.name, seen, grew=self._pace.grew, hurry=self._pace.hurry, emit=self._emit)
        hinted = Hinted(seen, catalog, watch, reader.adopt)
        self._stack.callback(hinted.close)
        return kind, why, hinted

    def _scanner(self, catalog: Catalog, hinted: Hinted | None, emit: Emit) -> Scanner:
        looker = Looker.on(self._task.volume.path, self._ground.discovery)
        self._stack.callback(looker.close)
        return Scanner(
            self._ground.discovery,
            catalog,
            hinted,
            volume=self._task.volume.name,
            shard=self._task.shard,
            poll_interval_seconds=self._task.volume.poll_interval_seconds,
            monotonic=self._task.clock.monotonic,
            emit=emit,
            follow=not self._task.once,
            looker=looker,
        )

    def _finisher(self, catalog: Catalog, checkpoint: Checkpoint, ledger: Ledger, emit: Emit) -> Finisher:
        volume = self._task.volume
        finisher = Finisher(
            catalog,
            checkpoint,
            self._ground.folder,
            self._store,
            self._ground.volume,
            tombstone=volume.tombstone,
            expect_owned=ledger.expect_owned,
            complete_after_idle_seconds=volume.complete_after_idle_seconds,
            complete=self._task.complete,
            follow=not self._task.once,
            clock=self._task.clock.steady,
            wake=self._pace.wake,
            emit=emit,
        )
        self._stack.callback(finisher.close)
        return finisher

    def _retention(
        self, catalog: Catalog, checkpoint: Checkpoint, finisher: Finisher, reader: Reader, emit: Emit
    ) -> Retention | None:
        wanted = self._task.volume.retention
        if wanted is None:
            return None
        retention = Retention(
            wanted,
            catalog=catalog,
            checkpoint=checkpoint,
            folder=self._ground.folder,
            finisher=finisher,
            reader=reader,
            discovery=self._ground.discovery,
            volume=self._ground.volume,
            store=self._store,
            tombstone=self._task.volume.tombstone,
            clock=self._task.clock,
            wake=self._pace.wake,
            emit=emit,
        )
        self._stack.callback(retention.close)
        return retention

    def _plan(self) -> Plan:
        task, config = self._task, self._task.config
        return Plan(
            volume=task.volume.name,
            shard=task.shard,
            owner=task.owner,
            settings=batch_settings(config, task.volume, self._ground.layout),
            fields=self._ground.layout.field_names,
            budget=self._ground.budget,
            batch_max_age_seconds=config.batch.max_age_seconds,
            read_bytes_per_second=config.limits.read_bytes_per_second,
        )


def _silent(_: Event) -> None:
    """For a look that decides nothing: whoever looks again will tell."""
