"""When is looked where: busy sources each turn, quiet ones rarely, hinted ones at once."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from story import POD, Story, append, numbered

from collector.intake.discover import SourceDir
from collector.intake.hinted import Hinted
from collector.intake.look import LONGEST_UNSEEN_SECONDS
from collector.intake.scan import LONGEST_INTERVAL_SECONDS, YOUNG_LOOKS, Scanner
from collector.intake.volume import Volume
from collector.intake.watch import Hints, Parts, Watch

OTHER = "shop_load-zzzzz"
TURN = 0.5
"""How often the loop turns, in seconds; the poll interval is one second."""


class Scanned:
    """A story whose looks are the scanner's, by a clock that the test moves."""

    def __init__(self, story: Story, hinted: Hinted | None = None) -> None:
        self.story = story
        self.seconds = 1000.0
        self.scanner = Scanner(
            story.discovery,
            story.catalog,
            hinted,
            volume="default",
            shard=0,
            poll_interval_seconds=1.0,
            monotonic=lambda: self.seconds,
            emit=story.events.append,
        )

    def turn(self, seconds: float = TURN) -> list[str]:
        """Moves both clocks, scans, reads and commits; returns which sources were looked at."""
        self.seconds += seconds
        self.story.now += seconds
        looked = [source.source for source in self.scanner.scan(self.story.now, self.seconds)]
        self.story.read()
        self.story.losses += self.story.catalog.losses
        self.story.catalog.losses.clear()
        self.story.commit()
        return looked

    def turns(self, seconds: float) -> list[str]:
        return [name for _ in range(round(seconds / TURN)) for name in self.turn()]


class Recorded(Watch):
    """Keeps the directories of which it told that something came or went in them."""

    def __init__(self, story: Story) -> None:
        self.told: set[Parts] = set()
        super().__init__(
            Volume(story.root),
            "default",
            story.discovery,
            grew=nobody,
            hurry=nobody,
            emit=story.events.append,
        )

    def take_hints(self) -> Hints:
        hints = super().take_hints()
        self.told.update(hints.entries)
        return hints


@pytest.fixture
def scanned(story: Story) -> Scanned:
    return Scanned(story)


@pytest.fixture
def watch(story: Story) -> Recorded:
    return Recorded(story)


@pytest.fixture
def watched(story: Story, watch: Recorded) -> Iterator[Scanned]:
    hinted = Hinted(story.discovery, story.catalog, watch, story.reader.adopt)
    yield Scanned(story, hinted)
    hinted.close()


def nobody() -> None:
    """Who turns by hand need not be woken."""


def make_old(path: Path, by_seconds: float = 3600) -> None:
    then = time.time() - by_seconds
    os.utime(path, (then, then))


def test_busy_sources_are_looked_at_each_poll(scanned: Scanned):
    """A source that grows is looked at once in every poll interval, not more often."""
    log = scanned.story.pod / "app.log"
    for second in range(20):
        append(log, numbered(second, 1))
        assert len(scanned.turns(1.0)) == 1
    assert scanned.story.text == {("app.log", 0): numbered(0, 20)}


def test_quiet_sources_are_looked_at_rarely(scanned: Scanned):
    """The longer nothing grows, the rarer the looks; at the latest every half minute."""
    log = scanned.story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    make_old(log)
    scanned.turns(120)
    looks = scanned.turns(10 * LONGEST_INTERVAL_SECONDS)
    assert 9 <= len(looks) <= 11
    append(log, numbered(5, 5))
    turns = 0
    while scanned.story.text != {("app.log", 0): numbered(0, 10)}:
        scanned.turn()
        turns += 1
    assert turns * TURN <= LONGEST_INTERVAL_SECONDS + 1
    assert len(scanned.turns(5)) == 5, "what grew is busy again"


def test_a_new_source_is_found_by_the_next_poll(scanned: Scanned):
    """Discovery does not depend on looks at what is known."""
    scanned.turns(60)
    (scanned.story.root / OTHER).mkdir()
    (scanned.story.root / OTHER / "app.log").write_bytes(numbered(0, 5))
    assert OTHER in scanned.turns(1.0)


def test_finished_sources_are_looked_at_when_their_mtime_moves(scanned: Scanned):
    """Not otherwise, but at the latest every ten minutes."""
    log = scanned.story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    make_old(log)
    scanned.turns(60)
    (source,) = scanned.story.catalog
    source.finished, source.finish_by = True, "idle"
    scanned.turns(60)
    assert scanned.turns(LONGEST_UNSEEN_SECONDS / 2) == []
    assert len(scanned.turns(LONGEST_UNSEEN_SECONDS)) >= 1
    assert source.finished
    (scanned.story.pod / "late.log").write_bytes(numbered(5, 5))
    assert POD in scanned.turns(LONGEST_INTERVAL_SECONDS + 2)
    assert scanned.story.text["late.log", 0] == numbered(5, 5)
    assert not source.finished, "late bytes make it unfinished"


