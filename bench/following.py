"""The cases of a collector that stays: files that grow, a steady rate, nothing at all, starting again."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from bench import data, export
from bench.process import Cost, Failed, cpu_seconds, resident_bytes, run, running
from bench.result import Result
from bench.workbench import Bench, best, follow, once, until

GROWING_FILES = 1000
KNOWN_FILES = 10
"""Times as many as `small_files`: 100,000."""


def growing(bench: Bench) -> Iterator[Result]:
    """1,000 files that grow at once, a block each in turn, while the collector follows."""
    files = min(GROWING_FILES, bench.small_files)
    volume = bench.folder / "growing"
    shutil.rmtree(volume, ignore_errors=True)
    paths = [data.source(volume, number // 10) / f"task-{number % 10}.log" for number in range(files)]
    to, state = bench.fresh()
    with running(follow(volume, to, state)) as process:
        until(state.exists, "the collector to start")
        began, used = time.monotonic(), cpu_seconds(process.pid)
        for number, piece in enumerate(data.pieces("varied", bench.large_bytes // 4, 20 << 10)):
            with paths[number % files].open("ab") as file:
                file.write(piece)
        _until_exported(to, export.expected(volume)[0])
        cost = Cost(time.monotonic() - began, cpu_seconds(process.pid) - used, resident_bytes(process.pid))
    rows, size = export.expected(volume)
    exact = export.counted(to) == (rows, size)
    yield Result(f"{files:,} files growing at once", "joblog", size, cost, files, export.out_bytes(to), exact)


def steady(bench: Bench) -> Iterator[Result]:
    """10 MB/s into one file: CPU and memory of the collector that follows, without its start."""
    volume = bench.folder / "steady"
    shutil.rmtree(volume, ignore_errors=True)
    path = data.source(volume, 0) / "app.log"
    to, state = bench.fresh()
    command, log = follow(volume, to, state, "--log-level", "info"), bench.folder / "joblog.log"
    with running(command, log=log) as process, path.open("ab", buffering=0) as file:
        until(lambda: b"collector_started" in log.read_bytes(), "the collector to start")
        began, used = time.monotonic(), cpu_seconds(process.pid)
        for number, piece in enumerate(data.pieces("varied", 10_000_000 * bench.seconds, 1_000_000)):
            time.sleep(max(0.0, began + number / 10 - time.monotonic()))
            file.write(piece)
        cost = Cost(time.monotonic() - began, cpu_seconds(process.pid) - used, resident_bytes(process.pid))
        _until_exported(to, export.expected(volume)[0])
    rows, size = export.expected(volume)
    notes = {"percent of a core": 100 * cost.cpu_seconds / cost.wall_seconds}
    exact = export.counted(to) == (rows, size)
    yield Result("steady 10 MB/s", "joblog", size, cost, 1, export.out_bytes(to), exact, notes=notes)


def idle(bench: Bench) -> Iterator[Result]:
    """Nothing happens in a volume of many files that are collected already."""
    volume = data.many_files(bench.folder, bench.small_files, 20 << 10, 100)
    to, state = bench.fresh()
    run(once(volume, to, state))
    before = export.objects(to)
    with running(follow(volume, to, state)) as process:
        time.sleep(min(20, bench.seconds))  # the first look at all files
        began, used = time.monotonic(), cpu_seconds(process.pid)
        time.sleep(bench.seconds / 2)
        cost = Cost(time.monotonic() - began, cpu_seconds(process.pid) - used, resident_bytes(process.pid))
    notes = {"percent of a core": 100 * cost.cpu_seconds / cost.wall_seconds}
    exact = export.objects(to) == before
    case = f"idle with {bench.small_files:,} files"
    yield Result(case, "joblog", 0, cost, bench.small_files, exact=exact, notes=notes)


def first_commit(bench: Bench) -> Iterator[Result]:
    """From the start of the process to the first object of one line, with batches of 100 ms."""
    volume = bench.folder / "one-line"
    (data.source(volume, 0) / "app.log").write_bytes(b"one line\n")
    cost: Cost | None = None
    for _ in range(bench.repeats):
        to, state = bench.fresh()
        began = time.monotonic()
        with running(follow(volume, to, state, "--batch-max-age", "100ms")) as process:
            until(lambda to=to: bool(export.objects(to)), "the first object")  # type: ignore[misc]
            took = time.monotonic() - began
            cost = best(cost, Cost(took, cpu_seconds(process.pid), resident_bytes(process.pid)))
    if cost is None:
        raise Failed("no run")
    exact = export.counted(to) == export.expected(volume)
    yield Result("start to first commit", "joblog", 0, cost, exact=exact)


def checkpoint(bench: Bench) -> Iterator[Result]:
    """A start that finds all collected: the checkpoint of ten times as many files, and one look at each."""
    files = KNOWN_FILES * bench.small_files
    volume = data.many_files(bench.folder, files, 200, 100)
    to, state = bench.fresh()
    run(once(volume, to, state))
    exact = export.counted(to) == export.expected(volume)
    before = export.objects(to)
    cost: Cost | None = None
    parts: dict[str, float] = {}
    for _ in range(bench.repeats):
        told = bench.folder / "start-parts.json"
        cost = best(cost, run(_telling_parts(once(volume, to, state), told)))
        for part, seconds in json.loads(told.read_bytes()).items():
            parts[part] = min(seconds, parts.get(part, seconds))
    if cost is None:
        raise Failed("no run")
    exact = exact and export.objects(to) == before
    notes = {
        "CPU seconds more than of a start with none": cost.cpu_seconds - bench.start(),
        "of them to load the checkpoint": parts["load"],
        "for the first look at all files": parts["scan"],
    }
    yield Result(f"start with {files:,} known files", "joblog", 0, cost, files, exact=exact, notes=notes)


def _telling_parts(command: list[str], told: Path) -> list[str]:
    at = command.index("collector")
    return [*command[:at], "bench.start_parts", str(told), *command[at + 1 :]]


def _until_exported(to: Path, rows: int) -> None:
    def is_there() -> bool:
        records = to.glob("_joblog/commits/*/*/*.json")
        return sum(json.loads(path.read_bytes()).get("rows", 0) for path in records) >= rows

    until(is_there, "all rows")
