"""`kill -9` at any moment, many times in a row, while Jobs write; then nothing is missing, nothing twice."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from collector_process import Collector, Site, Writer, joblog, verify, wait_until
from exported import assert_exactly_once, keys

SOAK_KILLS = int(os.environ.get("JOBLOG_TEST_KILLS", "50"))
TELL_EVERY = 50

Start = Callable[..., Collector]
Write = Callable[..., Writer]

MANY_KILLS = 200
"""From so many on, the Jobs write less at a time: else there are 100,000 files in the end, and each start
is about them.
"""


@dataclass
class Figures:
    """What the kills met: collectors that had committed, and objects that a later one had to complete."""

    kills: int = 0
    committed: int = 0
    completed: int = 0


def kill_and_start(site: Site, start: Start, kills: int, draw: random.Random) -> Figures:
    """Starts a collector and kills it, again and again; now and then it is one of another machine, with a
    state folder of its own.

    Some die at any time from their first instruction on, some right after a line of their log (each
    stands beside a step of the protocol), some when a record has just appeared, some between commits.
    """
    figures = Figures(kills)
    elsewhere = site.with_state(site.state.with_name("elsewhere"))
    for number in range(kills):
        if number and number % TELL_EVERY == 0:
            sys.stdout.write(f"{number} of {kills} kills\n")
            sys.stdout.flush()
        before = records(site)
        collector = start(elsewhere if draw.random() < 0.25 else site)
        when = draw.random()
        if when < 0.2:
            time.sleep(draw.uniform(0.0, 1.2))
        elif when < 0.4:
            collector.wait_for_lines(draw.randint(1, 6), within=5)
        elif when < 0.7:
            expected = before + draw.randint(2, 4)
            wait_until(f"{expected} records", lambda: records(site) >= expected)  # noqa: B023 - asked at once
        else:
            collector.wait_for("batch_committed", draw.randint(1, 2))
            time.sleep(draw.uniform(0.0, 0.2))
        assert collector.is_running, collector.log
        collector.kill()
        figures.committed += bool(collector.named("batch_committed"))
        figures.completed += len(collector.named("object_completed"))
    return figures


def records(site: Site) -> int:
    """How many commit records there are: asked as directly as can be, since their objects follow soon."""
    if site.to.startswith("s3:"):
        return len(keys(site.to, "_joblog/commits/"))
    return len(list(Path(site.to, "_joblog/commits/default/000").glob("*.json")))


def assert_whole(site: Site) -> int:
    """One more start collects all the rest; then each line is there once. Returns the number of lines."""
    once = site.once()
    assert once.code == 0, once.stderr
    assert not once.named("bytes_lost")
    proof = site.verify()
    assert proof.code == 0, proof.stdout
    return assert_exactly_once(site.volume, site.to)


def collected(site: Site) -> list[str]:
    """All that speaks of lines; a further owner of the shard adds an open record, and nothing here."""
    return keys(site.to, "data/") + keys(site.to, "_joblog/receipts/")


def survive(site: Site, start: Start, write: Write, kills: int, seed: str) -> None:
    """The whole story, told on stdout in figures."""
    draw = random.Random(seed)  # noqa: S311 - when to kill is no secret
    rate = 2000 if kills < MANY_KILLS else 300
    writers = [write(site.volume, tag, rate) for tag in ("a", "b")]
    figures = kill_and_start(site, start, kills, draw)
    for writer in writers:
        writer.stop()
    lines = assert_whole(site)
    objects = len(keys(site.to, "data/"))
    sys.stdout.write(f"{figures}: {lines} lines, each once, in {objects} objects\n")
    before = collected(site)
    shutil.rmtree(site.state)
    rebuilt = joblog("checkpoints", "rebuild", "default", "--to", site.to, "--state", str(site.state))
    assert rebuilt.code == 0, rebuilt.stderr
    assert site.once().code == 0
    assert collected(site) == before
    more = write(site.volume, "c")
    kill_and_start(site, start, 1, draw)
    shutil.rmtree(site.state)
    more.stop()
    assert assert_whole(site) >= lines
    alone = verify("--to", site.to)
    assert alone.code == 0, alone.stdout


def kills_of(request: pytest.FixtureRequest) -> int:
    """S3 over HTTP is slower to start with."""
    return 10 if "file" in request.node.name else 6


def test_nothing_is_missing_or_twice_after_many_kills(
    site: Site, start: Start, write: Write, request: pytest.FixtureRequest
) -> None:
    """`kill -9` again and again, then `--once`: each line once, `verify` is content; so too after the state
    folder is lost, whether it is rebuilt by command or by the next start.
    """
    survive(site, start, write, kills_of(request), request.node.name)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_nothing_is_missing_or_twice_after_very_many_kills(
    site: Site, start: Start, write: Write, request: pytest.FixtureRequest
) -> None:
    """The same with `JOBLOG_TEST_KILLS` (50) kills."""
    survive(site, start, write, SOAK_KILLS, request.node.name)
