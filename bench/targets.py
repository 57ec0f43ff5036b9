"""What is to be reached, and whether it was: by CPU and by the clock, of the results of one run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.result import MB, Result

Figure = Callable[[Result], float | None]

BESIDE_ITS_BYTES = "µs of CPU a file beside its bytes"

UNITS: dict[str, tuple[Figure, Figure, str]] = {
    "MB per CPU second": (lambda r: r.mb_per_cpu_second, lambda r: r.mb_per_second, "CPU"),
    "MB/s": (lambda r: r.mb_per_cpu_second, lambda r: r.mb_per_second, "clock"),
    "of the limit": (lambda r: r.ratio, lambda r: r.ratio_by_wall, "clock"),
    "files/s": (lambda r: r.files / r.cost.cpu_seconds, lambda r: r.files / r.cost.wall_seconds, "clock"),
    "MB of memory": (lambda _: None, lambda r: r.cost.peak_bytes / MB, "clock"),
    BESIDE_ITS_BYTES: (lambda r: r.notes.get(BESIDE_ITS_BYTES), lambda _: None, "CPU"),
}
"""The figure by CPU, the one by the clock, and which of the two counts. Other units are notes of cases."""

TIMES_PEER = "times the best peer's plain JSON"
KINDS = r"(varied|access) lines"

TARGETS: tuple[tuple[str, float, str], ...] = (
    (rf"to nothing, {KINDS}", 800, "MB per CPU second"),
    (r"to nothing, lines of 512 bytes", 1000, "MB per CPU second"),
    (rf"one file, parquet, {KINDS}", 0.85, "of the limit"),
    (r"one file, parquet, varied lines", 2.5, TIMES_PEER),
    (r".* files of 20 KiB, 100 a source", 150, "MB/s"),
    (r".* files of 20 KiB, 100 a source", 6000, "files/s"),
    (r".* files of 20 KiB, 100 a source", 300, "MB of memory"),
    (r".* files of 20 KiB, 100 a source", 60, BESIDE_ITS_BYTES),
    (rf"one file, raw, {KINDS}", 0.95, "of the limit"),
    (rf"one file, ndjson, {KINDS}", 90, "MB per CPU second"),
    (rf"regex, vectorised, {KINDS}", 130, "MB per CPU second"),
    (rf"regex, vectorised, {KINDS}, line kept", 90, "MB per CPU second"),
    (rf"regex, not vectorised, {KINDS}(, line kept)?", 60, "MB per CPU second"),
    (r"multi-line \(java traces\)", 0.75, "of the limit"),
    (rf"CRI, {KINDS}", 0.6, "of the limit"),
    (r"JSON lines(, line kept)?", 70, "MB per CPU second"),
    (r"one file, parquet, s3:", 0.85, "of the slower of file: and plain puts"),
    (r"steady 10 MB/s", 6, "percent of a core"),
    (r"steady 10 MB/s", 200, "MB of memory"),
    (r"20 files, two cores", 1.7, "times one core"),
    (r".* new sources, 0 idle ones", 3, "ms to the reading, p50"),
    (r".* new sources, 0 idle ones", 10, "ms to the reading, p99"),
    (r".* new sources, [1-9].* idle ones", 50, "ms to the reading, p99"),
    (r".* new sources, batches of 100 ms", 300, "ms to the commit, p99"),
    (r"polled, 10,000 idle sources", 2, "percent of a core, idle"),
    (r"polled, 10,000 idle sources", 150, "MB of memory"),
    (r"polled, 100,000 idle sources", 1200, "ms to the reading, p99"),
    (r"polled, 100,000 idle sources", 10, "percent of a core, idle"),
    (r"polled, 100,000 idle sources", 300, "MB of memory"),
    (r".* sources deleted after 300 ms", 100, "percent of the lines"),
)
"""Cases (a regular expression for their names), what they are to reach, and in which unit."""

AT_MOST = {
    *("MB of memory", BESIDE_ITS_BYTES, "percent of a core", "percent of a core, idle"),
    *("ms to the reading, p50", "ms to the reading, p99", "ms to the commit, p99"),
}


@dataclass(frozen=True, slots=True)
class Reached:
    """`cpu` and `clock`: None where there is no such figure."""

    case: str
    bound: float
    unit: str
    cpu: float | None
    clock: float | None
    counts: str

    @property
    def is_met(self) -> bool:
        figure = self.cpu if self.counts == "CPU" else self.clock
        if figure is None:
            return False
        return figure <= self.bound if self.unit in AT_MOST else figure >= self.bound


def reached(results: Sequence[Result]) -> Iterator[Reached]:
    """One for each target and case; none where what it needs was not measured, such as peers."""
    peer = best_peer(results)
    runs = [result for result in results if result.program == "joblog" and not result.stages]
    for pattern, bound, unit in TARGETS:
        for result in runs:
            if re.fullmatch(pattern, result.case):
                by_cpu, by_clock, counts = UNITS.get(unit) or (_none, _note(unit), "clock")
                cpu, clock = by_cpu(result), by_clock(result)
                if unit == TIMES_PEER and peer:
                    clock = result.mb_per_second / peer
                if cpu is not None or clock is not None:
                    yield Reached(result.case, bound, unit, cpu, clock, counts)


def _none(_: Result) -> float | None:
    return None


def _note(name: str) -> Figure:
    return lambda result: result.notes.get(name)


def best_peer(results: Sequence[Result]) -> float | None:
    """MB/s of the fastest of those whose lines all came out."""
    return max(
        (each.mb_per_second for each in results if each.program != "joblog" and each.exact), default=None
    )
