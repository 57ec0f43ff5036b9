"""Measures everything, or `--quick` a few small cases against the stored baseline.

    python -m bench.run [--quick [--accept]] [--size MIB] [--files N] [--seconds S] [--folder DIR] [CASE ...]

All of it in full size writes `bench/results.json`, the tables in `docs/benchmarks.md` and its plot; less
only prints. `--quick` fails where a ratio to the limit, or the instructions for a byte, are worse than
`bench/baseline.json` allows; `--accept` makes what it finds the new baseline.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.cases import CASES
from bench.guard import guard
from bench.peers import peers
from bench.process import Cost, Failed
from bench.report import stage_lines, target_lines, write
from bench.result import Result
from bench.stages import stages
from bench.workbench import Bench, Case

EVERY: dict[str, Case] = {**CASES, "stages": stages, "peers": peers}
FULL_MIB, FULL_FILES = 1024, 10_000


def main() -> int:
    told = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="joblog-bench-", dir=told.folder))
    try:
        return guard(folder, told.accept, _played, say) if told.quick else _all(folder, told)
    finally:
        shutil.rmtree(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--accept", action="store_true", help="with --quick: take its figures as the baseline"
    )
    parser.add_argument(
        "--folder", help="where data and exports go: about 12 GB; a temporary folder is made in it"
    )
    parser.add_argument(
        "--size", type=int, default=FULL_MIB, metavar="MIB", help="of the large file (%(default)s)"
    )
    parser.add_argument("--files", type=int, default=FULL_FILES, help="how many small files (%(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="of a steady rate, and idle (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of each run (%(default)s)")
    parser.add_argument("cases", nargs="*", help=f"only these, and the pages stay: {', '.join(EVERY)}")
    return parser.parse_args()


def _all(folder: Path, told: argparse.Namespace) -> int:
    bench = Bench(folder, told.size << 20, told.files, told.seconds, told.repeats)
    wanted = {name: case for name, case in EVERY.items() if not told.cases or name in told.cases}
    began = time.monotonic()
    results = list(_played(bench, wanted))
    for line in (*target_lines(results), *stage_lines(results)):
        say(line)
    say(f"took {(time.monotonic() - began) / 60:.1f} minutes")
    if not told.cases and (told.size, told.files) == (FULL_MIB, FULL_FILES):
        write(results, bench)
    return _wrong(results)


def _played(bench: Bench, cases: dict[str, Case]) -> Iterator[Result]:
    say(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs; data in {bench.folder}")
    for nth, (name, case) in enumerate(cases.items(), 1):
        say(f"-- {name} ({nth} of {len(cases)})")
        try:
            for result in case(bench):
                say(_line(result))
                yield result
        except Failed as reason:
            say(f"FAILED: {name}: {reason}")
            yield Result(name, "joblog", 0, Cost(0.0, 0.0, 0), exact=False)


def _line(result: Result) -> str:
    cost = result.cost
    speed = (
        f"{result.mb_per_second:6.0f} MB/s {result.mb_per_cpu_second:6.0f} MB/CPU-s "
        if result.input_bytes
        else ""
    )
    ratio = (
        f" {result.ratio:.2f} of {result.limit} ({result.ratio_by_wall:.2f} by the clock)"
        if result.ratio
        else ""
    )
    notes = "".join(f", {value:.2f} {name}" for name, value in result.notes.items())
    counted = {True: "exact", False: "WRONG", None: "-"}[result.exact]
    return (
        f"{result.program:12} {result.case:42} {speed}{cost.wall_seconds:7.2f} s "
        f"{cost.cpu_seconds:6.2f} CPU-s {cost.peak_bytes / 1e6:5.0f} MB "
        f"-> {result.out_bytes / 1e6:6.1f} MB {counted}{ratio}{notes}"
    )


def _wrong(results: list[Result]) -> int:
    return int(any(result.exact is False and result.program == "joblog" for result in results))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
