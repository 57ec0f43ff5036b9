"""The cases of new files: how soon they are read and committed, with how many idle ones beside them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import data, export, jobs
from bench.jobs import Played, committed_after, committed_at, percentile, play, read_after
from bench.process import Cost, cpu_seconds, resident_bytes, run, running
from bench.result import Result
from bench.workbench import Bench, follow, once, until

IDLE_TIMES = 10
"""Idle sources, for each of `small_files`."""

PER_SECOND = 100
BURST_SECONDS = 10
LISTED_SECONDS = 120
"""The longest that the first look at 100,000 sources may take."""


def found(bench: Bench) -> Iterator[Result]:
    """New sources, 100 in a second: their first lines read; with an empty tree and beside idle sources."""
    new = min(500, bench.small_files)
    for idle in (0, IDLE_TIMES * bench.small_files):
        case = f"{new} new sources, {idle:,} idle ones"
        with _following(bench, idle) as (volume, log, process, to):
            began, used = time.monotonic(), cpu_seconds(process)
            played = play(volume, new, PER_SECOND)
            _until_read(log, played)
            cost = _cost(process, began, used)
        yield _found(case, cost, played, log, to)


def committed(bench: Bench) -> Iterator[Result]:
    """The same, until the object stands that has the line, with batches of 100 ms."""
    new = min(500, bench.small_files)
    with _following(bench, 0, "--batch-max-age", "100ms") as (volume, log, process, to):
        began, used = time.monotonic(), cpu_seconds(process)
        played = play(volume, new, PER_SECOND)
        _until_committed(log, played)
        cost = _cost(process, began, used)
    after = committed_after(log, to, played)
    notes = {"ms to the commit, p50": 1e3 * percentile(after, 0.5)}
    notes["ms to the commit, p99"] = 1e3 * percentile(after, 0.99)
    case = f"{new} new sources, batches of 100 ms"
    yield Result(case, "joblog", 0, cost, new, exact=len(after) == new, notes=notes)
    played.remove()


def polled(bench: Bench) -> Iterator[Result]:
    """Without notification, once a second: a new file, and what that costs while nothing happens."""
    for idle in (bench.small_files, IDLE_TIMES * bench.small_files):
        new = min(200, bench.small_files)
        with _following(bench, idle, watch="poll") as (volume, log, process, to):
            time.sleep(bench.seconds)  # what was looked at for the first time is looked at soon again
            began, used = time.monotonic(), cpu_seconds(process)
            time.sleep(bench.seconds)
            cost = _cost(process, began, used)
            played = play(volume, new, 10)
            _until_read(log, played)
        result = _found(f"polled, {idle:,} idle sources", cost, played, log, to)
        result.notes["percent of a core, idle"] = 100 * cost.cpu_seconds / cost.wall_seconds
        yield result


def fleeting(bench: Bench) -> Iterator[Result]:
    """Directories that are gone soon after their Job has written 100 lines."""
    new = min(500, bench.small_files)
    for deleted_after in (0.3, 0.05):
        with _following(bench, 0) as (volume, _, process, to):
            began, used = time.monotonic(), cpu_seconds(process)
            played = play(volume, new, 50, lines=100, deleted_after_seconds=deleted_after)
            cost = _cost(process, began, used)
        rows = export.counted(to)[0]
        notes = {"percent of the lines": 100 * rows / played.lines}
        case = f"{new} sources deleted after {1e3 * deleted_after:.0f} ms"
        exact = rows <= played.lines
        yield Result(case, "joblog", 0, cost, new, export.out_bytes(to), exact, notes=notes)


def burst(bench: Bench) -> Iterator[Result]:
    """10,000 Jobs in ten seconds, until each has its receipt."""
    new = bench.small_files
    with _following(bench, 0, "--batch-max-age", "1s") as (volume, log, process, to):
        began, used = time.monotonic(), cpu_seconds(process)
        played = play(volume, new, new / BURST_SECONDS, lines=10, tombstone=True)
        until(lambda: sum(1 for _ in jobs.events(log, "receipt_written")) >= new, "all receipts", pause=0.5)
        cost = _cost(process, began, used)
    last = max(committed_at(log).values())
    receipts = len(list(to.glob("_joblog/receipts/*/*.json")))
    notes = {"seconds from the last write to the last commit": last - played.last_at}
    exact = export.counted(to)[0] == played.lines and receipts == new
    case = f"{new:,} Jobs in {BURST_SECONDS} s"
    yield Result(case, "joblog", 0, cost, new, export.out_bytes(to), exact, notes=notes)


def _found(case: str, cost: Cost, played: Played, log: Path, to: Path) -> Result:
    """The export was drained by now: no line of the new sources may be missing."""
    after, new = read_after(log, played), len(played.written_at)
    notes = {f"ms to the reading, p{part}": 1e3 * percentile(after, part / 100) for part in (50, 99)}
    exact = len(after) == new and export.counted(to)[0] >= new
    played.remove()
    return Result(case, "joblog", 0, cost, new, export.out_bytes(to), exact, notes=notes)


@contextmanager
def _following(
    bench: Bench, idle: int, *options: str, watch: str = "inotify"
) -> Iterator[tuple[Path, Path, int, Path]]:
    """A collector that follows a volume of which all is collected and looked at: the volume, the collector's
    log, its process, and the export.
    """
    volume = data.idle_sources(bench.folder, idle)
    to, state = bench.fresh()
    if idle:
        run(_unfinished(once(volume, to, state)))
        shutil.rmtree(to / "data", ignore_errors=True)  # only what is new counts
    log = bench.folder / "joblog.log"
    command = follow(volume, to, state, *options, "--log-level", "debug", "--log-format", "json", watch=watch)
    with running(command, log=log) as process:
        until(lambda: any(True for _ in jobs.events(log, "scan_done")), "the first scan", LISTED_SECONDS)
        yield volume, log, process.pid, to


def _unfinished(command: list[str]) -> list[str]:
    """`run --once` that leaves sources open: they may go on."""
    return [part for part in command if part != "--complete"]


def _cost(process: int, began: float, used: float) -> Cost:
    return Cost(time.monotonic() - began, cpu_seconds(process) - used, resident_bytes(process))


def _until_read(log: Path, played: Played) -> None:
    until(lambda: len(read_after(log, played)) == len(played.written_at), "all first lines", pause=0.5)


def _until_committed(log: Path, played: Played) -> None:
    def is_so() -> bool:
        return sum(event["rows"] for event in jobs.events(log, "batch_committed")) >= played.lines

    until(is_so, "all commits", pause=0.5)


CASES: dict[str, Callable[[Bench], Iterator[Result]]] = {
    "found": found,
    "committed": committed,
    "polled": polled,
    "fleeting": fleeting,
    "burst": burst,
}
