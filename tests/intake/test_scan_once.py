"""How often the scan looks with `--once`, and that looking never takes all of the time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from story import POD, Story, append, numbered

from collector.intake.scan import LONGEST_INTERVAL_SECONDS, SCAN_PART, Scanner

MANY = 20
LOOK_SECONDS = 0.5
"""What a look at one source takes, by the test's clock."""


class Once:
    """A story whose looks are those of a collector that does not stay; the test moves its clock."""

    def __init__(self, folder: Path) -> None:
        self.story = Story(folder, follow=False)
        self.seconds = 1000.0
        self.scanner = scanner(self.story, lambda: self.seconds, follow=False)

    def turns(self, seconds: int) -> int:
        """Turns once a second, and returns how often the source was looked at."""
        return sum(self.turn() for _ in range(seconds))

    def turn(self) -> int:
        self.seconds += 1
        self.story.now += 1
        looked = len(self.scanner.scan(self.story.now, self.seconds))
        self.story.read()
        self.story.commit()
        return looked


def scanner(story: Story, monotonic: Callable[[], float], *, follow: bool) -> Scanner:
    return Scanner(
        story.discovery,
        story.catalog,
        None,
        volume="default",
        shard=0,
        poll_interval_seconds=1.0,
        monotonic=monotonic,
        emit=story.events.append,
        follow=follow,
    )


@pytest.fixture
def once(tmp_path: Path) -> Iterator[Once]:
    found = Once(tmp_path)
    yield found
    found.story.close()


def test_one_look_tells_all(once: Once) -> None:
    """With `--once` a source that was read is looked at again every half minute only, even a busy one."""
    append(once.story.pod / "app.log", numbered(0, 5))
    assert once.turns(1) == 1
    assert once.story.text == {("app.log", 0): numbered(0, 5)}
    assert once.turns(round(LONGEST_INTERVAL_SECONDS) - 1) == 0
    assert once.turns(2) == 1


def test_what_is_open_is_looked_at_each_poll(once: Once) -> None:
    """With `--once` looks go on while a file may be a copy in the making, and end when that is told."""
    log = once.story.pod / "app.log"
    append(log, numbered(0, 5))
    once.turns(1)
    (source,) = once.story.catalog
    shutil.copy2(log, once.story.pod / "app.log.1")
    once.story.catalog.urgent[source] = None
    assert once.turns(5) == 5
    assert source.deferred
    once.turns(10)
    assert not source.deferred
    assert once.story.text["app.log.1", 0] == numbered(0, 5)
    assert once.turns(20) == 0


def test_what_cannot_be_read_is_looked_at_each_poll(once: Once) -> None:
    """With `--once` a source that is stuck is tried again soon: what blocks it may be gone any moment."""
    append(once.story.pod / "app.log", numbered(0, 5))
    once.turns(1)
    (source,) = once.story.catalog
    tracked = source.files["app.log"]
    append(once.story.pod / "app.log", numbered(5, 5))
    tracked.failures, tracked.retry_at = 1, float("inf")
    once.story.catalog.urgent[source] = None
    assert once.turns(10) == 10
    tracked.retry_at = 0.0
    once.turns(1)
    assert once.story.text == {("app.log", 0): numbered(0, 10)}


@pytest.mark.parametrize("follow", [True, False])
def test_looking_takes_a_fifth_of_the_time_at_most(tmp_path: Path, *, follow: bool) -> None:
    """However many sources there are and however long each look takes, four fifths are left for reading."""
    story = Story(tmp_path, follow=follow)
    for number in range(MANY):
        folder = story.root / f"shop_load-{number:05d}"
        folder.mkdir()
        append(folder / "app.log", numbered(0, 1))
    clock = [1000.0]
    slow = scanner(story, lambda: clock[0], follow=follow)
    look = story.discovery.look

    def slow_look(source):
        clock[0] += LOOK_SECONDS
        return look(source)

    story.discovery.look = slow_look
    began, looked = clock[0], 0
    while clock[0] < began + 100 * LOOK_SECONDS * MANY:
        looked += len(slow.scan(story.now + clock[0], clock[0]))
        clock[0] += 0.1
    took = clock[0] - began
    assert looked >= MANY, POD
    # The first scan is over before anybody knows how long it takes.
    assert looked * LOOK_SECONDS <= took / SCAN_PART + LOOK_SECONDS * (MANY + 1)
    story.close()
