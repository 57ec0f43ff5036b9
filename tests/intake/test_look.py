"""Looks as brief as will do, several at once, and a little in each turn."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from story import Story, append, numbered

from collector.intake.hinted import Hinted, read_on
from collector.intake.look import AS_IT_WAS, Looker
from collector.intake.scan import LONGEST_INTERVAL_SECONDS, TURN_SECONDS, Scanner
from collector.intake.schedule import Schedule
from collector.intake.volume import Volume
from collector.intake.watch import Watch

MANY = 40


class Turned:
    """A scanner on a file system whose times are trusted, turned once a second by the test's clock."""

    def __init__(self, story: Story, looker: Looker, hinted: Hinted | None = None) -> None:
        self.story, self.seconds, self.tick = story, 1000.0, 0.0
        self.looker = looker
        self.scanner = Scanner(
            story.discovery,
            story.catalog,
            hinted,
            volume="default",
            shard=0,
            poll_interval_seconds=1.0,
            monotonic=self.clock,
            emit=story.events.append,
            looker=looker,
        )

    def clock(self) -> float:
        self.seconds += self.tick
        return self.seconds

    def turn(self, seconds: float = 1.0) -> int:
        self.seconds += seconds
        self.story.now += seconds
        looked = len(self.scanner.scan(self.story.now, self.seconds))
        self.story.read()
        self.story.commit()
        return looked

    def turns(self, count: int) -> int:
        return sum(self.turn() for _ in range(count))


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    story = Story(tmp_path / "volume")
    (story.pod / "app.log").write_bytes(numbered(0, 5))
    make_old(story.pod / "app.log")
    yield story
    story.close()


@pytest.fixture(params=[1, 4])
def turned(story: Story, request: pytest.FixtureRequest) -> Iterator[Turned]:
    looker = Looker(story.discovery, trusts_mtimes=True, threads=request.param)
    yield Turned(story, looker)
    looker.close()


def make_old(path: Path) -> None:
    then = time.time() - 3600
    os.utime(path, (then, then))


def quiet(turned: Turned) -> None:
    """Long enough that nothing is looked at but by its times."""
    turned.turns(120)
    (source,) = turned.story.catalog
    (glance,) = turned.looker.glances([source], turned.seconds, fully=False)
    assert glance is AS_IT_WAS
    looks = source.looks
    turned.turns(60)
    assert source.looks == looks


@pytest.mark.parametrize("what", ["growth", "a new file", "a deletion", "a new directory", "a tombstone"])
def test_a_late_change_of_a_quiet_source_is_seen_within_half_a_minute(turned: Turned, what: str):
    """Though it is looked at by its times alone until then."""
    quiet(turned)
    pod = turned.story.pod
    (source,) = turned.story.catalog
    looks = source.looks
    if what == "growth":
        append(pod / "app.log", numbered(5, 5))
    elif what == "a new file":
        (pod / "late.log").write_bytes(numbered(5, 5))
    elif what == "a deletion":
        (pod / "app.log").unlink()
    elif what == "a new directory":
        (pod / "below").mkdir()
    else:
        (pod / "tombstone").touch()
    turned.turns(int(LONGEST_INTERVAL_SECONDS) + 1)
    assert source.looks > looks


def test_what_stood_there_for_long_is_looked_at_rarely_from_the_start(turned: Turned):
    """And by its times alone from the second look on; what came just before the start is looked at soon."""
    (old,) = turned.story.pod.parent.iterdir()
    make_old(old)
    (turned.story.root / "shop_fresh-00001").mkdir()
    turned.story.now = time.time()
    turned.turn()
    old_source, fresh = (turned.story.catalog.sources[name] for name in (old.name, "shop_fresh-00001"))
    turned.turns(int(LONGEST_INTERVAL_SECONDS) - 1)
    assert (old_source.looks, old_source.looked_at < fresh.looked_at) == (1, True)
    assert fresh.looks > 1
    turned.turns(3)
    assert turned.seconds - old_source.looked_at < 4, "it was asked for its times"
    assert old_source.looks == 1
    (old / "late.log").write_bytes(numbered(5, 5))
    turned.turns(int(LONGEST_INTERVAL_SECONDS) + 1)
    assert turned.story.text["late.log", 0] == numbered(5, 5)


def many_sources(turned: Turned) -> list[Path]:
    """The directories of so many new ones."""
    folders = [turned.story.root / f"shop_load-{number:05d}" for number in range(MANY)]
    for folder in folders:
        folder.mkdir()
    return folders


def test_the_first_tick_looks_at_each_known_source_once(turned: Turned):
    """Though it stands in the checkpoint and in the listing."""
    for folder in many_sources(turned):
        turned.story.catalog.source(turned.story.discovery.directory((folder.name,)), turned.story.now)
    turned.turn()
    assert {source.looks for source in turned.story.catalog} == {1}


def test_files_below_a_source_are_looked_at_as_before(turned: Turned):
    """The mtime of the source's directory does not tell of them."""
    below = turned.story.pod / "below"
    below.mkdir()
    turned.turns(120)
    (below / "late.log").write_bytes(numbered(5, 5))
    turned.turns(int(LONGEST_INTERVAL_SECONDS) + 1)
    assert turned.story.text["below/late.log", 0] == numbered(5, 5)


