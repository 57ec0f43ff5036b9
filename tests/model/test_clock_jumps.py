"""Somebody sets the clock while a collector runs, or the file server's clock is another one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driven_collector import Driven, Site
from killing_store import KillingStore

from collector.records import DATA, RECEIPTS

HOUR, YEAR = 3600.0, 365 * 86400.0
JUMPS = [-10 * YEAR, -HOUR, HOUR, 10 * YEAR]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path)


@pytest.fixture
def begin(site: Site) -> Iterator[Callable[[], Driven]]:
    """Starts the one collector of the test."""
    begun: list[Driven] = []

    def start() -> Driven:
        begun.append(Driven(site, site.root / "state", KillingStore(site.store)))
        return begun[0]

    yield start
    for driven in begun:
        driven.kill()


def pod(site: Site) -> Path:
    folder = site.volume / "shop_load-4xk2p_10.0.0.1_10.0.0.2_node-1"
    folder.mkdir(exist_ok=True)
    return folder


def turns(driven: Driven, seconds: float) -> None:
    """So many seconds pass, in steps of one poll interval."""
    for _ in range(int(seconds)):
        driven.turn(1.0)
    driven.turn(0.0)


def created(driven: Driven, prefix: str) -> int:
    return sum(key.startswith(prefix) for key in driven.store.created)


@pytest.mark.parametrize("jump", JUMPS)
def test_the_clock_is_set_while_it_runs(site: Site, begin: Callable[[], Driven], jump: float) -> None:
    """Hours or years, forward or backward: the batch is sealed by its age, a half line taken after its wait,
    and the source finished after its idle time, not sooner and not later, as if nobody had set the clock.
    """
    log = pod(site) / "app.log"
    log.write_text("whole\nhalf")
    driven = begin()
    turns(driven, 3)
    site.time.jumped_seconds = jump
    turns(driven, 1)
    assert created(driven, DATA) == 0, "no batch is old enough yet"
    turns(driven, site.batch_seconds + 2)
    assert created(driven, DATA) == 1
    assert log.stat().st_size == sum(at.offset for at in driven.parts.pipeline.checkpoint.files.values())
    turns(driven, site.idle_seconds - 60)
    assert created(driven, RECEIPTS) == 0, "it was not idle for so long"
    turns(driven, 120)
    assert created(driven, RECEIPTS) == 1


@pytest.mark.parametrize("ahead", [-10 * YEAR, -HOUR, HOUR, 10 * YEAR])
def test_the_clock_of_a_file_server_is_wrong(site: Site, begin: Callable[[], Driven], ahead: float) -> None:
    """The files' times are hours or years before or after the collector's: a source is finished after it was
    seen idle for its time, neither at once nor never; a half line is not cut at first sight.
    """
    log = pod(site) / "app.log"
    log.write_text("whole\nhalf")
    os.utime(log, (time.time() + ahead,) * 2)
    driven = begin()
    turns(driven, 3)
    assert created(driven, RECEIPTS) == 0
    ((tracked,),) = (source.files.values() for source in driven.parts.catalog)
    assert tracked.read_offset == len("whole\n")
    turns(driven, site.idle_seconds - 60)
    assert created(driven, RECEIPTS) == 0
    turns(driven, 120)
    assert created(driven, RECEIPTS) == 1
