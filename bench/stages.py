"""Where the CPU goes: what each step on the way of a large file into objects takes, all in one thread.

python -m bench.stages CASE FILE

It is the collector's own code, called step by step in the sizes in which it works; threads that wait for each
other, the start of the process and what is done once a batch are not in it.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from xxhash import xxh3_128

from bench import data
from bench.line_features import CHAIN, COLUMNS, START
from bench.memory import in_memory
from bench.process import ROOT, Cost
from bench.result import Result
from bench.workbench import Bench
from collector.budget import ARENAS, LARGEST_GROUP_BYTES, LEAST_LINE_BYTES
from collector.intake.frame import SCAN_BYTES, first_line_feeds
from collector.intake.framing import framing
from collector.model import BatchSettings, Evidence, FileId, Lines, Origin, ParseSettings, Take
from collector.rows.batch import ENCODE_BYTES, part_of
from collector.rows.columns import columns_of
from collector.rows.encode import Encoder, encoder
from collector.rows.packed import PAGE_BYTES
from collector.rows.parse.parser import Parser
from collector.rows.table import Part
from collector.sink.direct import write_whole

MAX_LINE_BYTES = 1 << 20
OBJECT_BYTES = 40 << 20
"""When an object is put: about what the collector makes of 64 MiB."""

WARM_BYTES = 64 << 20

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "parquet, varied lines": ("varied", {}),
    "raw, varied lines": ("varied", {"format": "raw"}),
    "CRI, varied lines": ("cri:varied", {"line_format": "cri"}),
    "multi-line (java traces)": ("java", {"multiline": f"^{START}"}),
    "regex, varied lines": (
        "varied",
        {"parse": ParseSettings(COLUMNS, regex=CHAIN, keep_message=False)},
    ),
}
"""Data, and how it is collected, where not as plain lines into Parquet."""

READ, FRAME, FILE_HASH, SPAN_HASH = (
    "read",
    "find and frame lines",
    "SHA-256 of the file",
    "XXH3 of the span",
)
ROWS, CONTENT_HASH, ZSTD = "rows into columns, check UTF-8", "XXH3 of changed rows", "zstd -1"
PARSE, ENCODE = "fields of rows", "the format beside zstd"
JOIN, WRITE = "join row groups", "write the object"
STAGES = (READ, FRAME, FILE_HASH, SPAN_HASH, ROWS, CONTENT_HASH, PARSE, ZSTD, ENCODE, JOIN, WRITE)


def stages(bench: Bench) -> Iterator[Result]:
    """A result for each case, with what its stages took: the least of some runs."""
    for case, (kind, *_) in CASES.items():
        volume = data.one_file(bench.folder, kind, bench.large_bytes // 4)
        path = next(volume.rglob("*.log"))
        with in_memory(volume):
            runs = [_run(case, path) for _ in range(bench.repeats)]
        least = {stage: min(run[stage] for run in runs) for stage in STAGES}
        size = path.stat().st_size
        cpu_seconds = sum(least.values()) * size / 1e9
        cost = Cost(cpu_seconds, cpu_seconds, 0)
        limit_cost = bench.limit("zstd -1", volume)
        yield Result(case, "joblog", size, cost, limit="zstd -1", limit_cost=limit_cost, stages=least)


def _run(case: str, path: Path) -> dict[str, float]:
    told = subprocess.run(
        [sys.executable, "-m", "bench.stages", case, str(path)], cwd=ROOT, check=True, capture_output=True
    ).stdout
    return dict(json.loads(told))


class Stages:
    """Nanoseconds of CPU since the last mark go to the stage that is marked."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._at = time.thread_time_ns()

    def mark(self, stage: str | None) -> None:
        """None: to no stage."""
        now = time.thread_time_ns()
        if stage is not None:
            self.spent[stage] += now - self._at
        self._at = time.thread_time_ns()


def main(case: str, path: str) -> None:
    usual: dict[str, Any] = {"layout": "", "format": "parquet", "compression": "zstd"}
    settings = BatchSettings(**{**usual, "max_line_bytes": MAX_LINE_BYTES, **CASES[case][1]})
    through(settings, path, WARM_BYTES)  # what comes first is slower
    spent, size = through(settings, path, sys.maxsize)
    sys.stdout.write(json.dumps({stage: spent[stage] / size for stage in STAGES}))


