"""What telling the status costs a collector that has much to tell of."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from driven_collector import Site

from collector.events import Event
from collector.pipeline import Clock
from collector.shard import STATUS_EVERY_SECONDS, STATUS_PART, Shard

SLOW_SECONDS = 0.0025
ENOUGH = 4
LONGEST_SECONDS = 60.0


class SlowlyTold(Shard):
    """A shard whose status takes as long as that of many thousand sources."""

    def _tell(self) -> None:
        self.told.append(time.monotonic())
        time.sleep(SLOW_SECONDS)
        super()._tell()
        if len(self.told) == ENOUGH:
            self.enough.set()


def test_the_status_takes_a_small_part_of_the_time(tmp_path: Path) -> None:
    """A status that takes long is told so much rarer that it costs at most its part of the time."""
    site = Site(tmp_path, tmp_path)
    task = replace(site.task(tmp_path / "state"), clock=Clock(wall=time.time, monotonic=time.monotonic))
    shard = SlowlyTold(task, site.store, _ignore)
    shard.told, shard.enough = [], threading.Event()
    running = threading.Thread(target=shard.run)
    running.start()
    try:
        assert shard.enough.wait(LONGEST_SECONDS)
        told = list(shard.told)
    finally:
        shard.stop()
        running.join()
    gaps = [after - before for before, after in pairwise(told)]
    assert STATUS_PART * SLOW_SECONDS > STATUS_EVERY_SECONDS, "else this shows nothing"
    assert min(gaps) >= STATUS_PART * SLOW_SECONDS


def _ignore(_: Event) -> None:
    """The log is of no interest here."""
