"""The whole collector against a model: any writers, any crashes, and the promise holds.

What the model leaves out, and why:
- What a collector saw or read and had not committed is forgotten when it is killed, or loses its shard. If it
  is gone from the volume by the next start, nobody knows of it: it is neither collected nor counted. The same
  holds at a stop for bytes that it saw, and did not read before they vanished.
- A content of which nothing was read is known by its inode alone. If another one gets the inode, and is as
  long by the next look, it is taken for the same one that grew.
- Every write moves the mtime. A rewrite to the same length within one tick of the file system's clock, with
  no restart, is not seen.
- The copy of a copytruncate that is no quick one (looks for more than 5 s, an append, a rename or a run with
  `--once` between copy and cut) may be collected as a file of its own, as any backup.
- Nothing is written while a look or a read goes on, files are not cut to less than nothing but a start of
  them, and there are no holes: the stories in tests/intake are about these.
- One shard, Parquet, a local destination; a write to the state folder is whole, or is not begun.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path

from delivered import check, read
from driven_collector import Driven, Site
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from killing_store import Killed, KillingStore, KillPoint
from modelled_volume import LINES, LOGS, SOURCES, Volume

from collector.errors import Fenced
from collector.records import COMMITS, DATA, RECEIPTS

QUICKLY_SECONDS = 5.0
"""Well within the time for which the copy of a copytruncate is waited for."""

FAST = Path("/dev/shm")  # noqa: S108  # a folder of its own is made in it: durable writes cost nothing there

sources = st.sampled_from(list(SOURCES))
logs = st.sampled_from(LOGS)
kinds = st.sampled_from(list(LINES))
maybe_kinds = st.none() | kinds
picks = st.integers(0, 11)
whens = st.sampled_from(["before", "after"])
points = st.builds(KillPoint, st.sampled_from(["record", "object", "receipt"]), st.integers(1, 3), whens)

actions: Counter[str] = Counter()


def if_so(can: Callable[[CollectorModel], object]):
    """Does nothing where it cannot be done. A precondition would have to hold again when the same steps are
    drawn again, and whether a collector lives depends on its threads too.
    """

    def only_then(step: Callable[..., None]) -> Callable[..., None]:
        @wraps(step)
        def done(self: CollectorModel, **drawn: object) -> None:
            if can(self):
                step(self, **drawn)

        return done

    return only_then


class CollectorModel(RuleBasedStateMachine):
    """At most one collector is the newest; the one that it took the shard from may still run."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="joblog-model-"))
        self.fast = Path(tempfile.mkdtemp(prefix="joblog-model-", dir=FAST if FAST.is_dir() else None))
        self.collector: Driven | None = None
        self.older: Driven | None = None
        self.older_created: int | None = None
        """How much the older one had put when its shard was taken; None where that start was killed."""
        self.states: list[Path] = []
        self.site = Site(self.root, self.fast)
        self.volume = Volume(self.site)

    @initialize(idle=st.sampled_from([60.0, 86400.0]), batch=st.sampled_from([2.0, 30.0]))
    def begins(self, idle: float, batch: float) -> None:
        self.site.idle_seconds, self.site.batch_seconds = idle, batch

    def teardown(self) -> None:
        try:
            if self.older:
                self.older_ends()
            self.comes_to_rest()
            self.stops()
            self.another_run_finds_nothing()
        finally:
            for collector in (self.collector, self.older):
                if collector:
                    collector.kill()
            shutil.rmtree(self.root)
            shutil.rmtree(self.fast)

    # --- writers

    @rule(source=sources, name=logs, kind=kinds)
    def appends(self, source: str, name: str, kind: str) -> None:
        self.count("append")
        self.volume.append(source, _file(source, name), kind)

    @precondition(lambda self: self.volume.names())
    @rule(pick=picks, kind=kinds)
    def appends_again(self, pick: int, kind: str) -> None:
        source, name = self.pick(pick)
        if not self.volume.is_copying_to(source, name):
            self.count("append")
            self.volume.append(source, name, kind)

    @rule(source=sources, name=logs)
    def creates_empty(self, source: str, name: str) -> None:
        self.count("create empty")
        self.volume.touch(source, _file(source, name))

    @precondition(lambda self: self.volume.logs())
    @rule(pick=picks, kind=maybe_kinds)
    def rotates(self, pick: int, kind: str | None) -> None:
        self.count("rename-rotate")
        source, name = self.pick_log(pick)
        self.volume.rotate(source, name)
        if kind:
            self.volume.append(source, name, kind)

    @precondition(lambda self: self.volume.logs())
    @rule(pick=picks, kind=maybe_kinds)
    def copies_and_truncates(self, pick: int, kind: str | None) -> None:
        self.count("copytruncate at once")
        self.volume.copytruncate(*self.pick_log(pick), kind)

    @precondition(lambda self: self.volume.logs() and not self.volume.copy)
    @rule(pick=picks, part=st.sampled_from([0.0, 0.5, 1.0]))
    def begins_copying(self, pick: int, part: float) -> None:
        self.count("copytruncate begins")
        self.volume.begin_copy(*self.pick_log(pick), part)

    @precondition(lambda self: self.volume.copy)
    @rule(kind=maybe_kinds)
    def ends_copying(self, kind: str | None) -> None:
        self.count("copytruncate ends")
        self.volume.end_copy(kind)

    @precondition(lambda self: self.volume.names())
    @rule(pick=picks, kind=maybe_kinds)
    def truncates(self, pick: int, kind: str | None) -> None:
        self.count("truncate")
        self.volume.truncate(*self.pick(pick), kind)

    @precondition(lambda self: self.volume.names())
    @rule(pick=picks, kind=kinds)
    def replaces(self, pick: int, kind: str) -> None:
        self.count("replace")
        self.volume.replace(*self.pick(pick), kind)

    @precondition(lambda self: self.volume.names())
    @rule(pick=picks, kind=kinds)
    def rewrites(self, pick: int, kind: str) -> None:
        source, name = self.pick(pick)
        if self.volume.is_alone(source, name):
            self.count("rewrite")
            self.volume.rewrite(source, name, kind)

    @precondition(lambda self: self.volume.names())
    @rule(pick=picks)
    def deletes(self, pick: int) -> None:
        self.count("delete")
        self.volume.delete(*self.pick(pick))

    @precondition(lambda self: self.volume.names())
    @rule(pick=picks)
    def links(self, pick: int) -> None:
        self.count("hard link")
        self.volume.link(*self.pick(pick))

    @precondition(lambda self: self.volume.unburied())
    @rule(pick=picks)
    def buries(self, pick: int) -> None:
        self.count("tombstone")
        there = self.volume.unburied()
        self.volume.bury(there[pick % len(there)])

    @precondition(lambda self: self.volume.files)
    @rule(pick=picks)
    def deletes_source(self, pick: int) -> None:
        self.count("delete source")
        there = sorted(self.volume.files)
        self.volume.delete_source(there[pick % len(there)])

    # --- the collector

    @rule(state=picks, point=st.none() | points)
    @if_so(lambda self: not self.collector)
    def starts(self, state: int, point: KillPoint | None) -> None:
        """With the state folder of any earlier collector, or a new one."""
        self.start(self.state(state), point)

    @rule(state=picks, complete=st.booleans(), point=st.none() | points)
    @if_so(lambda self: not self.collector)
    def runs_once(self, state: int, complete: bool, point: KillPoint | None) -> None:
        self.count("once")
        self.run_once(self.state(state), complete=complete, point=point)

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 12.0, 40.0, 700.0]), times=st.integers(1, 3))
    @if_so(lambda self: self.collector)
    def turns(self, seconds: float, times: int) -> None:
        for _ in range(times):
            if self.collector:
                self.count("turn")
                self.alive(lambda: self.collector.turn(seconds))

    @rule()
    @if_so(lambda self: self.collector)
    def seals(self) -> None:
        self.count("seal")
        self.alive(self.collector.seal)

    @rule()
    @if_so(lambda self: self.collector and not self.collector.store.held)
    def destination_hangs(self) -> None:
        self.count("destination hangs")
        self.collector.store.hold()

    @rule()
    @if_so(lambda self: self.collector and self.collector.store.held)
    def destination_goes_on(self) -> None:
        self.count("destination goes on")
        self.collector.store.release()

    @rule(when=whens)
    @if_so(lambda self: self.collector)
    def destination_fails(self, when) -> None:
        self.count(f"unknown outcome ({when})")
        self.collector.store.fail(when)

    @rule(point=points)
    @if_so(lambda self: self.collector)
    def will_be_killed(self, point: KillPoint) -> None:
        self.collector.store.kill_at(point)

    @rule()
    @if_so(lambda self: self.collector)
    def is_killed(self) -> None:
        self.count("kill")
        self.killed()

    @rule()
    @if_so(lambda self: self.collector)
    def is_stopped(self) -> None:
        self.count("stop")
        self.alive(self.stops)

    @rule(point=st.none() | points)
    @if_so(lambda self: self.collector and not self.older)
    def is_taken_over(self, point: KillPoint | None) -> None:
        self.count("take-over")
        self.older, self.collector = self.collector, None
        self.volume.forget_looks()
        self.start(self.new_state(), point)
        self.older_created = len(self.older.store.created) if self.collector else None

    @rule()
    @if_so(lambda self: self.older)
    def older_goes_on(self) -> None:
        self.older_ends()

    @rule()
    def rests(self) -> None:
        self.count("rest")
        self.comes_to_rest()

    # --- what they are made of

    def comes_to_rest(self) -> None:
        while True:
            if self.collector is None:
                self.start(self.state(0), None)
            self.alive(lambda: self.collector.settle(self.looked))
            if self.collector:
                break
        check(self.volume, finished=self.volume.finished())

    def looked(self) -> None:
        copy = self.volume.copy
        if copy and self.site.time.wall - copy.begun > QUICKLY_SECONDS:
            self.volume.loosen_copy()
        self.volume.looked_at(self.collector.looked_at())

    def start(self, state: Path, point: KillPoint | None) -> None:
        self.count("start")
        store = KillingStore(self.site.store)
        if point:
            store.kill_at(point)
        try:
            self.collector = Driven(self.site, state, store)
        except Killed:
            self.count(f"killed {point.when} {point.kind} at start")

    def run_once(self, state: Path, *, complete: bool, point: KillPoint | None) -> None:
        store = KillingStore(self.site.store)
        if point:
            store.kill_at(point)
        before = self.losses()
        self.volume.loosen_copy()
        try:
            code = self.site.once(state, store, complete=complete)
        except Killed:
            self.count(f"killed {point.when} {point.kind} in once")
            return
        assert code == (1 if self.losses() - before else 0)
        # Without --complete, a source that went on a moment ago has its next receipt later.
        check(self.volume, finished=self.volume.finished(complete=True) if complete else set())

    def receipts(self) -> list[str]:
        return [entry.key for entry in self.site.store.list(RECEIPTS)]

    def losses(self) -> Counter:
        return Counter((place, loss) for place, each in read(self.volume).items() for loss in each.losses)

    def another_run_finds_nothing(self) -> None:
        store = KillingStore(self.site.store)
        assert self.site.once(self.states[-1], store) == 0
        assert store.created == []

    def stops(self) -> None:
        self.collector.stop()
        self.collector = None
        self.volume.forget_looks()

    def alive(self, what) -> None:
        """Does it with the collector, which may be killed meanwhile."""
        try:
            what()
        except Killed:
            self.count("killed at a put")
            self.killed()
        if self.collector:
            self.looked()

    def killed(self) -> None:
        self.collector.kill()
        self.collector = None
        self.volume.forget_looks()

    def older_ends(self) -> None:
        """The one that lost its shard goes on as if nothing were: it ends Fenced, and has written no row."""
        older, self.older = self.older, None
        taken = self.older_created
        try:
            older.settle(lambda: None)
            self.count("older had nothing to write")
        except Fenced:
            self.count("older fenced")
        except Killed:
            self.count("older killed")
        older.kill()
        if taken is not None:
            further = [key for key in older.store.created[taken:] if key.startswith((COMMITS, DATA))]
            assert not further, f"it wrote after it lost its shard: {further}"

    def pick(self, pick: int) -> tuple[str, str]:
        names = self.volume.names()
        return names[pick % len(names)]

    def pick_log(self, pick: int) -> tuple[str, str]:
        names = self.volume.logs()
        return names[pick % len(names)]

    def state(self, pick: int) -> Path:
        """Mostly the last state folder; else an older one, or a new one."""
        free = [state for state in self.states if not self.older or state != self.older.state]
        if pick > 9 or not free:
            return self.new_state()
        state = free[-1 if pick < 9 else 0]
        self.states.remove(state)
        self.states.append(state)
        return state

    def new_state(self) -> Path:
        self.states.append(self.fast / f"state-{len(self.states)}")
        return self.states[-1]

    def count(self, action: str) -> None:
        actions[action] += 1


def _file(source: str, name: str) -> str:
    """Directories in the root are sources of their own."""
    return name.rsplit("/", 1)[-1] if source == "." else name
