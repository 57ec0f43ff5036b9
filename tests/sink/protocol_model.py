"""Walks through every interleaving of two owners that run the real `Ledger`, up to a bound.

An owner is a plain program. Whatever it asks the outside (a store operation, a look at the file) is
answered from a list, and where the list ends the program is stopped. So all that an owner is, is the
list of answers it was given; a step is one more answer, and equal states are met once. Nothing is
simulated but the outside: the puts that time out and land later, the crashes, the vanishing lines.

Left out is only what changes nothing:
- An answer that can never change again (what stands under a taken key) is given at once, not in turn
  with what the other owner does.
- Where as much or more can still happen from the same owners and objects, a state need not be met again.
- While nothing has happened, A moves first: the owners are alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, NamedTuple

from protocol_claims import broken_export, kind, lost, missing_lines, split
from protocol_owner import NEW, UNKNOWN, Checkpoint, Collector, Outside, Question, Unanswered

from collector.model import OpenRecord
from collector.records import decode_record

Step = tuple[Any, ...]


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


@dataclass(frozen=True, slots=True)
class Bound:
    """How much may happen, to both owners together.

    `timeouts` are store operations whose outcome is unknown. If lines may `vanish`, the first does at some
    moment, or not, and the others at some later moment, or not.
    """

    lines: int
    crashes: int = 0
    timeouts: int = 0
    vanish: bool = False


@dataclass(frozen=True, slots=True)
class Explored:
    """`ends` are states in which all owners have ended, `runs` starts of the real code, up to some answer.

    `met` are the ways to end and the kinds of records that occurred.
    """

    states: int
    ends: int
    runs: int
    met: frozenset[str]


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
        self._met: set[str] = set()
        self._broken: dict[frozenset[int], str] = {}
        self._voided: dict[frozenset[int], int] = {}
        self._bodies: dict[frozenset[int], dict[str, bytes]] = {}

    def explore(self) -> Explored:
        """Meets every state. Raises Violation for the first that breaks a claim."""
        runs = tuple(self.run((f"{name}0", Checkpoint())) for name in "AB")
        start = State(frozenset(), frozenset(), runs, self.bound.crashes, self.bound.timeouts, first=0)
        before: dict[State, tuple[State, Step] | None] = {start: None}
        met: dict[Any, list[State]] = {}
        ends, queue = 0, [(0, 0, start)]
        while queue:
            _, _, state = heappop(queue)
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
        states = sum(map(len, met.values()))
        return Explored(states, ends, len(self._stands), frozenset(self._met))

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
        for owner, stand in enumerate(stands[:1] if self.is_untouched(state) else stands):
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
        if state.crashes:
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
        """The process dies, or has ended, and starts again, its checkpoint kept or lost.

        Its last put may still land, at once or late: so this is also the crash right after a put.
        """
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

    def is_untouched(self, state: State) -> bool:
        return all(isinstance(self.run.values[run][0], str) for run in state.runs) and not self.spent(state)

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
        self._met.update(ended)
        for how in ended:
            if how.startswith("broken"):
                return how, True
        if state.objects not in self._broken:
            self._check(state)
        broken = self._broken[state.objects]
        if not broken and self._voided[state.objects] > state.first:
            broken = "a line is void though it is there"
        if not broken and all(ended):
            broken = missing_lines(self.bodies(state), self.bound.lines)
        return broken, all(ended)

    def _check(self, state: State) -> None:
        records, _ = split(self.bodies(state))
        self._broken[state.objects] = broken_export(self.bodies(state))
        self._voided[state.objects] = max(lost(records), default=-1) + 1
        self._met.update(kind(record) for record in records)

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
        return f"{'AB'[who]} {what.what} {what.key}{short(what.body)}: {short(answer)}"


def short(value: Any) -> str:
    """For people: a record by its kind, epoch and owner's instance, a listing by its length."""
    if isinstance(value, tuple):
        return f"{len(value)} keys"
    if not isinstance(value, bytes):
        return str(value)
    if not value.startswith(b"{"):
        return f" {value.decode()!r}" if value.isascii() and value else ""
    record = decode_record(value, "")
    instance = record.owner.instance if isinstance(record, OpenRecord) else record.instance
    return f" [{record.kind}, epoch {record.epoch}, by {instance}]"


def with_run(state: State, owner: int, run: int) -> State:
    runs = (run, state.runs[1]) if owner == 0 else (state.runs[0], run)
    return state._replace(runs=runs)
