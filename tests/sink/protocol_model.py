"""Walks through every interleaving of two owners that run the real `Ledger`, up to a bound.

An owner is a plain program. Whatever it asks the outside (a store operation, a look at the file) is
answered from a list, and where the list ends the program is stopped. So all that an owner is, is the
list of answers it was given; a step is one more answer, and equal states are met once. Nothing is
simulated but the outside: the puts that time out and land later, the crashes, the vanishing file.

What is left out, because it changes nothing: an answer that can never change again (what stands
under a taken key, that the file is gone) is given at once, not in turn with what the other owner does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Any, NamedTuple

from collector.errors import Fenced, JoblogError, ObjectMissing, StoreUnavailable
from collector.model import (
    BatchRecord,
    BatchSettings,
    CommitRecord,
    Evidence,
    Loss,
    OpenRecord,
    Origin,
    Owner,
    Span,
    VoidRecord,
)
from collector.records import DATA, commits_prefix, decode_record, object_key
from collector.sink.ledger import Ledger
from collector.sink.store import Entry

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
SETTINGS = BatchSettings(layout="subpath", format="ndjson", compression="none", max_line_bytes=1024)
EVIDENCE = Evidence(device=1, inode=1, head_bytes=0, head_hash="", tail_bytes=0, tail_hash="")
RECORDS = commits_prefix("v", 0)
Step = tuple[Any, ...]
UNKNOWN = "unknown"
NEW = "new"


def batch(sequence: int, epoch: int, instance: str, start: int, end: int) -> BatchRecord:
    """The record of lines [start, end) of the one file; an offset is a line number here."""
    span = Span("f", 0, 0, start, end, end - start, end - start, "", (), "f", EVIDENCE)
    return BatchRecord(
        volume="v",
        shard=0,
        sequence=sequence,
        epoch=epoch,
        instance=instance,
        sealed_at=NOW,
        object_key=object_key("v", 0, sequence, NOW, SETTINGS),
        object_bytes=0,
        rows=end - start,
        bytes=end - start,
        settings=SETTINGS,
        origins=(Origin("s"),),
        spans=(span,),
    )


def lines_of(record: BatchRecord) -> range:
    return range(record.spans[0].start, record.spans[0].end)


def rows(lines: Iterable[int]) -> bytes:
    return " ".join(map(str, lines)).encode()


def covered(records: Iterable[CommitRecord], offset: int) -> int:
    """Up to which line the records speak, if they spoke up to `offset` before."""
    for record in records:
        if isinstance(record, BatchRecord):
            offset = max(offset, record.spans[0].end)
        elif isinstance(record, VoidRecord):
            offset = max([offset, *(loss.end for loss in record.losses)])
    return offset


class Question(NamedTuple):
    """What an owner asks: `put get size list` of the store, `look` at the file, `choose` a size."""

    what: str
    key: str = ""
    body: bytes = b""


class Unanswered(BaseException):
    """Stops an owner before a question whose answer is not yet given."""

    def __init__(self, question: Question) -> None:
        self.question = question


class Outside:
    """A `Store` and the file, as the answers tell. What was seen under a key once is not asked again."""

    url = "model:"
    conditional = True

    def __init__(self, answers: Iterable[Any]) -> None:
        self._answers = iter(answers)
        self._seen: dict[str, bytes] = {}

    def look(self) -> int:
        """The first line that is still there; those before it have vanished."""
        return int(self._ask(Question("look")))

    def choose(self, *ways: int) -> int:
        """Any of `ways`: the owner's own choice, of which each is tried."""
        return int(self._ask(Question("choose", body=bytes(ways))))

    def put_new(self, key: str, body: bytes | memoryview) -> bool:
        answer = self._ask(Question("put", key, bytes(body)))
        self._seen[key] = bytes(body) if answer is NEW else answer
        return answer is NEW

    def get(self, key: str) -> bytes:
        if key not in self._seen:
            answer = self._ask(Question("get", key))
            if answer is None:
                raise ObjectMissing(key)
            self._seen[key] = answer
        return self._seen[key]

    def size_bytes(self, key: str) -> int | None:
        answer = self._ask(Question("size", key))
        return None if answer is None else len(answer)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        found = [(k, b) for k, b in self._ask(Question("list", prefix, after.encode())) if k > after]
        self._seen.update(found)
        return iter([Entry(key, len(body), NOW) for key, body in found])

    def folders(self, prefix: str) -> Iterator[str]:
        raise AssertionError("the ledger asks for no folders")

    def note_unconditional(self) -> None:
        raise AssertionError("this store is conditional")

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _ask(self, question: Question) -> Any:
        try:
            answer = next(self._answers)
        except StopIteration:
            raise Unanswered(question) from None
        if answer is UNKNOWN:
            raise StoreUnavailable(f"{question.what} {question.key}: timed out")
        return answer


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What an owner keeps on its own disk."""

    seen: int = 0
    epoch: int = 0
    offset: int = 0
    unfinished: BatchRecord | None = None


class Collector:
    """A tiny owner: takes the shard, finishes what it finds, claims and puts the lines that no record covers."""

    ledger_class = Ledger
    doing = "nothing"

    def __init__(self, outside: Outside, instance: str, checkpoint: Checkpoint, lines: int) -> None:
        self.outside = outside
        self.instance = instance
        self.lines = lines
        self.saved = checkpoint
        self.ledger = self.ledger_class(
            outside,
            volume="v",
            shard=0,
            owner=Owner(instance, "host", 1, "0"),
            clock=lambda: NOW,
            emit=lambda event: None,
        )

    def run(self) -> str:
        """How it ended: "done", "fenced", or "broken" and why."""
        try:
            self.collect()
        except Fenced:
            return "fenced"
        except JoblogError as error:
            return f"broken: {error}"
        return "done"

    def collect(self) -> None:
        self.doing = "take"
        offset, unfinished = self.take()
        self.doing = "finish"
        if unfinished is not None:
            self.finish(unfinished, offset)
        self.doing = "collect"
        while offset < self.lines:
            offset = self.collect_from(offset)

    def take(self) -> tuple[int, BatchRecord | None]:
        kept = self.saved
        while True:
            try:
                taken = self.ledger.take(seen=kept.seen, unfinished=kept.unfinished, epoch=kept.epoch)
                break
            except StoreUnavailable:
                continue
        offset = covered(taken.records, kept.offset)
        self.save(offset, taken.unfinished)
        return offset, taken.unfinished

    def finish(self, record: BatchRecord, offset: int) -> None:
        first = self.outside.look()
        gone = [line for line in lines_of(record) if line < first]
        left = [line for line in lines_of(record) if line >= first]
        if gone:
            self.void(record.sequence, gone[0], gone[-1] + 1, partial=bool(left))
            self.save(offset, record if left else None)
        if left:
            self.put_object(record, left)
        self.save(offset, None)

    def collect_from(self, offset: int) -> int:
        first = self.outside.look()
        if first > offset:
            self.void(None, offset, first)
            self.save(first, None)
            return first
        end = min(offset + self.outside.choose(1, 2), self.lines)
        record = self.claim(offset, end)
        self.save(end, record)
        self.put_object(record, lines_of(record))
        self.save(end, None)
        return end

    def claim(self, start: int, end: int) -> BatchRecord:
        while True:
            try:
                return self.ledger.claim(lambda n, epoch: batch(n, epoch, self.instance, start, end))
            except StoreUnavailable:
                continue

    def void(self, voids: int | None, start: int, end: int, *, partial: bool = False) -> None:
        losses = (Loss("s", "f", 0, start, end, "deleted" if voids is None else "void"),)
        while True:
            try:
                self.ledger.void(voids, losses, partial=partial)
                return
            except StoreUnavailable:
                continue

    def put_object(self, record: BatchRecord, lines: Iterable[int]) -> None:
        while True:
            try:
                self.ledger.put_object(record, rows(lines))
                return
            except StoreUnavailable:
                continue

    def save(self, offset: int, unfinished: BatchRecord | None) -> None:
        self.saved = Checkpoint(self.ledger.sequence, self.ledger.epoch, offset, unfinished)


    def state(self) -> tuple[Any, ...]:
        """All that decides what this owner will do, beside what stands in the store for ever."""
        own = {k: v for k, v in vars(self.ledger).items() if k not in ("_store", "_clock", "_emit")}
        return (self.instance, self.doing, self.saved, tuple(sorted((k, str(v)) for k, v in own.items())))


class Stand(NamedTuple):
    """Where an owner is: before a question, or ended.

    `kept` is the checkpoint that a crash leaves. Equal `state`s go on equally.
    """

    question: Question | None
    ended: str
    kept: Checkpoint
    state: int


class State(NamedTuple):
    """`objects` and `late` (puts that may still land) are numbers in `Model.put`, `runs` in `Model.run`.

    `first` is the first line that is still there.
    """

    objects: frozenset[int]
    late: frozenset[int]
    runs: tuple[int, ...]
    crashes: int
    timeouts: int
    first: int


class Violation(AssertionError):
    """A claim does not hold; `trail` are the steps that lead there."""

    def __init__(self, claim: str, trail: list[str]) -> None:
        super().__init__("\n  ".join([claim, *trail]))
        self.claim = claim


@dataclass(frozen=True, slots=True)
class Bound:
    """How much may happen, to both owners together.

    `timeouts` are store operations whose outcome is unknown. If lines may `vanish`, the first does at some
    moment, or not, and the others at some later moment, or not.
    """

    lines: int = 3
    crashes: int = 2
    timeouts: int = 1
    vanish: bool = True


@dataclass(frozen=True, slots=True)
class Explored:
    states: int
    ends: int
    histories: int


class Numbered:
    """Gives equal values equal numbers."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def __call__(self, value: Any) -> int:
        if value not in self._numbers:
            self._numbers[value] = len(self.values)
            self.values.append(value)
        return self._numbers[value]


