"""The commit protocol holds in every interleaving of two owners, up to a bound; wrong ones do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from protocol_model import Bound, Model, Violation
from protocol_owner import Collector, batch, lines_of, rows

from collector.errors import Fenced, StoreUnavailable
from collector.model import BatchRecord
from collector.records import encode_record, record_key
from collector.sink.ledger import Ledger

EVERYTHING = {"", "done", "fenced", "open", "batch"}
VOIDS = {"void", "partial void", "void of others"}


def explore(bound: Bound) -> None:
    explored = Model(bound).explore()
    print(explored)  # noqa: T201  # how much a bound means, for who chooses one (pytest -rP)
    several = bound.lines > 1 and bound.vanish and bound.crashes
    assert explored.met == EVERYTHING | (VOIDS if several else set())


@pytest.mark.parametrize(
    "bound",
    [
        Bound(lines=3, crashes=2),
        Bound(lines=3, crashes=1, vanish=True),
        Bound(lines=3, timeouts=1),
        Bound(lines=2, crashes=1, timeouts=1),
    ],
    ids=str,
)
def test_no_interleaving_breaks_a_claim(bound):
    """Whatever two owners do in turn, dying anywhere, their checkpoints kept or lost, their puts landing at
    once, late or never, lines vanishing: no line is ever in two objects, no fenced owner writes, and where
    both have ended each line is in an object or declared lost."""
    explore(bound)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "bound",
    [
        Bound(lines=3, crashes=2, vanish=True),
        Bound(lines=3, crashes=1, timeouts=1, vanish=True),
        Bound(lines=2, crashes=2, timeouts=1),
        Bound(lines=2, crashes=1, timeouts=2),
        Bound(lines=4, crashes=2),
    ],
    ids=str,
)
def test_no_deeper_interleaving_breaks_a_claim(bound):
    """The same, with more of everything."""
    explore(bound)


class PutsFirst(Collector):
    """Puts each object before its record."""

    def claim(self, start: int, end: int) -> BatchRecord:
        record = batch(self.ledger.sequence, self.ledger.epoch, self.instance, start, end)
        self.outside.put_new(record.object_key, rows(lines_of(record)))
        return super().claim(start, end)


class ExistsIsForeign(Ledger):
    """Takes a taken number for another's, without a look."""

    def _append(self, record):
        if not self._store.put_new(record_key("v", 0, record.sequence), encode_record(record)):
            raise Fenced("taken")
        self.sequence += 1


class FlightyCollector(Collector):
    ledger_class = ExistsIsForeign


class ExistsIsOwn(Ledger):
    """Takes a taken number for its own, without a look."""

    def _append(self, record):
        self._store.put_new(record_key("v", 0, record.sequence), encode_record(record))
        self.sequence += 1


class BoldCollector(Collector):
    ledger_class = ExistsIsOwn


class LeavesUnfinished(Collector):
    """Goes on without completing what its predecessor left."""

    def take(self):
        return super().take()[0], None


class Forgets(Ledger):
    """Does not mind that something is unfinished."""

    def take(self, **known):
        taken = super().take(**known)
        self._unfinished = None
        return taken


class ForgetfulCollector(LeavesUnfinished):
    ledger_class = Forgets


class ChangesItsMind(Collector):
    """Claims other lines after a claim whose outcome it does not know."""

    def claim(self, start: int, end: int) -> BatchRecord:
        try:
            return self.ledger.claim(lambda n, epoch: batch(n, epoch, self.instance, start, end))
        except StoreUnavailable:
            return super().claim(start, min(start + 1, self.lines))


class OwnIsOwn(Ledger):
    """Content with any record of its own instance under the number."""

    def _append(self, record):
        if not self._store.put_new(record_key("v", 0, record.sequence), encode_record(record)):
            standing = self._followed_record(record.sequence)
            if getattr(standing, "instance", "") != record.instance:
                raise self._lost_to(standing)
        self.sequence += 1


class FickleCollector(ChangesItsMind):
    ledger_class = OwnIsOwn


class OpensUnread(Ledger):
    """Tells only of the records that it found at first, not of those that came while it tried to open."""

    found = None

    def read(self, first):
        records = list(super().read(first))
        self.found = len(records) if self.found is None else self.found
        return iter(records)

    def take(self, **known):
        self.found = None
        taken = super().take(**known)
        return replace(taken, records=taken.records[: self.found])


class HastyCollector(Collector):
    ledger_class = OpensUnread


@pytest.mark.parametrize(
    ("wrong", "bound", "claim"),
    [
        (PutsFirst, Bound(lines=1, crashes=1), "an object has no record"),
        (FlightyCollector, Bound(lines=1, timeouts=1), "a line is in no object and no void record"),
        (BoldCollector, Bound(lines=2), "an object has no record"),
        (LeavesUnfinished, Bound(lines=2, crashes=1), "broken: .* claimed while the object of number"),
        (ForgetfulCollector, Bound(lines=2, crashes=1), "a line is in no object and no void record"),
        (ChangesItsMind, Bound(lines=2, timeouts=1), "broken: .* its outcome is not known yet"),
        (FickleCollector, Bound(lines=2, timeouts=1), "an object holds other rows than its record says"),
        (HastyCollector, Bound(lines=2), "a line is in two objects"),
    ],
)
def test_a_wrong_protocol_is_caught(wrong, bound, claim):
    """Each owner that departs from the protocol in one point breaks the claim that this point is for."""
    with pytest.raises(Violation, match=claim):
        Model(bound, wrong).explore()
