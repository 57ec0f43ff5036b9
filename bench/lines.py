"""What records of several lines, CRI logs and redaction cost: `python bench/lines.py [MIB]`.

Each case frames, batches and encodes bytes in memory as a shard does, in arenas of 15 MiB, into Parquet
(zstd level 1), with the SHA-256 of what is read. Its limit is `zstd -1` over the same bytes in the same
process, in one thread. CPU seconds are compared pair by pair; the median of the ratios counts.
"""

from __future__ import annotations

import hashlib
import random
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from collector.intake.frame import line_feeds
from collector.intake.framing import framing
from collector.model import BatchSettings, Evidence, FileId, Origin, Redaction, Take
from collector.rows.batch import Batch

MIB = 1 << 20
ARENA_BYTES = 15 * MIB
RUNS = 5
PLAIN = BatchSettings("subpath", "parquet", "zstd", MIB)


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    settings: BatchSettings


@dataclass(frozen=True)
class Cost:
    """`ratio` is the speed relative to `zstd -1` over the same bytes, both by CPU seconds."""

    name: str
    bytes: int
    rows: int
    mb_per_cpu_second: float
    zstd_mb_per_cpu_second: float
    ratio: float


def cases(size: int, seed: int = 7) -> list[Case]:
    access, traces, cri = access_lines(size, seed), java_traces(size, seed), cri_lines(size, seed)
    dated = BatchSettings("subpath", "parquet", "zstd", MIB, multiline=r"^\d{4}-\d\d-\d\d")
    other = BatchSettings("subpath", "parquet", "zstd", MIB, multiline=r"^\d{4}-\d\d-\d\d.*(?:INFO|ERROR)")
    decoded = BatchSettings("kubelet", "parquet", "zstd", MIB, line_format="cri")
    keys = BatchSettings(
        "subpath", "parquet", "zstd", MIB, redact=(Redaction("AKIA[0-9A-Z]{16}", "[aws-key]"),)
    )
    mail = BatchSettings(
        "subpath", "parquet", "zstd", MIB, redact=(Redaction(r"[\w.]+@[\w.]+\.\w+", "[mail]"),)
    )
    return [
        Case("plain lines", access, PLAIN),
        Case("multi-line", traces, dated),
        Case("multi-line, general pattern", traces, other),
        Case("CRI", cri, decoded),
        Case("CRI with partial lines", cri_lines(size, seed, partial=0.1), decoded),
        Case("redaction, a prefix", access, keys),
        Case("redaction, no prefix", access, mail),
    ]


def access_lines(size: int, seed: int) -> bytes:
    """Lines of an access log, about 190 bytes each."""
    rng = random.Random(seed)  # noqa: S311 - data, no secret
    lines = [
        f"10.{rng.randrange(256)}.{rng.randrange(256)}.7 - - "
        f"[22/Nov/2026:09:{rng.randrange(60):02d}:07 +0000] "
        f'"GET /orders/{rng.randrange(10**9)}?page={rng.randrange(99)} HTTP/1.1" 200 {rng.randrange(10**5)} '
        f'"https://shop.example/cart" "Mozilla/5.0 (X11; Linux x86_64) Chrome/1{rng.randrange(99)}.0"\n'
        for _ in range(20_000)
    ]
    return _repeated("".join(lines).encode(), size)


def java_traces(size: int, seed: int) -> bytes:
    """A third of the records has a stack trace of 5 to 30 lines."""
    rng = random.Random(seed)  # noqa: S311
    records = []
    for number in range(6000):
        records.append(
            f"2026-11-22 09:{number // 100:02d}:{number % 60:02d}.{rng.randrange(1000):03d} INFO  "
            f"[worker-{rng.randrange(9)}] c.e.shop.Orders - order {rng.randrange(10**9)} "
            f"took {rng.randrange(900)} ms\n"
        )
        if rng.random() < 0.33:
            records.append(f"java.lang.IllegalStateException: no stock for {rng.randrange(10**6)}\n")
            records += [
                f"\tat com.example.shop.{rng.choice(('Orders', 'Stock', 'Cart'))}.call{rng.randrange(40)}"
                f"(Shop.java:{rng.randrange(900)})\n"
                for _ in range(rng.randrange(5, 30))
            ]
    return _repeated("".join(records).encode(), size)