class Model:
    """All that two owners of class `collector` can do, and what must hold whatever they do."""

    def __init__(self, bound: Bound, collector: type[Collector] = Collector) -> None:
        self.bound = bound
        self.collector = collector
        self.put = Numbered()  # (key, body)
        self.run = Numbered()  # (instance, checkpoint) at its start, then (number of the run before, answer)
        self._stands: dict[int, Stand] = {}
        self._owner_state = Numbered()
        self._broken: dict[frozenset[int], str] = {}
        self._voided: dict[frozenset[int], int] = {}
        self._bodies: dict[frozenset[int], dict[str, bytes]] = {}

    def explore(self) -> Explored:
        """Meets every state. Raises Violation for the first that breaks a claim."""
        runs = tuple(self.run((f"{name}0", Checkpoint())) for name in "AB")
        start = State(
            frozenset(), frozenset(), runs, self.bound.crashes, self.bound.timeouts, first=0
        )
        before: dict[State, tuple[State, Step] | None] = {start: None}
        met: dict[Any, list[State]] = {}
        ends, queue = 0, [(0, 0, start)]
        while queue:
            spent, _, state = heappop(queue)
            if self.is_met(state, met):
                continue
            broken, ended = self.broken(state)
            if broken:
                raise Violation(broken, self.trail(before, state))
            ends += ended
            for step, after in self.steps(state):
                if after not in before:
                    before[after] = (state, step)
                    heappush(queue, (self.spent(after), -len(before), after))
        return Explored(sum(map(len, met.values())), ends, len(self._stands))

    def spent(self, state: State) -> int:
        return self.bound.crashes - state.crashes + self.bound.timeouts - state.timeouts

    def is_met(self, state: State, met: dict[Any, list[State]]) -> bool:
        """Whether all that can follow was met: from equal owners and objects, with as much left to happen."""
        owners = tuple(self.stand(run).state for run in state.runs)
        same = met.setdefault((state.objects, owners, state.first), [])
        for other in same:
            if (
                other.crashes >= state.crashes
                and other.timeouts >= state.timeouts
                and other.late >= state.late
            ):
                return True
        same.append(state)
        return False

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        stands = [self.stand(run) for run in state.runs]
        for owner, stand in enumerate(stands):
            if stand.question and self.settled(state, stand.question):
                yield from self.steps_of(state, owner, stand)
                return
        mirrored = all(isinstance(self.run.values[run][0], str) for run in state.runs) and not self.spent(state)
        for owner, stand in enumerate(stands[:1] if mirrored else stands):
            yield from self.steps_of(state, owner, stand)
        for put in state.late:
            yield (put,), self.land(state, put)
        if self.may_vanish(state):
            yield (), state._replace(first=self.bound.lines if state.first else 1)

    def steps_of(self, state: State, owner: int, stand: Stand) -> Iterator[tuple[Step, State]]:
        if stand.question:
            for answer, after in self.answers(state, stand.question):
                run = self.run((state.runs[owner], answer))
                yield (owner, stand.question, answer), with_run(after, owner, run)
        if state.crashes and stand.ended != "done":
            yield from self.crashes(state, owner, stand)

    def answers(self, state: State, question: Question) -> Iterator[tuple[Any, State]]:
        """What the outside may answer, and what it is afterwards."""
        bodies = self.bodies(state)
        if question.what == "look":
            yield state.first, state
            return
        if question.what == "choose":
            yield from ((way, state) for way in question.body)
            return
        unsure = state._replace(timeouts=state.timeouts - 1)
        if question.what == "put" and question.key not in bodies:
            put = self.put((question.key, question.body))
            yield NEW, self.land(state, put)
            if state.timeouts:
                yield question.body, self.land(unsure, put)  # a retry below met its own first attempt
                yield UNKNOWN, unsure._replace(late=unsure.late | {put})
            return
        if question.what == "list":
            yield tuple(sorted(item for item in bodies.items() if item[0].startswith(question.key))), state
            return
        yield bodies.get(question.key), state
        if state.timeouts and question.what != "get":  # a list or get that fails is asked again, as it was
            yield UNKNOWN, unsure

    def crashes(self, state: State, owner: int, stand: Stand) -> Iterator[tuple[Step, State]]:
        """The process dies, its checkpoint kept or lost. Its last put may still land, at once or late:
        so this is also the crash between a put and all that the owner would have done next."""
        asked, late = stand.question, state.late
        if asked and asked.what == "put" and asked.key not in self.bodies(state):
            late |= {self.put((asked.key, asked.body))}
        world = state._replace(crashes=state.crashes - 1, late=late)
        for kept in {Checkpoint(), stand.kept}:
            again = self.run((self.next_instance(state.runs[owner]), kept))
            yield (owner, kept), with_run(world, owner, again)

    def next_instance(self, run: int) -> str:
        """Each start of a process is an instance of its own."""
        first, _ = self.start_and_answers(run)
        return f"{first[0][0]}{int(first[0][1:]) + 1}"

    def land(self, state: State, put: int) -> State:
        """The state after `put` has reached the store; late puts of taken keys can do nothing any more."""
        key = self.put.values[put][0]
        objects = state.objects if key in self.bodies(state) else state.objects | {put}
        late = frozenset(other for other in state.late if self.put.values[other][0] != key)
        return state._replace(objects=objects, late=late)

    def settled(self, state: State, question: Question) -> bool:
        """Whether the answer is the same whenever it is asked from now on, and asking changes nothing."""
        if question.what == "choose":
            return True
        if question.what == "look":
            return not self.may_vanish(state)
        return question.what != "list" and question.key in self.bodies(state)

    def may_vanish(self, state: State) -> bool:
        return self.bound.vanish and state.first < self.bound.lines

    def bodies(self, state: State) -> dict[str, bytes]:
        if state.objects not in self._bodies:
            self._bodies[state.objects] = dict(self.put.values[put] for put in state.objects)
        return self._bodies[state.objects]

    def stand(self, run: int) -> Stand:
        """Where the real code stands after these answers: runs it from its start."""
        if run not in self._stands:
            (instance, checkpoint), answers = self.start_and_answers(run)
            owner = self.collector(Outside(answers), instance, checkpoint, self.bound.lines)
            question, ended = None, ""
            try:
                ended = owner.run()
            except Unanswered as stopped:
                question = stopped.question
            state = self._owner_state((question, ended, owner.state()))
            self._stands[run] = Stand(question, ended, owner.saved, state)
        return self._stands[run]

    def start_and_answers(self, run: int) -> tuple[tuple[str, Checkpoint], list[Any]]:
        answers: list[Any] = []
        first, second = self.run.values[run]
        while isinstance(first, int):
            answers.append(second)
            first, second = self.run.values[first]
        return (first, second), answers[::-1]

    def broken(self, state: State) -> tuple[str, bool]:
        """The first claim that does not hold, if any, and whether all owners have ended."""
        ended = [self.stand(run).ended for run in state.runs]
        for how in ended:
            if how.startswith("broken"):
                return how, True
        if state.objects not in self._broken:
            self._broken[state.objects] = broken_export(self.bodies(state))
            self._voided[state.objects] = max(lost(split(self.bodies(state))[0]), default=-1) + 1
        broken = self._broken[state.objects]
        if not broken and self._voided[state.objects] > state.first:
            broken = "a line is void though it is there"
        if not broken and all(ended):
            broken = missing_lines(self.bodies(state), self.bound.lines)
        return broken, all(ended)

    def trail(self, before: dict[State, tuple[State, Step] | None], state: State) -> list[str]:
        steps = []
        while (back := before[state]) is not None:
            state, step = back
            steps.append(self.words(*step))
        return steps[::-1]

    def words(self, who: int | None = None, what: Any = None, answer: Any = None) -> str:
        if who is None:
            return "lines vanish"
        if what is None:
            return f"the late put of {self.put.values[who][0]} lands"
        if isinstance(what, Checkpoint):
            return f"{'AB'[who]} dies and starts again, with a checkpoint up to record {what.seen}"
        return f"{'AB'[who]} {what.what} {what.key} {what.body!r}: {answer!r}"