def through(settings: BatchSettings, path: str, most: int) -> tuple[Counter[str], int]:
    """What the stages took for the file, or about `most` bytes of it, in nanoseconds; and how many bytes."""
    arena_bytes = LARGEST_GROUP_BYTES // ARENAS
    memory = mmap.mmap(-1, arena_bytes)
    arena, view = np.frombuffer(memory, np.uint8), memoryview(memory)
    scratch = np.empty(SCAN_BYTES, np.bool_)
    frame, target = framing(settings), _Target(settings)
    of_file, of_span, of_rows = hashlib.sha256(), xxh3_128(), xxh3_128()
    descriptor, at, taking = os.open(path, os.O_RDONLY), 0, Stages()
    while at < most and (got := os.preadv(descriptor, [view], at)):
        taking.mark(READ)
        found = first_line_feeds(arena[:got], arena_bytes // LEAST_LINE_BYTES, scratch)
        final = np.array([got < arena_bytes])  # what is open at the end of the file is a row, too
        lines = frame(arena, np.array([0]), np.array([got]), final, MAX_LINE_BYTES, found=found)
        taking.mark(FRAME)
        consumed = int(lines.consumed[0])
        of_file.update(view[:consumed])
        taking.mark(FILE_HASH)
        of_span.update(view[:consumed])
        taking.mark(SPAN_HASH)
        columns = columns_of(arena, lines, settings)
        take = _take(at, consumed, lines)
        target.parts.append(part_of(arena, lines, [take], 0, columns))
        taking.mark(ROWS)
        if columns.content is not None:
            of_rows.update(columns.content_of(0, take.rows))
            taking.mark(CONTENT_HASH)
        at += consumed
        target.encode(taking)
        taking.mark(None)
    os.close(descriptor)
    taking.spent[ENCODE] -= taking.spent[ZSTD] + taking.spent[PARSE]
    return taking.spent, at


class _Target:
    """Rows on their way into objects."""

    def __init__(self, settings: BatchSettings) -> None:
        self.parts: list[Part] = []
        self._settings = settings
        self._encoder: Encoder = encoder(settings, ())
        self._parser = Parser(settings.parse) if settings.parse else None
        self._codec = pa.Codec("zstd", 1)

    def encode(self, taking: Stages) -> None:
        if sum(part.bytes for part in self.parts) < ENCODE_BYTES - len(self.parts) * MAX_LINE_BYTES:
            return
        taking.mark(None)
        step = self._encoder.prepare(self.parts)
        taking.mark(ENCODE)
        step()
        is_raw = self._settings.format == "raw"
        taking.mark(ENCODE if is_raw else JOIN)
        if self._parser:
            for part in self.parts:
                self._parser.parse(part.message)
        taking.mark(PARSE)
        plain = self._not_compressed()
        taking.mark(None)
        for at in range(0, len(plain), PAGE_BYTES):
            self._codec.compress(plain[at : at + PAGE_BYTES])
        taking.mark(ZSTD)
        self.parts = []
        if self._encoder.made[0] >= OBJECT_BYTES:
            self._put(taking)

    def _not_compressed(self) -> memoryview:
        """What the compressor gets, about."""
        plain = encoder(replace(self._settings, compression="none"), ())
        plain.prepare(self.parts)()
        return plain.finish(())

    def _put(self, taking: Stages) -> None:
        body = self._encoder.finish(())
        taking.mark(JOIN)
        with tempfile.TemporaryFile() as file:
            write_whole(file.fileno(), body)
        taking.mark(WRITE)
        self._encoder = encoder(self._settings, ())


def _take(at: int, consumed: int, lines: Lines) -> Take:
    origin = Origin(
        "shop_orders_10.244.0.7_10.0.0.1_node", True, "shop", "orders", "orders-0", pod_ip="10.244.0.7"
    )
    return Take(
        file=FileId(origin.source, "app.log", 0),
        name="app.log",
        origin=origin,
        at=0,
        start=at,
        end=at + consumed,
        rows=len(lines.starts),
        line_feeds=len(lines.starts),
        terminated=True,
        evidence=Evidence(0, 0, 0, "", 0, ""),
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
