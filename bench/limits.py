"""What no collector can beat, measured in the same run: the compressor, or reading, over the same bytes."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa

from bench.process import Cost

BLOCK_BYTES = 8 << 20
REPEATS = 3


def zstd(volume: Path) -> Cost:
    """zstd level 1 in one thread, over all files: of three tries the one with the least CPU seconds."""
    codec = pa.Codec("zstd", 1)
    return min((_timed(volume, codec.compress) for _ in range(REPEATS)), key=_cpu)


def reading(volume: Path) -> Cost:
    """Reading the bytes once, from memory where they are cached, in one thread."""
    return min((_timed(volume, len) for _ in range(REPEATS)), key=_cpu)


LIMITS = {"zstd -1": zstd, "read once": reading}


def _timed(volume: Path, use) -> Cost:  # noqa: ANN001 - any function of a block
    memory, wall, cpu = bytearray(BLOCK_BYTES), 0.0, 0.0
    for path in sorted(volume.rglob("*.log")):
        with path.open("rb", buffering=0) as file:
            began, used = time.monotonic(), time.thread_time()
            while size := file.readinto(memory):
                use(memoryview(memory)[:size])
            wall, cpu = wall + time.monotonic() - began, cpu + time.thread_time() - used
    return Cost(wall, cpu, 0)


def _cpu(cost: Cost) -> float:
    return cost.cpu_seconds