def cri_lines(size: int, seed: int, partial: float = 0.0) -> bytes:
    """Lines as containerd writes them, about 190 bytes each, zeros at the ends of times left out."""
    rng = random.Random(seed)  # noqa: S311
    messages = access_lines(1 * MIB, seed).decode().splitlines()
    lines = []
    for number, message in enumerate(messages):
        moment = f"2026-11-22T09:00:{number // 200 % 60:02d}.{rng.randrange(10**9):09d}".rstrip("0") + "Z"
        stream = "stderr" if rng.random() < 0.2 else "stdout"
        tag = "P" if rng.random() < partial else "F"
        lines.append(f"{moment} {stream} {tag} {message[:145]}\n")
    return _repeated("".join(lines).encode(), size)


def _repeated(block: bytes, size: int) -> bytes:
    return block * max(1, size // len(block))


def encode(case: Case, pool: ThreadPoolExecutor) -> int:
    """Makes the object of the case's bytes; returns its rows."""
    frame, batch = framing(case.settings), Batch(case.settings, (), pool)
    file, origin = FileId("shop_mill-x6nnw", "app.log", 0), Origin("shop_mill-x6nnw")
    everything, start, prefix = np.frombuffer(case.data, np.uint8), 0, hashlib.sha256()
    arena = np.empty(ARENA_BYTES, np.uint8)
    while start < len(everything):
        length = min(ARENA_BYTES, len(everything) - start)
        arena[:length] = everything[start : start + length]
        final = np.array([start + length == len(everything)])
        lines = frame(arena, np.zeros(1, np.int64), np.array([length]), final, case.settings.max_line_bytes)
        end = start + int(lines.consumed[0])
        prefix.update(memoryview(arena)[: end - start])
        rows, feeds = len(lines.starts), int(line_feeds(lines)[0])
        evidence = Evidence(1, 2, 0, "", 0, "", prefix.hexdigest())
        take = Take(file, "app.log", origin, 0, start, end, rows, feeds, True, evidence)
        batch.catch_up()
        batch.add(arena, lines, [take], 0)
        start = end
    sealed = batch.seal()
    sealed.body.result()
    return sealed.rows


def compress(data: bytes) -> None:
    """The limit: `zstd -1` over the same bytes, in blocks of a MiB."""
    codec, view = pa.Codec("zstd", compression_level=1), memoryview(data)
    for start in range(0, len(data), MIB):
        codec.compress(view[start : start + MIB])


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def measured(case: Case, runs: int = RUNS) -> Cost:
    with ThreadPoolExecutor(1) as pool:
        rows = encode(case, pool)
        pairs = [
            (cpu_seconds(lambda: encode(case, pool)), cpu_seconds(lambda: compress(case.data)))
            for _ in range(runs)
        ]
    size = len(case.data)
    spent, limit = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(zstd / seconds for seconds, zstd in pairs)
    return Cost(case.name, size, rows, size / 1e6 / spent, size / 1e6 / limit, ratio)


def main(size_mib: int) -> None:
    print(f"{'case':30} {'rows':>9} {'MB/CPU s':>9} {'zstd -1':>9} {'ratio':>6}")  # noqa: T201 - a table for people
    for case in cases(size_mib * MIB):
        cost = measured(case)
        speeds = f"{cost.mb_per_cpu_second:9.0f} {cost.zstd_mb_per_cpu_second:9.0f} {cost.ratio:6.2f}"
        print(f"{cost.name:30} {cost.rows:9d} {speeds}")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64)
