"""Trying again: how often, how long after, what is told about it, and when it ends."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ExportDamaged, ObjectMissing, StoreDenied, StoreMissing, StoreUnavailable
from collector.events import DestinationFailing, DestinationRecovered
from collector.sink.local import LocalStore
from collector.sink.retry import SLOWER, Retrying, RetryPolicy, longest_wait_seconds

AWAY = StoreUnavailable("away")


class Breaking(LocalStore):
    """A folder on which calls raise the given errors, one each, before or after they did their work."""

    def __init__(self, root, *failures, late=False):
        super().__init__(root, url="breaking")
        self.check()
        self.failures = list(failures)
        self.late = late
        self.calls = 0

    def fail(self, late=False):
        if late == self.late and self.failures:
            raise self.failures.pop(0)

    def put_new(self, key, body):
        self.calls += 1
        self.fail()
        won = super().put_new(key, body)
        self.fail(late=True)
        return won

    def get(self, key):
        self.fail()
        return super().get(key)

    def size_bytes(self, key):
        self.fail()
        return super().size_bytes(key)

    def list(self, prefix, *, after=""):
        self.fail()
        return super().list(prefix, after=after)

    def folders(self, prefix):
        for folder in super().folders(prefix):
            yield folder
            self.fail()


class BreakingBetween(Breaking):
    """The same, but listings break after an entry."""

    def list(self, prefix, *, after=""):
        for entry in LocalStore.list(self, prefix, after=after):
            yield entry
            self.fail()


class Told(list):
    """The events that were emitted."""

    def emit(self, event):
        self.append(event)


def retrying(store, told, *, attempts=None, first=0.0, longest=0.0, stop=None, random=lambda: 0.5):
    policy = RetryPolicy(attempts, first, longest)
    return Retrying(store, policy=policy, emit=told.emit, random=random, stop=stop)


def test_every_call_is_tried_again(tmp_path):
    """Each call that fails in a way that may pass is repeated until it is answered, with the same answer."""
    store, told = Breaking(tmp_path), Told()
    wrapped = retrying(store, told)
    for call, answer in (
        (lambda: wrapped.put_new("d/a", b"body"), True),
        (lambda: wrapped.get("d/a"), b"body"),
        (lambda: wrapped.size_bytes("d/a"), 4),
        (lambda: wrapped.size_bytes("d/b"), None),
        (lambda: [entry.key for entry in wrapped.list("")], ["d/a"]),
        (lambda: list(wrapped.folders("")), ["d"]),
    ):
        store.failures = [AWAY, AWAY]
        told.clear()
        assert call() == answer
        assert told == [
            DestinationFailing("breaking", "away", 1, 0),
            DestinationFailing("breaking", "away", 2, 0),
            DestinationRecovered("breaking", 3),
        ]


def test_nothing_is_told_of_what_works(tmp_path):
    """Calls that are answered at once emit nothing."""
    told = Told()
    wrapped = retrying(Breaking(tmp_path), told)
    wrapped.put_new("a", b"")
    assert [entry.key for entry in wrapped.list("")] == ["a"]
    assert told == []


def test_a_put_may_meet_its_own_first_attempt(tmp_path):
    """A put whose answer was lost is False when tried again: what is there is one's own."""
    wrapped = retrying(Breaking(tmp_path, AWAY, late=True), Told())
    assert wrapped.put_new("a", b"mine") is False
    assert wrapped.get("a") == b"mine"


def test_listings_go_on_where_they_broke(tmp_path):
    """A listing that breaks after each entry still gives each entry once, in order."""
    store = BreakingBetween(tmp_path)
    for name in "abcde":
        store.put_new(name, b"")
    store.failures = [AWAY] * 5
    told = Told()
    assert [entry.key for entry in retrying(store, told, attempts=2).list("")] == list("abcde")
    assert told.count(DestinationRecovered("breaking", 2)) == 5