def test_what_is_not_settled_is_looked_at_each_poll(scanned: Scanned):
    """While a copy waits or a file without a name is read, looks stay frequent in a quiet source."""
    log = scanned.story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    make_old(log)
    scanned.turns(200)
    shutil.copy2(log, scanned.story.pod / "app.log.1")
    scanned.turns(LONGEST_INTERVAL_SECONDS)
    (source,) = scanned.story.catalog
    assert source.deferred or ("app.log.1", 0) in scanned.story.text
    scanned.turns(12)
    assert scanned.story.text["app.log.1", 0] == numbered(0, 5)
    assert not scanned.story.catalog.has_unsettled()


def until(condition, turn, within_seconds: float = 10.0) -> list[str]:
    """Turns until the condition holds. Real time passes, but by the story's clock less than a poll interval:
    so what is looked at is looked at for a hint.
    """
    looked = turn(0.06)
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "the hint did not come"
        looked += turn(0.0005)
        time.sleep(0.01)
    return looked


def test_a_hint_leads_to_a_look_at_once(watched: Scanned, watch: Recorded):
    """A file that would be looked at in half a minute is read now, with at most one look."""
    (watched.story.root / OTHER).mkdir()
    for pod in (watched.story.pod, watched.story.root / OTHER):
        (pod / "app.log").write_bytes(numbered(0, 5))
        make_old(pod / "app.log")
    watched.turns(200)
    (watched.story.root / ".last").touch()
    until(lambda: () in watch.told, watched.turn)  # events come in order: none of those above is under way
    # Right after a look at the other one, which is not due for a while then.
    assert any(OTHER in watched.turns(1.0) for _ in range(2 * int(LONGEST_INTERVAL_SECONDS)))
    append(watched.story.pod / "app.log", numbered(5, 5))
    looked = until(lambda: watched.story.text.get(("app.log", 0)) != numbered(0, 5), watched.turn)
    assert set(looked) <= {POD}


def test_a_hint_wakes_a_finished_source(watched: Scanned):
    """Late bytes in a finished source are collected at once too, though its mtime does not move."""
    log = watched.story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    make_old(log)
    watched.turns(60)
    (source,) = watched.story.catalog
    source.finished, source.finish_by = True, "idle"
    watched.turns(60)
    append(log, numbered(5, 5))
    until(lambda: watched.story.text == {("app.log", 0): numbered(0, 10)}, watched.turn)
    assert not source.finished


def test_a_hint_of_a_new_source_leads_to_a_listing(watched: Scanned):
    """And a file in the root to a look at the source that the root is."""
    watched.turns(60)
    (watched.story.root / "stray.log").write_bytes(numbered(0, 5))
    until(lambda: ("stray.log", 0) in watched.story.text, watched.turn)
    append(watched.story.root / "stray.log", numbered(5, 5))
    until(lambda: watched.story.text["stray.log", 0] == numbered(0, 10), watched.turn)
    (watched.story.root / OTHER).mkdir()
    (watched.story.root / OTHER / "new.log").write_bytes(numbered(0, 5))
    until(lambda: ("new.log", 0) in watched.story.text, watched.turn)


class Chatter:
    """Stands for a watch that always has something to tell."""

    is_whole = True

    def __init__(self, *names: str) -> None:
        self.names = names

    def take_hints(self) -> Hints:
        return Hints(entries=dict.fromkeys((name,) for name in self.names) | {(): None})

    def add(self, _) -> bool:
        return False


def test_any_number_of_hints_costs_a_bounded_number_of_looks(story: Story):
    """However fast a source or the root is hinted at, looks and listings have a shortest interval."""
    scanned = Scanned(story, Hinted(story.discovery, story.catalog, Chatter(POD), story.reader.adopt))
    (story.pod / "app.log").write_bytes(b"x\n")
    scanned.turn(0.001)
    listings = 0
    for _ in range(1000):
        listed_before = scanned.scanner.next_at(scanned.seconds)
        scanned.turn(0.001)
        listings += scanned.scanner.next_at(scanned.seconds) > listed_before + 0.01
    (source,) = story.catalog
    assert YOUNG_LOOKS <= source.looks <= YOUNG_LOOKS + 25
    assert 10 <= listings <= 25


# --- a volume that cannot be read


