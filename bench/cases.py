"""The cases: each a function from a workbench to results. What is collected is checked in the export."""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from bench import data, exact, export, finding, following, line_features
from bench.cores import two_cores
from bench.memory import in_memory
from bench.process import ROOT, Cost, cpu_seconds, run
from bench.result import Result
from bench.targets import BESIDE_ITS_BYTES
from bench.workbench import Bench, Case, best, collect, kind_name, once, until

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
REGION = "us-east-1"


def formats(bench: Bench, kinds: tuple[str, ...] = ("varied", "access")) -> Iterator[Result]:
    """One large file to Parquet, raw and NDJSON."""
    for kind in kinds:
        volume = data.one_file(bench.folder, kind, bench.large_bytes)
        yield collect(bench, f"one file, parquet, {kind} lines", volume, check=exact.text())
        yield collect(bench, f"one file, raw, {kind} lines", volume, "--format", "raw")
        yield collect(bench, f"one file, ndjson, {kind} lines", volume, "--format", "ndjson")


def nothing(
    bench: Bench, kinds: tuple[str, ...] = ("varied", "access", "40", "190", "512", "4000")
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
            f"to nothing, {kind_name(kind)}",
            "joblog",
            size,
            Cost(wall, cpu, peak),
            exact=(rows, size) == export.expected(volume),
            limit="read once",
            limit_cost=bench.limit("read once", volume),
        )


def lengths(bench: Bench) -> Iterator[Result]:
    """Lines of other lengths and kinds, as they are, to Parquet."""
    for kind in ("40", "512", "4000", "json"):
        volume = data.one_file(bench.folder, kind, bench.large_bytes // 4)
        yield collect(bench, f"{kind_name(kind)}, parquet", volume, check=exact.text())


def small(bench: Bench, per_sources: tuple[int, ...] = (100, 1)) -> Iterator[Result]:
    """Many files of 20 KiB: many in each source, and each a source with a receipt of its own. What a file
    takes beside its bytes is told by a run over the same bytes in one file.
    """
    for per_source in per_sources:
        volume = data.many_files(bench.folder, bench.small_files, 20 << 10, per_source)
        many = collect(bench, f"{bench.small_files:,} files of 20 KiB, {per_source} a source", volume)
        whole = data.as_one_file(volume)
        with in_memory(whole):
            one = min(run(once(whole, *bench.fresh())).cpu_seconds for _ in range(bench.repeats))
        yield replace(many, notes={BESIDE_ITS_BYTES: 1e6 * (many.cost.cpu_seconds - one) / many.files})


def receipts(bench: Bench) -> Iterator[Result]:
    """With and without, in turn: without, no file is hashed either. There is no setting for that, so a
    program of this folder leaves it out. What counts is the median of the ratios of pairs.
    """
    for name, volume in (
        ("one file", data.one_file(bench.folder, "varied", bench.large_bytes // 4)),
        (f"{bench.small_files:,} files", data.many_files(bench.folder, bench.small_files, 20 << 10, 100)),
    ):
        sources = len(list(volume.iterdir()))
        pairs, costs = [], dict[str, Cost]()
        for number in range(bench.repeats + 1):
            pair = dict[str, Cost]()
            for switch in ("off", "on") if number % 2 else ("on", "off"):
                to, state = bench.fresh()
                command = once(volume, to, state)
                with in_memory(volume):
                    pair[switch] = run(command if switch == "on" else _without_receipts(command))
                written = len(list(to.glob("_joblog/receipts/*/*.json")))
                right = written == (sources if switch == "on" else 0) and exact.counted(to, volume)
                if number:  # the first pair warms the caches
                    costs[switch] = best(costs.get(switch), pair[switch])
            pairs += [pair] if number else []
        size, out = export.expected(volume)[1], export.out_bytes(to)
        more = statistics.median(pair["on"].cpu_seconds / pair["off"].cpu_seconds - 1 for pair in pairs)
        files = sum(1 for _ in volume.rglob("*.log"))
        for switch, notes in (("off", {}), ("on", {"% more CPU than off": 100 * more})):
            case = f"receipts {switch}, {name}"
            yield Result(case, "joblog", size, costs[switch], files, out, right, notes=notes)


def _without_receipts(command: list[str]) -> list[str]:
    kept = [part for part in command if part != "--complete"]
    return [part if part != "collector" else "bench.without_receipts" for part in kept]


def s3(bench: Bench) -> Iterator[Result]:
    """To an S3 server on this machine, a limit of its own: the same objects put with one plain client."""
    volume = data.one_file(bench.folder, "varied", bench.large_bytes)
    local = collect(bench, "one file, parquet, file:", volume)
    bodies = [path.read_bytes() for path in export.objects(bench.folder / "export")]
    with _s3_server() as (address, server):
        client = boto3.Session(**{name.lower(): key for name, key in KEYS.items()}).client(
            "s3", endpoint_url=address, region_name=REGION
        )
        client.create_bucket(Bucket="bench")
        began = time.monotonic()
        for number, body in enumerate(bodies):
            client.put_object(Bucket="bench", Key=f"plain/{number}", Body=body)
        plain = Cost(time.monotonic() - began, 0.0, 0)
        cost: Cost | None = None
        served: list[float] = []
        for number in range(bench.repeats):
            _, state = bench.fresh()
            before = cpu_seconds(server)
            environment = {**KEYS, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL_S3": address}
            with in_memory(volume):
                cost = best(cost, run(once(volume, f"s3://bench/{number}", state), environment=environment))
            served.append(cpu_seconds(server) - before)
            fetched = _fetched(client, f"{number}/data/", bench.folder / "fetched")
    if cost is None:
        return
    slower = max(local.cost.wall_seconds, plain.wall_seconds)
    notes = {
        "of the slower of file: and plain puts": slower / cost.wall_seconds,
        "CPU seconds of the server": min(served),
        "of the least that two cores need for both": (cost.cpu_seconds + min(served)) / 2 / cost.wall_seconds,
    }
    yield local
    yield replace(
        local, case="one file, parquet, s3:", cost=cost, exact=exact.counted(fetched, volume), notes=notes
    )


def _fetched(client: S3Client, prefix: str, to: Path) -> Path:
    """The objects below the prefix, in an empty folder."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix=prefix)
    for key in (each["Key"] for page in pages for each in page.get("Contents", ())):
        (to / key.rpartition("/")[2]).write_bytes(client.get_object(Bucket="bench", Key=key)["Body"].read())
    return to


CASES: dict[str, Case] = {
    "formats": formats,
    "nothing": nothing,
    "lengths": lengths,
    "multiline": line_features.multiline,
    "cri": line_features.cri,
    "regex": line_features.regex,
    "json": line_features.json_lines,
    "redaction": line_features.redaction,
    "small": small,
    "receipts": receipts,
    "cores": two_cores,
    "s3": s3,
    "growing": following.growing,
    "first-commit": following.first_commit,
    "checkpoint": following.checkpoint,
    "idle": following.idle,
    "steady": following.steady,
    **finding.CASES,
}

QUICK: dict[str, Case] = {
    "formats": partial(formats, kinds=("varied",)),
    "small": partial(small, per_sources=(100,)),
    "line features": line_features.quick,
}


@contextmanager
def _s3_server() -> Iterator[tuple[str, int]]:
    """Its address, and the number of its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _listens(port), "the S3 server")
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
