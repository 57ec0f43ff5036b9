"""What all cases share: a folder, sizes, `joblog run --once` as a process, and the limits beside it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import exact, export
from bench.limits import LIMITS
from bench.memory import in_memory
from bench.process import Cost, Failed, joblog, run
from bench.result import Result

STARTS = 5
KEPT_BYTES = 1 << 20
"""A larger file takes more space than a run can spare for what it needs no more."""
Check = Callable[[Path, Path], bool]
"""Whether an export holds exactly what is on a volume."""


@dataclass(frozen=True)
class Bench:
    """Where a run keeps its data, and how large it is."""

    folder: Path
    large_bytes: int
    small_files: int
    seconds: int
    repeats: int
    limits: dict[tuple[str, str], Cost] = field(default_factory=dict)
    """The best so far, by volume and limit."""

    def fresh(self) -> tuple[Path, Path]:
        """Empty places for an export and a state. What was there is emptied and kept: ext4 gives the place of
        a deleted file to no other for minutes, and whoever makes files searches past all of them.
        """
        for name in ("export", "state"):
            spent = self.folder / "spent" / str(time.monotonic_ns())
            if (self.folder / name).exists():
                spent.parent.mkdir(exist_ok=True)
                (self.folder / name).rename(spent)
                for path in spent.rglob("*"):
                    if path.is_file() and path.stat().st_size > KEPT_BYTES:
                        os.truncate(path, 0)
        return self.folder / "export", self.folder / "state"

    def limit(self, name: str, volume: Path) -> Cost:
        """Measured once more; the best of all times in this run."""
        key = volume.name, name
        with in_memory(volume):
            self.limits[key] = best(self.limits.get(key), LIMITS[name](volume))
        return self.limits[key]

    def start(self) -> float:
        """CPU seconds of a run that finds nothing, measured once a run."""
        known, empty = self.folder / "start.json", self.folder / "empty"
        if not known.exists():
            empty.mkdir()
            costs = [run(once(empty, *self.fresh())).cpu_seconds for _ in range(STARTS)]
            known.write_text(json.dumps(min(costs)))
        return float(json.loads(known.read_text()))


Case = Callable[[Bench], Iterator[Result]]


def best(known: Cost | None, other: Cost) -> Cost:
    """The least time and the least CPU seconds, perhaps of different runs; the highest peak of memory."""
    if known is None:
        return other
    return Cost(
        min(known.wall_seconds, other.wall_seconds),
        min(known.cpu_seconds, other.cpu_seconds),
        max(known.peak_bytes, other.peak_bytes),
    )


def collect(
    bench: Bench,
    case: str,
    volume: Path,
    *options: str,
    how: Mapping[str, Any] | None = None,
    check: Check = exact.counted,
    limit: str = "zstd -1",
) -> Result:
    """`run --once --complete` into an empty folder, again and again, the limit measured after each; the best
    of each counts. `how`: further settings of the volume. What the last run exported is checked.
    """
    cost: Cost | None = None
    for _ in range(bench.repeats):
        to, state = bench.fresh()
        with in_memory(volume):
            cost = best(cost, run(once(volume, to, state, *options, how=how)))
        limit_cost = bench.limit(limit, volume)
    assert cost is not None  # noqa: S101 - a bench without repeats measures nothing
    return Result(
        case,
        "joblog",
        export.expected(volume)[1],
        cost,
        files=sum(1 for _ in volume.rglob("*.log")),
        out_bytes=export.out_bytes(to),
        exact=check(to, volume),
        limit=limit,
        limit_cost=limit_cost,
        start_cpu_seconds=bench.start(),
    )


def once(
    volume: Path, to: Path | str, state: Path, *options: str, how: Mapping[str, Any] | None = None
) -> list[str]:
    return _run(volume, to, state, how, "--once", "--complete", *options)


def follow(volume: Path, to: Path, state: Path, *options: str, watch: str = "auto") -> list[str]:
    how = {"watch": watch} if watch != "auto" else None
    return _run(volume, to, state, how, "--batch-max-age", "5s", *options)


def _run(
    volume: Path, to: Path | str, state: Path, how: Mapping[str, Any] | None, *options: str
) -> list[str]:
    places = ("--volume", volume, "--to", to, "--state", state)
    if how is not None:
        config = state.with_name("joblog.yaml")  # JSON is YAML
        volumes = [{"path": str(volume), **how}]
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps({"volumes": volumes, "to": str(to), "state": str(state)}))
        places = ("--config", config)
    return joblog("run", *places, "--http", "off", "--log-level", "warning", *options)


def until(is_so: Callable[[], bool], what: str, seconds: float = 120, pause: float = 0.01) -> None:
    ends = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > ends:
            raise Failed(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)


def kind_name(kind: str) -> str:
    return f"lines of {kind} bytes" if kind.isdigit() else f"{kind} lines"
