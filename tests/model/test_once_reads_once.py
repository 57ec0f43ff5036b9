"""What `--once` does not do twice."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from driven_collector import Site

from collector.assembly import Assembly, Task, open_ground
from collector.events import Event
from collector.pace import Pace
from collector.pipeline import Clock
from collector.shard import Shard

POD = "shop_orders-1_10.0.0.1_10.0.0.2_node-1"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path, tmp_path)
    write(site, "a.log", b"first\nlast\n")
    write(site, "below/b.log", b"second\n")
    return site


def write(site: Site, name: str, data: bytes) -> None:
    path = site.volume / POD / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_complete_looks_once_at_a_source_that_leaves_nothing_open(site: Site):
    """It was said before the first look that all is finished: that look is enough for the receipt."""
    shard = Shard(task_of(site, complete=True), site.store, ignore)
    assert shard.run() == 0
    assert [source.looks for source in shard._parts.catalog] == [1]
    receipt = (site.export / "_joblog/receipts/shop" / f"{POD}.default.1.json").read_text()
    assert '"bytes": 11' in receipt
    assert '"bytes": 7' in receipt


def test_complete_looks_again_where_a_look_left_something_open(site: Site):
    """A file that may be the copy of another one waits for further looks, and for them the receipt."""
    write(site, "a.log.1", b"first\nlast\n")
    shard = Shard(task_of(site, complete=True), site.store, ignore)
    assert shard.run() == 0
    assert min(source.looks for source in shard._parts.catalog) > 1
    assert (site.export / "_joblog/receipts/shop" / f"{POD}.default.1.json").exists()


def test_what_was_surveyed_is_not_read_again(site: Site):
    """Whether there is work is told from the same reading of the state folder that the work begins with."""
    assert Shard(task_of(site), site.store, ignore).run() == 0
    write(site, "c.log", b"third\n")
    task = task_of(site)
    with ExitStack() as stack:
        ground = open_ground(task)
        stack.callback(ground.volume.close)
        ground.folder.lock(task.owner)
        stack.callback(ground.folder.close)
        assembly = Assembly(
            task,
            ground,
            site.store,
            stack=stack,
            pace=Pace(task.clock.monotonic, task.config.batch.max_age_seconds),
            give_up=nothing,
            emit=ignore,
        )
        assert assembly.has_work()
        (ground.folder.path / "checkpoint.jsonl").write_bytes(b"whoever reads this again fails")
        found = assembly.parts().pipeline.checkpoint
    assert [at.name for at in found.files.values()] == ["a.log", "below/b.log"]


def task_of(site: Site, *, complete: bool = False) -> Task:
    """With a clock that goes by itself."""
    task = site.task(site.root / "state", once=True, complete=complete)
    return replace(task, clock=Clock(wall=time.time, monotonic=time.monotonic))


def nothing() -> None:
    """Nobody waits."""


def ignore(_: Event) -> None:
    """The log is of no interest here."""