def test_attempts_are_counted(tmp_path):
    """After so many attempts the last error is raised, and no wait is announced after it."""
    store, told = Breaking(tmp_path, *[StoreUnavailable(f"away {n}") for n in range(1, 9)]), Told()
    with pytest.raises(StoreUnavailable, match="away 3"):
        retrying(store, told, attempts=3).put_new("a", b"")
    assert store.calls == 3
    assert [event.attempt for event in told] == [1, 2]


@pytest.mark.parametrize("error", [ObjectMissing("a: not there"), ExportDamaged("a: damaged")])
def test_answers_are_not_retried(tmp_path, error):
    """What trying again cannot change is raised at once, and shows that the store works again."""
    told = Told()
    with pytest.raises(type(error)):
        retrying(Breaking(tmp_path, error), told).get("a")
    assert told == []
    with pytest.raises(type(error)):
        retrying(Breaking(tmp_path, AWAY, error), told).get("a")
    assert [type(event) for event in told] == [DestinationFailing, DestinationRecovered]


def test_check_is_asked_once(tmp_path):
    """`check` gives its error at once, so that a start can say what is wrong."""
    (tmp_path / "file").write_text("")
    told = Told()
    wrapped = retrying(LocalStore(tmp_path / "file", url="x"), told)
    with pytest.raises(StoreDenied):
        wrapped.check()
    assert told == []


def test_stop_ends_the_wait_at_once(tmp_path):
    """Setting `stop` during a wait of hours raises the last error then and there."""
    stop, waiting, raised = threading.Event(), threading.Event(), []
    wrapped = Retrying(
        Breaking(tmp_path, AWAY),
        policy=RetryPolicy(None, 10_000, 10_000),
        emit=lambda event: waiting.set(),
        random=lambda: 0.99,
        stop=stop,
    )

    def put():
        try:
            wrapped.put_new("a", b"")
        except StoreUnavailable as error:
            raised.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    assert waiting.wait(10)
    assert thread.is_alive()
    stop.set()
    thread.join(10)
    assert raised == [AWAY]


def test_after_stop_calls_are_tried_once(tmp_path):
    """While draining, a call is made, but not repeated."""
    stop = threading.Event()
    stop.set()
    store, told = Breaking(tmp_path, AWAY), Told()
    wrapped = retrying(store, told, first=10_000, longest=10_000, stop=stop)
    with pytest.raises(StoreUnavailable):
        wrapped.put_new("a", b"")
    assert wrapped.put_new("a", b"") is True
    assert told == []


def test_waits_are_the_random_part_of_the_longest(tmp_path):
    """The wait that is announced is `random` times the longest one of that attempt."""
    told = Told()
    parts = iter([0.5, 0.25])
    wrapped = retrying(
        Breaking(tmp_path, AWAY, AWAY), told, first=0.002, longest=1, random=lambda: next(parts)
    )
    wrapped.put_new("a", b"")
    assert [event.next_try_seconds for event in told[:2]] == [0.001, 0.001]


@given(st.integers(1, 10_000), st.floats(0.001, 10), st.floats(10, 1000))
def test_the_longest_wait_doubles_up_to_a_bound(failures, first, longest):
    """From the first it at most doubles, up to the longest. For what a human must mend it begins ten times as
    long, and is never longer than the longest: what was mended is noticed as soon.
    """
    policy = RetryPolicy(None, first, longest)
    now = longest_wait_seconds(policy, failures, AWAY)
    later = longest_wait_seconds(policy, failures + 1, AWAY)
    assert longest_wait_seconds(policy, 1, AWAY) == first
    assert now <= later <= min(2 * now, longest)
    assert longest_wait_seconds(policy, 1000, AWAY) == longest
    for error in (StoreDenied("denied"), StoreMissing("missing")):
        assert longest_wait_seconds(policy, failures, error) == min(
            longest, SLOWER * first * 2.0 ** min(failures - 1, 60)
        )


def test_what_is_asked_of_the_store_itself(tmp_path):
    """URL and conditionality are those of the store, and a note reaches it."""
    store = Breaking(tmp_path)
    wrapped = retrying(store, Told())
    assert (wrapped.url, wrapped.conditional) == ("breaking", True)
    wrapped.note_unconditional()
    assert (wrapped.conditional, store.conditional) == (False, False)
    wrapped.close()