def with_run(state: State, owner: int, run: int) -> State:
    runs = (run, state.runs[1]) if owner == 0 else (state.runs[0], run)
    return state._replace(runs=runs)


def split(bodies: dict[str, bytes]) -> tuple[list[CommitRecord], dict[str, list[int]]]:
    """The records in order, and the lines of each object."""
    records = [decode_record(bodies[key], key) for key in sorted(bodies) if key.startswith(RECORDS)]
    objects = {k: [int(line) for line in body.split()] for k, body in bodies.items() if k.startswith(DATA)}
    return records, objects


def broken_export(bodies: dict[str, bytes]) -> str:
    """What must hold at every moment, for any reader."""
    records, objects = split(bodies)
    lines = [line for object_lines in objects.values() for line in object_lines]
    if len(lines) != len(set(lines)):
        return "a line is in two objects"
    if [record.sequence for record in records] != list(range(len(records))):
        return "the records have a gap"
    return broken_rows(records, objects) or broken_order(records)


def broken_rows(records: list[CommitRecord], objects: dict[str, list[int]]) -> str:
    """An object's rows are those that its record announced before, but for some that were declared void."""
    announced = {r.object_key: set(lines_of(r)) for r in records if isinstance(r, BatchRecord)}
    void = lost(records)
    for key, lines in objects.items():
        if key not in announced:
            return "an object has no record"
        if not announced[key] - void <= set(lines) <= announced[key]:
            return "an object holds other rows than its record says"
    return ""


def broken_order(records: list[CommitRecord]) -> str:
    """Only the newest owner writes: no record of an old one stands behind an open record."""
    newest = None
    for record in records:
        if isinstance(record, OpenRecord):
            if newest and record.epoch <= newest.epoch:
                return "an open record has no higher epoch"
            newest = record
        elif not newest or (record.epoch, record.instance) != (newest.epoch, newest.owner.instance):
            return "a fenced owner wrote a record"
    return ""


def missing_lines(bodies: dict[str, bytes], lines: int) -> str:
    records, objects = split(bodies)
    there = {line for object_lines in objects.values() for line in object_lines}
    return "" if there | lost(records) == set(range(lines)) else "a line is in no object and no void record"


def lost(records: list[CommitRecord]) -> set[int]:
    losses = [loss for record in records if isinstance(record, VoidRecord) for loss in record.losses]
    return {line for loss in losses for line in range(loss.start, loss.end)}
