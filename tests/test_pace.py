"""When a shard's loop turns again: what wakes it, and what waits."""

import threading
import time
from collections.abc import Iterator

import pytest

from collector.pace import LONGEST_REST_SECONDS, Pace

LONG_SECONDS = 60.0
"""Nobody waits for so long in a test that holds."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock.monotonic, batch_max_age_seconds=30.0)


@pytest.fixture
def waiting(pace: Pace) -> Iterator[threading.Thread]:
    """The loop, which waits until it is woken."""
    thread = threading.Thread(target=pace.wait, args=(LONG_SECONDS,))
    thread.start()
    yield thread
    pace.hurry()
    thread.join()


@pytest.mark.parametrize("call", ["wake", "hurry", "grew"])
def test_what_happens_ends_a_wait(pace: Pace, waiting: threading.Thread, call: str) -> None:
    """Whatever happens while the loop waits, it turns."""
    getattr(pace, call)()
    waiting.join(LONG_SECONDS / 2)
    assert not waiting.is_alive()


@pytest.mark.parametrize("call", ["wake", "hurry", "grew"])
def test_what_happened_before_a_wait_ends_it(pace: Pace, call: str) -> None:
    """What happened while the loop turned is not waited for again; once it was taken in, it is."""
    getattr(pace, call)()
    began = time.monotonic()
    pace.wait(LONG_SECONDS)
    assert time.monotonic() - began < LONG_SECONDS / 2
    began = time.monotonic()
    pace.wait(0.05)
    assert time.monotonic() - began >= 0.05


def test_growth_waits_for_the_end_of_a_rest(pace: Pace) -> None:
    """Right after a read, growth does not wake the loop before the rest is over, and does then."""
    pace.rest()
    pace.grew()
    began = time.monotonic()
    pace.wait(LONG_SECONDS)
    assert LONGEST_REST_SECONDS <= time.monotonic() - began < LONG_SECONDS / 2


def test_growth_that_was_told_within_a_rest_is_not_forgotten(pace: Pace, clock: Clock) -> None:
    """Where the rest is over by the time that the loop waits, it does not wait at all."""
    pace.rest()
    pace.grew()
    clock.now += 2 * LONGEST_REST_SECONDS
    began = time.monotonic()
    pace.wait(LONG_SECONDS)
    assert time.monotonic() - began < LONG_SECONDS / 2


@pytest.mark.parametrize("call", ["wake", "hurry"])
def test_what_is_new_ends_a_rest(clock: Clock, call: str) -> None:
    """Only growth waits for the end of a rest."""
    pace = Pace(clock.monotonic, batch_max_age_seconds=30.0)
    pace.rest()
    getattr(pace, call)()
    pace.grew()
    clock.now = float("-inf")  # the rest never ends
    pace.wait(LONG_SECONDS)


def test_batches_that_are_sealed_soon_have_short_rests(clock: Clock) -> None:
    """A rest is a fiftieth of a batch's age at most: what is to be committed soon is read soon."""
    pace = Pace(clock.monotonic, batch_max_age_seconds=0.1)
    pace.rest()
    clock.now += 0.0021
    pace.grew()
    began = time.monotonic()
    pace.wait(LONG_SECONDS)
    assert time.monotonic() - began < LONG_SECONDS / 2
