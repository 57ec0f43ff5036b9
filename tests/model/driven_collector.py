"""A whole collector in this process, turned by hand, with a clock that only the test moves."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from killing_store import KillingStore

from collector.assembly import Assembly, Parts, Task, open_ground
from collector.config import BatchConfig, Config, LimitsConfig, VolumeConfig
from collector.events import Event
from collector.intake.track import TrackedSource
from collector.model import Owner
from collector.pace import Pace
from collector.pipeline import Clock
from collector.shard import Shard
from collector.sink.local import LocalStore
from collector.sink.retry import Retrying, RetryPolicy

LONGEST_WAIT_SECONDS = 30.0
ENOUGH_QUIET_TURNS = 12
MOST_TURNS = 400
RARELY_SECONDS = 601.0
"""Longer than any file or source is left without a look."""

OFTEN_SECONDS = 31.0
"""Longer than a source that is not finished is left without a look."""


@dataclass
class Time:
    """Stands still unless the test moves it; with `tick_seconds` it moves a little whenever it is asked."""

    wall: float
    tick_seconds: float = 0.0
    jumped_seconds: float = 0.0
    """By how much somebody set the clock: what tells durations does not notice."""

    def ask(self) -> float:
        self.wall += self.tick_seconds
        return self.wall

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.ask() + self.jumped_seconds, monotonic=self.ask)


@dataclass
class Site:
    """The places and settings that all collectors of one test share."""

    root: Path
    fast: Path
    """Where the destination and the state folders are: in memory, where there is such a place."""
    idle_seconds: float = 900.0
    batch_seconds: float = 30.0
    time: Time = field(default_factory=lambda: Time(time.time()))
    numbers: count = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.volume, self.export = self.root / "volume", self.fast / "export"
        self.volume.mkdir(parents=True)
        self.store = LocalStore(self.export, url=str(self.export))
        self.store.check()

    def task(self, state: Path, *, once: bool = False, complete: bool = False) -> Task:
        volume = VolumeConfig(
            path=self.volume,
            watch="poll",
            poll_interval_seconds=0.01 if once else 1.0,
            max_line_bytes=1024,
            partial_after_seconds=5.0,
            complete_after_idle_seconds=self.idle_seconds,
        )
        config = Config(
            volumes=(volume,),
            to=str(self.export),
            state=state,
            batch=BatchConfig(max_bytes=64 << 10, max_age_seconds=self.batch_seconds),
            limits=LimitsConfig(open_files=16),
        )
        return Task(
            config=config,
            volume=volume,
            shard=0,
            memory_bytes=128 << 20,
            once=once,
            complete=complete,
            owner=Owner(f"instance-{next(self.numbers):04d}", "host", 1, "test"),
            policy=RetryPolicy(attempts=None, first_seconds=0.0, longest_seconds=0.0),
            clock=self.time.clock(),
            random=lambda: 0.0,
        )

    def once(self, state: Path, store: KillingStore, *, complete: bool = False) -> int:
        """`joblog run --once`; returns its exit code. The clock runs meanwhile."""
        self.time.tick_seconds = 0.25
        try:
            return Shard(self.task(state, once=True, complete=complete), store, _ignore).run()
        finally:
            self.time.tick_seconds = 0.0


class Driven:
    """A collector that runs until it is stopped or killed. Each call may raise what a collector may, and
    `Killed` where the store says so.
    """

    def __init__(self, site: Site, state: Path, store: KillingStore) -> None:
        self.site, self.state, self.store = site, state, store
        self.stack = ExitStack()
        self._looks: dict[TrackedSource, int] = {}
        try:
            self.parts = self._start(site.task(state))
        except BaseException:
            self.kill()
            raise

    def _start(self, task: Task) -> Parts:
        ground = open_ground(task)
        self.stack.callback(ground.volume.close)
        ground.folder.lock(task.owner)
        self.stack.callback(ground.folder.close)
        retrying = Retrying(self.store, policy=task.policy, emit=_ignore, random=task.random)
        assembly = Assembly(
            task,
            ground,
            retrying,
            stack=self.stack,
            pace=Pace(task.clock.monotonic, task.config.batch.max_age_seconds),
            give_up=lambda: None,
            emit=_ignore,
        )
        return assembly.parts()

    def turn(self, seconds: float) -> bool:
        """A round, `seconds` after the one before; then what was sent off arrives, or waits for the store."""
        self.site.time.wall += seconds
        moved = self.parts.pipeline.turn()
        self._await_shipping()
        return moved

    def looked_at(self) -> list[str]:
        """The sources that were looked at since this was asked last."""
        looks = {source: source.looks for source in self.parts.catalog}
        looked = [source.source for source in looks if looks[source] != self._looks.get(source, 0)]
        self._looks = looks
        return looked

    def seal(self) -> None:
        self.parts.pipeline.seal()
        self._await_shipping()

    def stop(self) -> None:
        """Seals, ships and commits what was read, then ends."""
        self.store.release()
        self._flush()
        self.stack.close()

    def settle(self, after_turn) -> None:
        """Turns until nothing moves any more, however rarely it looks at what."""
        self.store.release()
        quiet = 0
        for number in range(MOST_TURNS):
            moved = self.turn(OFTEN_SECONDS if number else RARELY_SECONDS)
            after_turn()
            done = self._flush() and not self.parts.finisher.busy and not self.parts.catalog.queue.ready
            quiet = quiet + 1 if done and not moved else 0
            if quiet == ENOUGH_QUIET_TURNS:
                return
        raise AssertionError("it does not come to rest")

    def kill(self) -> None:
        """Ends without a word: the lock goes as it does with a process, and nothing more is put."""
        self.store.die()
        self.stack.close()

    def _flush(self) -> bool:
        for _ in range(MOST_TURNS):
            if self.parts.pipeline.is_flushed():
                return True
            self._await_shipping()
        raise AssertionError("what was read is not committed")

    def _await_shipping(self) -> None:
        """Waits until no thread of the collector has anything to do, so that each run goes the same way."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while not self._is_at_rest():
            assert time.monotonic() < deadline, "the destination was not answered"
            time.sleep(0.0002)

    def _is_at_rest(self) -> bool:
        shipping = [task for task in self.parts.pipeline._shipper._tasks if not task.done()]
        writing = [future for future in self.parts.finisher._writing if not future.done()]
        return not writing and (not shipping or self.store.blocked)


def _ignore(_: Event) -> None:
    """The model looks at what is in the destination, not at what a collector says of it."""
