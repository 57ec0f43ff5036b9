"""What may befall collectors while Jobs write: one blow after the other, at random, for a time."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from collector_process import AS_ANYBODY, WITHIN_SECONDS, Collector, Site
from outages import Outages

WRITER = Path(__file__).with_name("chaos_writer.py")
WRITERS = 4
SHARDS = 2
BYTES_PER_SECOND = 500e3  # of each writer
SURELY_SECONDS = 300.0
"""Longer than any wait between two tries, also on a busy machine: who does nothing for so long hangs."""


@dataclass(frozen=True)
class Wrote:
    lines: int
    rotations: int


class ChaosWriter:
    def __init__(self, volume: Path, tag: str, seed: str) -> None:
        self.tag = tag
        self._process = subprocess.Popen(
            [sys.executable, str(WRITER), str(volume), tag, str(BYTES_PER_SECOND), seed],
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> Wrote:
        self._process.terminate()
        told, _ = self._process.communicate(timeout=WITHIN_SECONDS)
        assert self._process.returncode == 0
        return Wrote(**json.loads(told))

    def abandon(self) -> None:
        self._process.kill()
        self._process.wait()


class Chaos:
    """One collector is the owner at any time. `counts` tells how often each thing happened."""

    def __init__(self, site: Site, outages: Outages, draw: Random, stack: ExitStack) -> None:
        self._site = site
        self._outages = outages
        self._draw = draw
        self._stack = stack
        self._during_outage = False
        self._outage_ends = 0.0
        self.counts: Counter[str] = Counter()
        self._states = 0
        self.owner = self._start(site)

    def run(self, seconds: float) -> None:
        """Lets blows fall until the time is over; then all is well with the destination again."""
        until = time.monotonic() + seconds
        blows = {
            self.kill: 5,
            self.stop: 2,
            self.take_over: 2,
            self.take_over_paused: 2,
            self.lose_state: 1,
            self.lose_state_while_running: 1,
            self.outage: 3,
            self.pause: 1,
        }
        while time.monotonic() < until:
            self._wait(self._draw.choice([0.0, 0.3, 1.0, 2.0, 4.0]) * self._draw.uniform(0.5, 1.5))
            (blow,) = self._draw.choices(list(blows), list(blows.values()))
            blow()
        self._end_outage()

    def finish(self) -> Site:
        """Lets the last owner drain and end; returns its site."""
        self._settled()
        assert self.owner.stop(within=SURELY_SECONDS) == 0, self.owner.log[-3000:]
        self._ended(self.owner)
        return self.owner.site

    # --- blows

    def kill(self) -> None:
        self.owner.kill()
        self._ended(self.owner)
        self.counts["kills"] += 1
        self._restart()

    def stop(self) -> None:
        code = self.owner.stop(within=SURELY_SECONDS)
        # Where the destination does not take the rest in time, that is said; the next start collects it.
        is_early = code == -signal.SIGTERM and not self.owner.log  # Python itself was still starting
        is_hindered = code in (1, 3) and (self._during_outage or self._began_in_an_outage())
        assert code == 0 or is_early or is_hindered, (code, self.owner.log[-3000:])
        self._ended(self.owner)
        self.counts["stops"] += 1
        self._restart()

    def take_over(self) -> None:
        """Another collector, of another machine, takes the shards from one that works."""
        older = self._settled()
        self.owner = self._start(self._elsewhere())
        self._is_fenced(older)
        self.counts["take-overs"] += 1

    def take_over_paused(self) -> None:
        """The same from one that is paused at any moment, and wakes at any later one."""
        older = self._settled()
        older.send(signal.SIGSTOP)
        self.owner = self._start(self._elsewhere())
        if self._draw.random() < 0.7:
            self.owner.wait_for("batch_committed", self._draw.randint(1, 3), within=SURELY_SECONDS)
        else:
            time.sleep(self._draw.uniform(0.0, 2.0))
        older.send(signal.SIGCONT)
        self._is_fenced(older)
        self.counts["take-overs from one that was paused"] += 1

    def pause(self) -> None:
        self.owner.send(signal.SIGSTOP)
        self._wait(self._draw.uniform(0.0, 3.0))
        self.owner.send(signal.SIGCONT)
        self.counts["pauses"] += 1

    def lose_state(self) -> None:
        self.owner.kill()
        self._ended(self.owner)
        shutil.rmtree(self.owner.site.state, ignore_errors=True)
        self.counts["kills"] += 1
        self.counts["lost states"] += 1
        self._restart()

    def lose_state_while_running(self) -> None:
        """It ends with exit code 4 as soon as it commits, and tells why."""
        self._settled()
        shutil.rmtree(self.owner.site.state)
        code = self.owner.wait(SURELY_SECONDS)
        assert code == 4, (code, self.owner.log[-3000:])
        self._ended(self.owner)
        self.counts["lost states"] += 1
        self._restart()

    def outage(self) -> None:
        self._end_outage()
        kind = self._outages.begin(self._draw)
        self._during_outage = True
        self._outage_ends = time.monotonic() + self._draw.choice([0.5, 2.0, 5.0, 12.0])
        self.counts[f"outages ({kind})"] += 1

    # --- the owner

    def _start(self, site: Site) -> Collector:
        collector = Collector(site, prefix=AS_ANYBODY)
        self._stack.callback(collector.abandon)
        return collector

    def _restart(self) -> None:
        """On the same state folder, or (as on another machine) on one that knows nothing."""
        self.counts["restarts"] += 1
        site = self._elsewhere() if self._draw.random() < 0.1 else self.owner.site
        self.owner = self._start(site)

    def _settled(self) -> Collector:
        """The owner, once it has both shards; before, it would itself be the newer one when it goes on. One
        that started while the destination did not answer may have given up: then the next one.
        """
        self._end_outage()
        until = time.monotonic() + SURELY_SECONDS
        while len(self.owner.named("collector_started")) < SHARDS:
            if not self.owner.is_running:
                self._ended_by_itself()
            assert time.monotonic() < until, self.owner.log[-3000:]
            time.sleep(0.05)
        return self.owner

    def _began_in_an_outage(self) -> bool:
        """Whether it still waits for its first answer, though the destination may be back by now."""
        owner = self.owner
        return len(owner.named("collector_started")) < SHARDS and bool(owner.named("destination_failing"))

    def _elsewhere(self) -> Site:
        self._states += 1
        return self._site.with_state(self._site.state.with_name(f"state-{self._states}"))

    def _is_fenced(self, older: Collector) -> None:
        """It ends with exit code 4, in the worst case at its next batch."""
        code = older.wait(SURELY_SECONDS)
        assert code == 4, (code, older.log[-3000:])
        assert older.named("shard_fenced") or "taken over" in older.log, older.log[-3000:]
        self._ended(older)
        shutil.rmtree(older.site.state)

    def _ended(self, collector: Collector) -> None:
        """What every collector's log must not hold."""
        assert not collector.named("bytes_lost"), collector.named("bytes_lost")[:3]
        assert "Traceback" not in collector.log, collector.log[-6000:]
        self.counts["objects completed"] += len(collector.named("object_completed"))
        self.counts["receipts"] += len(collector.named("receipt_written"))
        self.counts["batches"] += len(collector.named("batch_committed"))

    def _wait(self, seconds: float) -> None:
        """Lets the owner work. It may end by itself only while the destination does not answer."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            if self._during_outage and now >= self._outage_ends:
                self._end_outage()
            if not self.owner.is_running:
                self._ended_by_itself()
            time.sleep(0.05)

    def _ended_by_itself(self) -> None:
        code = self.owner.wait()
        assert code == 3, (code, self.owner.log[-3000:])
        assert self._during_outage or self.counts.total(), self.owner.log[-3000:]
        self._ended(self.owner)
        self.counts["gave up"] += 1
        self._restart()

    def _end_outage(self) -> None:
        self._outages.end()
        self._during_outage = False
