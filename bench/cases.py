"""The cases: each a function from a workbench to results. What is collected is counted in the export."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import boto3

from bench import data, export
from bench.limits import LIMITS
from bench.process import ROOT, Cost, Failed, cpu_seconds, joblog, resident_bytes, run, running
from bench.result import Result

KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
REGION = "us-east-1"
STARTS = 5


@dataclass(frozen=True)
class Bench:
    """Where a run keeps its data, and how large it is."""

    folder: Path
    large_bytes: int
    small_files: int
    seconds: int
    repeats: int

    def fresh(self) -> tuple[Path, Path]:
        """Empty places for an export and a state."""
        for name in ("export", "state"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        return self.folder / "export", self.folder / "state"

    def limit(self, name: str, volume: Path) -> Cost:
        """Measured once a run for each volume."""
        known = self.folder / f"{volume.name}.{name.split(maxsplit=1)[0]}.json"
        if not known.exists():
            cost = LIMITS[name](volume)
            known.write_text(json.dumps([cost.wall_seconds, cost.cpu_seconds]))
        return Cost(*json.loads(known.read_text()), 0)

    def start(self) -> float:
        """CPU seconds of a run that finds nothing, measured once a run."""
        known, empty = self.folder / "start.json", self.folder / "empty"
        if not known.exists():
            empty.mkdir()
            costs = [run(_once(empty, *self.fresh())).cpu_seconds for _ in range(STARTS)]
            known.write_text(json.dumps(min(costs)))
        return float(json.loads(known.read_text()))


Case = Callable[[Bench], Iterator[Result]]


def collect(
    bench: Bench, case: str, volume: Path, *options: str, program: str = "joblog", limit: str = "zstd -1"
) -> Result:
    """`run --once --complete` into an empty folder, the best of several by CPU seconds."""
    costs = []
    for _ in range(bench.repeats):
        to, state = bench.fresh()
        costs.append(run(_once(volume, to, state, *options)))
    rows, size = export.expected(volume)
    return Result(
        case,
        program,
        size,
        min(costs, key=lambda cost: cost.cpu_seconds),
        files=sum(1 for _ in volume.rglob("*.log")),
        out_bytes=export.out_bytes(to),
        exact=export.counted(to) == (rows, size),
        limit=limit,
        limit_cost=bench.limit(limit, volume),
        start_cpu_seconds=bench.start(),
    )


def _once(volume: Path, to: Path | str, state: Path, *options: str) -> list[str]:
    places = ("--volume", volume, "--to", to, "--state", state)
    return joblog("run", *places, "--http", "off", "--once", "--complete", "--log-level", "warning", *options)


def formats(bench: Bench) -> Iterator[Result]:
    """One large file to Parquet, raw and NDJSON."""
    volume = data.one_file(bench.folder, "access", bench.large_bytes)
    for form in ("parquet", "raw"):
        yield collect(bench, f"one file, {form}", volume, "--format", form)
    volume = data.one_file(bench.folder, "access", bench.large_bytes // 4)
    yield collect(bench, "one file, ndjson", volume, "--format", "ndjson")


def nothing(
    bench: Bench, kinds: tuple[str, ...] = ("access", "40", "190", "512", "4000")
) -> Iterator[Result]:
    """Framing and columns, into nothing: in one process of its own, which says itself what that took."""
    for kind in kinds:
        volume = data.one_file(bench.folder, kind, bench.large_bytes // 4)
        told = subprocess.run(
            [sys.executable, "-m", "bench.nothing", str(next(volume.rglob("*.log"))), str(bench.repeats)],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout
        rows, size, wall, cpu, peak = json.loads(told)
        yield Result(
            f"to nothing, {_kind(kind)}",
            "joblog",
            size,
            Cost(wall, cpu, peak),
            exact=(rows, size) == export.expected(volume),
            limit="read once",
            limit_cost=bench.limit("read once", volume),
        )


def lengths(bench: Bench) -> Iterator[Result]:
    """Lines of other lengths and kinds, as they are, to Parquet."""
    for kind in ("varied", "40", "512", "4000", "java", "json"):
        volume = data.one_file(bench.folder, kind, bench.large_bytes // 4)
        yield collect(bench, f"{_kind(kind)}, parquet", volume)


def small(bench: Bench, per_sources: tuple[int, ...] = (100, 1)) -> Iterator[Result]:
    """Many files of 20 KiB: many in each source, and each a source with a receipt of its own."""
    for per_source in per_sources:
        volume = data.many_files(bench.folder, bench.small_files, 20 << 10, per_source)
        yield collect(bench, f"{bench.small_files:,} files of 20 KiB, {per_source} a source", volume)


def growing(bench: Bench) -> Iterator[Result]:
    """1,000 files that grow at once, a block each in turn, while the collector follows."""
    files = min(1000, bench.small_files)
    volume = bench.folder / "growing"
    shutil.rmtree(volume, ignore_errors=True)
    paths = [data.source(volume, number // 10) / f"task-{number % 10}.log" for number in range(files)]
    to, state = bench.fresh()
    with running(_follow(volume, to, state)) as process:
        began, used = time.monotonic(), cpu_seconds(process.pid)
        for number, piece in enumerate(data.pieces("access", bench.large_bytes // 10, 20 << 10)):
            with paths[number % files].open("ab") as file:
                file.write(piece)
        _until_exported(to, export.expected(volume)[0])
        cost = Cost(time.monotonic() - began, cpu_seconds(process.pid) - used, resident_bytes(process.pid))
    rows, size = export.expected(volume)
    exact = export.counted(to) == (rows, size)
    yield Result(f"{files:,} files growing at once", "joblog", size, cost, files, export.out_bytes(to), exact)


def steady(bench: Bench) -> Iterator[Result]:
    """10 MB/s into one file: CPU and memory of the collector that follows."""
    volume = bench.folder / "steady"
    shutil.rmtree(volume, ignore_errors=True)
    path = data.source(volume, 0) / "app.log"
    to, state = bench.fresh()
    with running(_follow(volume, to, state)) as process, path.open("ab", buffering=0) as file:
        _until(state.exists, "the collector to start")
        began, used = time.monotonic(), cpu_seconds(process.pid)
        for number, piece in enumerate(data.pieces("access", 10_000_000 * bench.seconds, 1_000_000)):
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
    run(_once(volume, to, state))
    with running(_follow(volume, to, state)) as process:
        time.sleep(min(20, bench.seconds))  # the first look at all files
        began, used = time.monotonic(), cpu_seconds(process.pid)
        time.sleep(bench.seconds)
        cost = Cost(time.monotonic() - began, cpu_seconds(process.pid) - used, resident_bytes(process.pid))
    notes = {"percent of a core": 100 * cost.cpu_seconds / cost.wall_seconds}
    yield Result(f"idle with {bench.small_files:,} files", "joblog", 0, cost, bench.small_files, notes=notes)


def first_commit(bench: Bench) -> Iterator[Result]:
    """From the start of the process to the first object of one line, with batches of 100 ms."""
    volume = bench.folder / "one-line"
    (data.source(volume, 0) / "app.log").write_bytes(b"one line\n")
    costs = []
    for _ in range(bench.repeats):
        to, state = bench.fresh()
        began = time.monotonic()
        with running(_follow(volume, to, state, "--batch-max-age", "100ms")) as process:
            _until(lambda to=to: bool(export.objects(to)), "the first object")  # type: ignore[misc]
            took = time.monotonic() - began
            costs.append(Cost(took, cpu_seconds(process.pid), resident_bytes(process.pid)))
    yield Result("start to first commit", "joblog", 0, min(costs, key=lambda cost: cost.wall_seconds))


def checkpoint(bench: Bench) -> Iterator[Result]:
    """A start that finds all collected: the checkpoint of ten times as many files, and one look at each."""
    files = 10 * bench.small_files
    volume = data.many_files(bench.folder, files, 200, 100)
    to, state = bench.fresh()
    run(_once(volume, to, state))
    costs = [run(_once(volume, to, state)) for _ in range(bench.repeats)]
    best = min(costs, key=lambda cost: cost.cpu_seconds)
    yield Result(f"start with {files:,} known files", "joblog", 0, best, files)


def s3(bench: Bench) -> Iterator[Result]:
    """To an S3 server on this machine, a limit of its own: the same objects put with one plain client."""
    volume = data.one_file(bench.folder, "access", bench.large_bytes // 4)
    local = collect(bench, "one file, parquet, file:", volume)
    bodies = [path.read_bytes() for path in export.objects(bench.folder / "export")]
    with _s3_server() as address:
        client = boto3.Session(**{name.lower(): key for name, key in KEYS.items()}).client(
            "s3", endpoint_url=address, region_name=REGION
        )
        client.create_bucket(Bucket="bench")
        began = time.monotonic()
        for number, body in enumerate(bodies):
            client.put_object(Bucket="bench", Key=f"plain/{number}", Body=body)
        plain = Cost(time.monotonic() - began, 0.0, 0)
        costs = []
        for number in range(bench.repeats):
            _, state = bench.fresh()
            places = _once(volume, f"s3://bench/{number}", state)
            costs.append(
                run(
                    places, environment={**KEYS, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL_S3": address}
                )
            )
    best = min(costs, key=lambda cost: cost.wall_seconds)
    slower = max(local.cost.wall_seconds, plain.wall_seconds)
    notes = {"of the slower of file: and plain puts": slower / best.wall_seconds}
    yield local
    yield replace(local, case="one file, parquet, s3:", cost=best, exact=None, notes=notes)


def receipts(bench: Bench) -> Iterator[Result]:
    """Without `--complete` no receipt is written; the running hash of each file is still kept."""
    volume = data.many_files(bench.folder, bench.small_files, 20 << 10, 100)
    to, state = bench.fresh()
    cost = run([part for part in _once(volume, to, state) if part != "--complete"])
    yield Result(
        f"{bench.small_files:,} files of 20 KiB, no receipts",
        "joblog",
        export.expected(volume)[1],
        cost,
        bench.small_files,
        export.out_bytes(to),
        export.counted(to) == export.expected(volume),
    )


def two_shards(bench: Bench) -> Iterator[Result]:
    """Two shards on two cores, against one."""
    volume = data.many_files(bench.folder, 20, bench.large_bytes // 40, 1)
    one = collect(bench, "20 files, one shard", volume)
    two = collect(bench, "20 files, two shards", volume, "--shards", "2")
    yield one
    yield replace(two, notes={"times one": one.cost.wall_seconds / two.cost.wall_seconds})


CASES: dict[str, Case] = {
    "formats": formats,
    "nothing": nothing,
    "lengths": lengths,
    "small": small,
    "receipts": receipts,
    "growing": growing,
    "shards": two_shards,
    "s3": s3,
    "first-commit": first_commit,
    "checkpoint": checkpoint,
    "idle": idle,
    "steady": steady,
}

QUICK: dict[str, Case] = {
    "formats": formats,
    "nothing": partial(nothing, kinds=("access",)),
    "small": partial(small, per_sources=(100,)),
}


def _follow(volume: Path, to: Path, state: Path, *options: str) -> list[str]:
    places = ("--volume", volume, "--to", to, "--state", state)
    return joblog(
        "run", *places, "--http", "off", "--log-level", "warning", "--batch-max-age", "5s", *options
    )


def _until(is_so: Callable[[], bool], what: str, seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > ends:
            raise Failed(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.01)


def _until_exported(to: Path, rows: int) -> None:
    def is_there() -> bool:
        records = to.glob("_joblog/commits/*/*/*.json")
        return sum(json.loads(path.read_bytes()).get("rows", 0) for path in records) >= rows

    _until(is_there, "all rows")


def _kind(kind: str) -> str:
    return f"lines of {kind} bytes" if kind.isdigit() else f"{kind} lines"


@contextmanager
def _s3_server() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until(lambda: _listens(port), "the S3 server")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
