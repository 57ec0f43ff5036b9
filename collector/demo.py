"""The demo: Jobs that come and go on a shared tree while a collector runs, and what is left of them.

The collector is a process of its own, as it would be in a cluster; everything that is shown is read
back from the destination by the commands that a user has.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from collector.config import environment
from collector.errors import Incomplete, UsageError
from collector.events import CollectorStarted
from collector.generate.jobs import Played, play
from collector.generate.specs import JobSpec, specs
from collector.query.export import newest_receipts, shards
from collector.sink.store import Store

JOBS = 48
JOBS_PER_SECOND = 24
LINES = 120
LINES_PER_SECOND = 120

START_SECONDS = 30.0
RECEIPT_SECONDS = 60.0
STOP_SECONDS = 30.0


def jobs(now: datetime) -> list[JobSpec]:
    """Several dozen Jobs of all kinds that are hard to collect; `now` gives the CronJobs their times."""
    some = specs(JOBS, seed=1, now=now, lines=LINES, rate=LINES_PER_SECOND)
    return [replace(spec, log_type="java") if number % 5 == 0 else spec for number, spec in enumerate(some)]


def joblog(*arguments: str) -> list[str]:
    """The command line of this very installation."""
    return [sys.executable, "-m", "collector", *arguments]


def plain_environment() -> dict[str, str]:
    """The environment without settings of a collector: they are meant for another one."""
    return {name: value for name, value in environment().items() if not name.startswith("JOBLOG_")}


def require_empty(store: Store) -> None:
    """Raises UsageError for a destination that another collector, or another demo, has used."""
    if shards(store):
        raise UsageError(
            f"there is an export in {store.url} already", hint="give the demo a folder or a prefix of its own"
        )


@contextmanager
def collector(volume: Path, to: str, state: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running `joblog run`; its log goes to `log`. It is told to stop at the end, and drains.

    Raises Incomplete where it does not end in time.
    """
    command = joblog("run", "--volume", str(volume), "--to", to, "--state", str(state), "--http", "off")
    command += ["--batch-max-age", "1s", "--log-format", "json"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output, env=plain_environment())  # noqa: S603  # ourselves
        try:
            wait_until_it_watches(process, log)
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Incomplete(f"the collector did not end within {STOP_SECONDS:.0f} s") from None


def wait_until_it_watches(process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns when the collector's log says that it has begun. Raises Incomplete where it does not begin."""
    deadline = time.monotonic() + START_SECONDS
    while CollectorStarted.name not in log.read_text(errors="replace"):
        expect_alive(process, log)
        if time.monotonic() > deadline:
            raise Incomplete(f"the collector did not begin within {START_SECONDS:.0f} s")
        time.sleep(0.02)


def expect_alive(process: subprocess.Popen[bytes], log: Path) -> None:
    """Raises Incomplete, with the last line of its log, where the collector has ended."""
    if process.poll() is not None:
        raise ended(process, log)


def ended(process: subprocess.Popen[bytes], log: Path) -> Incomplete:
    last = log.read_text(errors="replace").splitlines()[-1:]
    return Incomplete(f"the collector ended with exit code {process.returncode}", hint=" ".join(last))


def play_all(volume: Path, wanted: Sequence[JobSpec], clock: Callable[[], datetime]) -> list[Played]:
    """Plays the Jobs on the volume, many at once, in real time."""
    return play(
        volume,
        jobs=wanted,
        layout="subpath",
        clock=clock,
        monotonic=time.monotonic,
        sleep=time.sleep,
        concurrency=len(wanted),
        jobs_per_second=JOBS_PER_SECOND,
    )


def wait_for_receipts(store: Store, sources: set[str], process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns when each source has its receipt. Raises Incomplete where that takes too long, or the
    collector ended before.
    """
    deadline = time.monotonic() + RECEIPT_SECONDS
    while missing := sources - {receipt.source for _, receipt in newest_receipts(store)}:
        expect_alive(process, log)
        if time.monotonic() > deadline:
            raise Incomplete(f"{len(missing)} Jobs have no receipt after {RECEIPT_SECONDS:.0f} s")
        time.sleep(0.1)
