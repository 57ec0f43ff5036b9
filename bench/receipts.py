"""What receipts cost: `python bench/receipts.py [RUNS]` collects with and without them, in turn.

Each run is a whole process, `run --once` into an empty folder: "on" is `--complete`, so each source gets
its receipt; "off" writes none, and leaves out the running SHA-256 of each file. There is no setting for
that, so "off" replaces it in its own process. Seconds of CPU and of the wall clock are compared pair by
pair; the median of the ratios counts, since a machine is not equally fast at all times.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from collector.cli import main as joblog
from collector.intake.track import TrackedFile

LARGE_BYTES = 300 << 20
SMALL_BYTES = 20 << 10
SMALL_FILES = 2000
SOURCES = 20
RUNS = 5
LINE = (
    "2026-11-22T09:{:02d}:{:02d}.{:06d}Z INFO  [worker-{}] c.e.Orders - order {:010d} took {} ms, total {}\n"
)


@dataclass(frozen=True)
class Cost:
    cpu_seconds: float
    wall_seconds: float


def main(runs: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="joblog-bench-"))
    try:
        text = lines(LARGE_BYTES)
        large, small, many = folder / "large", folder / "small", folder / "many"
        source(large, 0).joinpath("app.log").write_bytes(text)
        for number in range(SMALL_FILES):
            part = text[number * SMALL_BYTES : (number + 1) * SMALL_BYTES]
            part = part[: part.rfind(b"\n") + 1]
            source(small, number).joinpath("app.log").write_bytes(part)
            source(many, number % SOURCES).joinpath(f"app-{number}.log").write_bytes(part)
        say(f"{runs} pairs each; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
        compare(f"one file of {LARGE_BYTES >> 20} MiB", large, runs)
        compare(f"{SMALL_FILES:,} files of {SMALL_BYTES >> 10} KiB in {SOURCES} sources", many, runs)
        compare(f"{SMALL_FILES:,} files of {SMALL_BYTES >> 10} KiB, each a source", small, runs)
    finally:
        shutil.rmtree(folder)


def lines(size: int) -> bytes:
    """So many bytes of log, whole lines."""
    found: list[str] = []
    number = length = 0
    while length < size:
        drawn = number * 2654435761 % (1 << 32)
        found.append(
            LINE.format(
                number // 60000 % 60,
                number // 1000 % 60,
                drawn % 10**6,
                drawn % 8,
                drawn,
                drawn % 977,
                number,
            )
        )
        length += len(found[-1])
        number += 1
    return "".join(found).encode()


def source(volume: Path, number: int) -> Path:
    folder = volume / f"shop_orders-{number}_10.244.0.7_10.0.0.1_node-1"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def compare(what: str, volume: Path, runs: int) -> None:
    pairs = []
    for run in range(runs + 1):
        order = ("off", "on") if run % 2 else ("on", "off")
        costs = {switch: measure(switch, volume) for switch in order}
        if run:  # the first pair warms the caches
            pairs.append((costs["on"], costs["off"]))
    for unit in ("cpu_seconds", "wall_seconds"):
        on, off = ([getattr(cost, unit) for cost in column] for column in zip(*pairs, strict=True))
        ratios = [with_ / without - 1 for with_, without in zip(on, off, strict=True)]
        say(
            f"{what}: {unit.replace('_', ' ')}: off {statistics.median(off):.2f}, "
            f"on {statistics.median(on):.2f}; "
            f"receipts cost {statistics.median(ratios):+.1%} ({min(ratios):+.1%} to {max(ratios):+.1%})"
        )


def measure(switch: str, volume: Path) -> Cost:
    """Collects the volume in a new process."""
    export, state = volume.parent / "export", volume.parent / "state"
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, __file__, switch, str(volume), str(export), str(state)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    receipts = len(list(export.glob("_joblog/receipts/*/*.json")))
    assert receipts == (len(list(volume.iterdir())) if switch == "on" else 0), receipts  # noqa: S101 - else no figure
    shutil.rmtree(export)
    shutil.rmtree(state)
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def collect(switch: str, volume: str, export: str, state: str) -> int:
    options = ["--volume", volume, "--to", export, "--state", state, "--http", "off", "--once"]
    if switch == "off":
        leave_out_hashes()
    return joblog(["run", *options, *(["--complete"] if switch == "on" else [])])


def leave_out_hashes() -> None:
    tracked = TrackedFile.__init__

    def without(self: TrackedFile, *args: object, **settings: object) -> None:
        tracked(self, *args, **settings)
        self.prefix = None

    TrackedFile.__init__ = without


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:2] in (["on"], ["off"]):
        sys.exit(collect(*sys.argv[1:]))
    main(int(sys.argv[1]) if sys.argv[1:] else RUNS)