def test_unmounted_to_empty_loses_nothing(tmp_path: Path, root: Path, begin):
    """An empty directory on another file system where the volume was: an error that is told once, and the
    files are the same when they are back.
    """
    elsewhere = Path("/dev/shm")  # noqa: S108  # any other file system
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to write to")
    mounted = tmp_path / "mounted"
    root.rename(mounted)
    root.symlink_to(mounted)
    scanned = Scanned(begin())
    log = scanned.story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    scanned.turns(10)
    root.unlink()
    empty = elsewhere / f"joblog-{os.getpid()}"
    empty.mkdir()
    try:
        root.symlink_to(empty)
        assert scanned.turns(60) == []
        assert "mounted" in scanned.scanner.unreadable
        assert len(scanned.story.named("volume_unreadable")) == 1
        root.unlink()
    finally:
        empty.rmdir()
    root.symlink_to(mounted)
    append(log, numbered(5, 5))
    scanned.turns(60)
    assert scanned.scanner.unreadable == ""
    assert scanned.story.text == {("app.log", 0): numbered(0, 10)}
    assert scanned.story.lost == []


@pytest.mark.parametrize("instead", ["nothing", "file", "locked"])
def test_a_volume_that_cannot_be_listed_loses_nothing(scanned: Scanned, unprivileged, instead: str):
    """Missing, a file, or without permission: nothing is believed gone, and all goes on when it is back."""
    root, aside = scanned.story.root, scanned.story.root.with_name("aside")
    log = scanned.story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    scanned.turns(10)
    root.rename(aside)
    if instead == "file":
        root.touch()
    elif instead == "locked":
        root.mkdir(mode=0)
    with unprivileged():
        assert scanned.turns(30) == []
    assert scanned.scanner.unreadable
    assert len(scanned.story.named("volume_unreadable")) == 1
    if instead == "file":
        root.unlink()
    elif instead == "locked":
        root.rmdir()
    aside.rename(root)
    append(log, numbered(5, 5))
    scanned.turns(60)
    assert scanned.scanner.unreadable == ""
    assert scanned.story.text == {("app.log", 0): numbered(0, 10)}
    assert scanned.story.lost == []


def test_a_directory_instead_of_the_volume_for_a_while(scanned: Scanned):
    """Another, empty directory under the volume's name on the same file system, and then the volume again:
    its files are known, not new.
    """
    root, aside = scanned.story.root, scanned.story.root.with_name("aside")
    log = scanned.story.pod / "app.log"
    log.write_bytes(numbered(0, 5))
    scanned.turns(10)
    root.rename(aside)
    root.mkdir()
    scanned.turns(30)
    root.rmdir()
    aside.rename(root)
    append(log, numbered(5, 5))
    scanned.turns(60)
    assert scanned.story.text == {("app.log", 0): numbered(0, 10)}
    assert scanned.story.lost == []


def test_an_unreadable_source_stops_no_other(scanned: Scanned, unprivileged):
    """It is told once, it is stuck, and it goes on when it may be read again."""
    other = scanned.story.root / OTHER
    other.mkdir()
    (other / "b.log").write_bytes(numbered(0, 5))
    (scanned.story.pod / "a.log").write_bytes(numbered(5, 5))
    scanned.story.pod.chmod(0)
    with unprivileged():
        scanned.turns(20)
    assert scanned.story.text == {("b.log", 0): numbered(0, 5)}
    source = scanned.story.catalog.source(SourceDir(POD, flat=False), scanned.story.now)
    assert scanned.story.catalog.is_stuck(source)
    assert len(scanned.story.named("file_unreadable")) == 1
    scanned.story.pod.chmod(0o755)
    scanned.turns(10)
    assert scanned.story.text["a.log", 0] == numbered(5, 5)
    assert not scanned.story.catalog.has_failures()


def test_an_unreadable_directory_below_a_source_makes_it_stuck(scanned: Scanned, unprivileged):
    """So no receipt is written for what could not be seen whole."""
    below = scanned.story.pod / "below"
    below.mkdir()
    (scanned.story.pod / "a.log").write_bytes(numbered(5, 5))
    below.chmod(0)
    with unprivileged():
        scanned.turns(20)
    (source,) = scanned.story.catalog
    assert scanned.story.text == {("a.log", 0): numbered(5, 5)}
    assert scanned.story.catalog.is_stuck(source)
    (told,) = scanned.story.named("file_unreadable")
    assert (told.path, told.error) == ("below", "Permission denied")
    below.chmod(0o755)
    scanned.turns(10)
    assert not scanned.story.catalog.is_stuck(source)


def test_what_is_passed_over_is_told_once(scanned: Scanned):
    """Links in the root and in a source."""
    (scanned.story.root / "link").symlink_to("nowhere")
    (scanned.story.pod / "link").symlink_to("nowhere")
    (scanned.story.pod / "app.log").write_bytes(b"x\n")
    scanned.turns(20)
    told = [(event.source, event.path, event.why) for event in scanned.story.named("entry_skipped")]
    assert sorted(told) == [(".", "link", "symlink"), (POD, "link", "symlink")]
