"""Sources are found by listing what may have changed, and nothing else; a little at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from story import Story

from collector.intake.discover import SourceDir
from collector.intake.listing import SLICE, Listing

DEEP = "{namespace}/{pod}"


class Listed:
    """A listing, once a second by a clock that the test moves."""

    def __init__(self, story: Story, *, trusts_mtimes: bool = True) -> None:
        self.listing = Listing(story.discovery, trusts_mtimes=trusts_mtimes)
        self.root, self.seconds = story.root, 100.0

    def found(self, *, fully: bool = False) -> set[str]:
        self.seconds += 1.0
        for _ in self.listing.run(self.seconds, fully=fully):
            pass
        return {source.source for source in self.listing.found}

    @property
    def gone(self) -> set[str]:
        return {source.source for source in self.listing.gone}

    def until_steady(self) -> None:
        for _ in range(4):
            self.found()


@pytest.fixture(params=["{namespace}_{pod}", DEEP])
def listed(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Listed]:
    """Empty, with sources in the root or one level below it."""
    story = Story(tmp_path / "volume", layout=request.param)
    story.pod.rmdir()
    (story.root / "shop").mkdir()
    if request.param != DEEP:
        (story.root / "shop").rmdir()
    yield Listed(story)
    story.close()


def make(listed: Listed, number: int) -> str:
    is_deep = (listed.root / "shop").exists()
    name = f"shop/demo-{number}" if is_deep else f"shop_demo-{number}"
    (listed.root / name).mkdir()
    return name


def test_each_source_is_found_once_and_missed_once(listed: Listed):
    """As long as it is there it is no news."""
    one, two = make(listed, 1), make(listed, 2)
    assert listed.found() == {one, two}
    listed.until_steady()
    three = make(listed, 3)
    (listed.root / one).rmdir()
    assert (listed.found(), listed.gone) == ({three}, {one})
    assert (listed.found(), listed.gone) == (set(), set())


def test_files_between_the_sources_are_a_source(listed: Listed):
    """The root is one while files are in it."""
    listed.until_steady()
    (listed.root / "stray.log").touch()
    assert listed.found() == {"."}
    (listed.root / "stray.log").unlink()
    assert (listed.found(), listed.gone) == (set(), {"."})


def test_an_mtime_that_stands_still_spares_the_listing(listed: Listed):
    """What comes without moving it is found by a listing of everything, and ends the trust."""
    make(listed, 1)
    listed.until_steady()
    above = listed.root / "shop" if (listed.root / "shop").exists() else listed.root
    before = above.stat()
    hidden = make(listed, 2)
    os.utime(above, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert listed.found() == set()
    assert listed.found(fully=True) == {hidden}
    later = make(listed, 3)
    os.utime(above, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert listed.found() == {later}


def test_an_mtime_of_just_now_proves_nothing(listed: Listed):
    """A second change within the same tick of a file system's clock does not move it."""
    make(listed, 1)
    listed.found()
    above = listed.root / "shop" if (listed.root / "shop").exists() else listed.root
    before = above.stat()
    at_once = make(listed, 2)
    os.utime(above, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert listed.found() == {at_once}


def test_what_nobody_remembers_is_found_again(listed: Listed):
    """A source that was forgotten, and whose directory came back between two listings."""
    name = make(listed, 1)
    listed.until_steady()
    listed.listing.forget([SourceDir(name, flat=False)])
    assert listed.found() == {name}


def test_a_large_directory_is_listed_in_slices(tmp_path: Path):
    """Whoever lists may do something else in between."""
    story = Story(tmp_path / "volume")
    for number in range(2 * SLICE):
        (story.root / f"shop_demo-{number}").mkdir()
    listing = Listing(story.discovery, trusts_mtimes=True)
    counts = [len(listing.found) for _ in listing.run(0.0, fully=True)]
    assert counts[0] == SLICE
    assert counts[-1] == 2 * SLICE + 1
    story.close()


def test_a_level_that_vanishes_takes_its_sources_along(tmp_path: Path):
    """All at once, and nothing is said of the others."""
    story = Story(tmp_path / "volume", layout=DEEP)
    story.pod.rmdir()
    listed = Listed(story)
    for namespace in ("a", "b"):
        (story.root / namespace / "pod").mkdir(parents=True)
    assert listed.found() == {"a/pod", "b/pod"}
    (story.root / "a" / "pod").rmdir()
    (story.root / "a").rmdir()
    assert (listed.found(), listed.gone) == (set(), {"a/pod"})
    story.close()
