"""One core of the machine against two: the collector, and two programs that share nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from bench import data
from bench.limits import zstd
from bench.memory import in_memory
from bench.result import Result
from bench.workbench import Bench, collect

FILES = 20


def two_cores(bench: Bench) -> Iterator[Result]:
    """The same sources on one core and on two, each as it is best: with one shard. Two shards beside it."""
    volume = data.many_files(bench.folder, FILES, bench.large_bytes // FILES, 1)
    cores = sorted(os.sched_getaffinity(0))
    with _only(cores[:1]):
        one = collect(bench, f"{FILES} files, one core", volume)
    with _only(cores[:2]):
        two = collect(bench, f"{FILES} files, two cores", volume)
        shards = collect(bench, f"{FILES} files, two cores, two shards", volume, "--shards", "2")
        possible = _twice(volume, bench.repeats)
    gain = {"times one core": _times(one, two), "times one core, two programs": possible}
    yield one
    yield replace(two, notes=gain)
    yield replace(shards, notes={"times one core": _times(one, shards)})


def _times(one: Result, two: Result) -> float:
    return one.cost.wall_seconds / two.cost.wall_seconds


@contextmanager
def _only(cores: list[int]) -> Iterator[None]:
    """What is started meanwhile runs on these cores, as in a container that has no others."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _twice(volume: Path, repeats: int) -> float:
    """How much more two processes compress at the same time than one alone: what the machine has to give."""
    with in_memory(volume):
        alone, both = (min(_compressing(volume, count) for _ in range(repeats)) for count in (1, 2))
    return 2 * alone / both


def _compressing(volume: Path, processes: int) -> float:
    """Seconds until so many processes have each compressed all files."""
    started = [get_context("fork").Process(target=zstd, args=(volume,)) for _ in range(processes)]
    began = time.monotonic()
    for process in started:
        process.start()
    for process in started:
        process.join()
    return time.monotonic() - began