def test_many_at_once_are_the_same_as_one_by_one(turned: Turned):
    """Also where some of them vanish meanwhile."""
    for number, folder in enumerate(many_sources(turned)):
        (folder / "app.log").write_bytes(numbered(number, 1))
    (turned.story.root / "shop_load-00007" / "app.log").unlink()
    turned.turns(3)
    rows = [row.data for rows in turned.story.rows.values() for row in rows]
    expected = numbered(0, 5).splitlines() + [numbered(n, 1).strip() for n in range(MANY) if n != 7]
    assert sorted(rows) == sorted(expected)


def test_a_turn_is_short_however_much_is_due(turned: Turned):
    """What is left over comes in the next turns, which follow at once."""
    many_sources(turned)
    turned.tick = TURN_SECONDS / 4
    most = 3 * turned.looker.most
    assert 0 < turned.turn() <= most
    assert turned.scanner.has_more
    turns = 0
    while turned.scanner.has_more:
        assert turned.turn(0.0) <= most
        turns += 1
    assert turns >= MANY // most
    assert all(source.looks for source in turned.story.catalog)


def test_a_new_source_waits_for_no_looks_at_others(turned: Turned):
    """However many are due at once: they get their part of each tick, and the listing comes in time."""
    for number in range(10 * MANY):
        (turned.story.root / f"shop_load-{number:05d}").mkdir()
    turned.turns(200)
    for source in turned.story.catalog:
        turned.story.catalog.schedule.at(source, 0.0)
    turned.tick = 0.01
    turned.turn()
    assert turned.scanner.has_more
    late = "shop_new-source"
    (turned.story.root / late).mkdir()
    began = turned.seconds
    while late not in turned.story.catalog.sources:
        turned.turn(0.01)
        assert turned.seconds < began + 3
    looked_at = {source.looked_at >= began for source in turned.story.catalog}
    assert looked_at == {True, False}, "others are still due"
    while not all(source.looked_at >= began for source in turned.story.catalog):
        turned.turn(0.01)


def test_the_schedule_tells_what_is_due(story: Story):
    """Each source once, when it was last said to be, however often that was changed."""
    schedule = Schedule()
    sources = [story.catalog.source(story.discovery.directory((f"shop_demo-{n}",)), 0.0) for n in range(3)]
    for source, seconds in zip(sources, (10.2, 10.7, 45.0), strict=True):
        schedule.at(source, 99.0)
        schedule.at(source, seconds)
    assert schedule.take_due(10.1) == []
    assert schedule.take_due(10.5) == [sources[0]]
    schedule.at(sources[2], 10.6)
    assert schedule.take_due(100.0) == [sources[1], sources[2]]
    assert schedule.take_due(1000.0) == []


# --- with hints


@pytest.fixture
def hurried() -> threading.Event:
    return threading.Event()


@pytest.fixture
def watch(story: Story, hurried: threading.Event) -> Watch:
    return Watch(
        Volume(story.root),
        "default",
        story.discovery,
        grew=hurried.set,
        hurry=hurried.set,
        emit=story.events.append,
    )


@pytest.fixture
def hinted(story: Story, watch: Watch) -> Iterator[Turned]:
    hinted = Hinted(story.discovery, story.catalog, watch, story.reader.adopt)
    yield Turned(story, Looker(story.discovery, trusts_mtimes=True), hinted)
    hinted.close()


@pytest.mark.parametrize("is_new_source", [True, False])
def test_what_was_deleted_before_the_look_is_collected(
    hinted: Turned, hurried: threading.Event, is_new_source: bool
):
    """A file that was created, written and deleted, alone or with its directory, between two turns."""
    hinted.turns(3)
    folder = hinted.story.root / "shop_gone-soon" if is_new_source else hinted.story.pod
    hurried.clear()
    if is_new_source:
        folder.mkdir()
    (folder / "short.log").write_bytes(b"")
    with (folder / "short.log").open("ab") as file:
        settle(hurried)
        (folder / "short.log").unlink()
        if is_new_source:
            folder.rmdir()
        file.write(numbered(7, 3))
        file.flush()
        settle(hurried)
    for _ in range(4):
        hinted.turn()
    rows = [row.data for rows in hinted.story.rows.values() for row in rows]
    assert rows[-3:] == numbered(7, 3).splitlines()
    assert hinted.story.lost == []


def settle(hurried: threading.Event) -> None:
    """Until no hint came for a moment."""
    while hurried.wait(0.2):
        hurried.clear()


def test_growth_is_read_without_a_look(hinted: Turned, hurried: threading.Event):
    """The descriptor of a file that is read already tells how long it is."""
    hinted.turns(3)
    log = hinted.story.pod / "app.log"
    append(log, numbered(5, 1))
    hinted.turns(15)  # it is open now
    (source,) = hinted.story.catalog
    looks = source.looks
    hurried.clear()
    append(log, numbered(6, 5))
    assert hurried.wait(10)
    hinted.turn(0.001)
    assert hinted.story.text["app.log", 0] == numbered(0, 11)
    assert source.looks == looks
    assert not read_on(hinted.story.catalog, source, "unknown.log")
    log.write_bytes(b"")
    assert not read_on(hinted.story.catalog, source, "app.log"), "only a look tells what a cut file is"


def test_an_overflow_leads_to_a_look_at_everything(hinted: Turned, watch: Watch):
    """At the next turn but for the shortest interval, and to a listing of all levels."""
    hinted.turns(120)
    (source,) = hinted.story.catalog
    looks = source.looks
    (hinted.story.pod / "app.log").write_bytes(numbered(0, 9))
    watch.take_hints()
    watch.on_queue_overflow()
    hinted.turn(0.1)
    assert source.looks == looks + 1
