"""`kill -9` while lines are parsed, joined, decoded and redacted: each is there once, as it should be."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from collector_process import Collector, wait_until
from crash_at import POINTS
from featured_site import (
    SETTINGS,
    FeaturedSite,
    assert_each_line_once,
    folder,
    receipts,
    records,
    sources,
)
from featured_writer import steps

Start = Callable[..., Collector]

CRASHER = Path(__file__).with_name("crash_at.py")
WRITER = Path(__file__).with_name("featured_writer.py")
SOAK_KILLS = int(os.environ.get("JOBLOG_TEST_KILLS", "40"))
OPTIONS = ("--batch-max-age", "100ms")


def write(site: FeaturedSite, feature: str, count: int) -> None:
    """So many steps of the Jobs of a feature; all lines are whole at the end."""
    playing = steps(site.volume, feature, "w")
    for _ in islice(playing, count):
        pass
    playing.close()


def crash(site: FeaturedSite, point: str) -> None:
    command = [sys.executable, str(CRASHER), point, *site.arguments("--once", "--complete")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def assert_whole(site: FeaturedSite) -> int:
    """One more start collects all the rest, and `verify` is content. Returns the number of rows."""
    once = site.once("--complete")
    assert once.code == 0, once.stderr
    assert not once.named("bytes_lost")
    assert receipts(site) == sources(site)
    proof = site.verify()
    assert proof.code == 0, proof.stdout
    return assert_each_line_once(site)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=() if point == "record claimed: after" else pytest.mark.soak)
        for point in POINTS
    ],
)
@pytest.mark.parametrize("feature", SETTINGS)
def test_a_crash_there_leaves_each_line_once(tmp_path: Path, feature: str, point: str) -> None:
    """The process kills itself at this point, between record and object above all: the next start reads,
    joins, decodes, redacts and parses the same rows again, and each line is there once.
    """
    site = FeaturedSite(folder(tmp_path), str(tmp_path / "export"), tmp_path / "state", OPTIONS, (feature,))
    write(site, feature, 60)
    crash(site, point)
    assert assert_whole(site) > 100


def kill_and_start(site: FeaturedSite, start: Start, kills: int, draw: random.Random) -> None:
    """Some die at any time from their first instruction on, some right after a record has appeared; now and
    then it is one of another machine, with a state folder of its own.
    """
    elsewhere = FeaturedSite(site.volume, site.to, site.state.with_name("elsewhere"), OPTIONS)
    for _ in range(kills):
        before = records(site)
        collector = start(elsewhere if draw.random() < 0.25 else site)
        when = draw.random()
        if when < 0.3:
            collector.wait_for_lines(draw.randint(1, 8), within=5)
        elif when < 0.7:
            expected = before + draw.randint(2, 12)
            wait_until(f"{expected} records", lambda: records(site) >= expected)  # noqa: B023 - asked at once
        else:
            collector.wait_for("batch_committed", draw.randint(1, 4))
        assert collector.is_running, collector.log
        collector.kill()


def survive(tmp_path: Path, start: Start, kills: int, seed: str, rate: int) -> None:
    """Jobs of all features write, `rate` steps a second, while collectors of all volumes are killed."""
    site = FeaturedSite(folder(tmp_path), str(tmp_path / "export"), tmp_path / "state", OPTIONS)
    writer = subprocess.Popen([sys.executable, str(WRITER), str(site.volume), seed, str(rate)])
    try:
        wait_until("the first lines", lambda: sources(site))
        kill_and_start(site, start, kills, random.Random(seed))  # noqa: S311 - when to kill is no secret
    finally:
        writer.terminate()
        assert writer.wait(60) == 0
    sys.stdout.write(f"{kills} kills: {assert_whole(site)} rows\n")


def test_no_line_is_missing_or_twice_after_many_kills(tmp_path: Path, start: Start) -> None:
    """`kill -9` again and again, then `--once`: what each file says is there once, redacted, as columns."""
    survive(tmp_path, start, 5, "few", 40)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", ["a", "b"])
def test_no_line_is_missing_or_twice_after_very_many_kills(tmp_path: Path, start: Start, seed: str) -> None:
    """The same with `JOBLOG_TEST_KILLS` (40) kills."""
    survive(tmp_path, start, SOAK_KILLS, seed, 8)
