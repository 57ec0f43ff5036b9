"""What no collector can beat, measured in the same run: the compressor, or reading, over the same bytes."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa

from bench.process import Cost

BLOCK_BYTES = 8 << 20


def zstd(volume: Path) -> Cost:
    """The library at level 1 in one thread, over all files in blocks of 8 MiB, as they are read."""
    return _timed(volume, pa.Codec("zstd", 1).compress)


def reading(volume: Path) -> Cost:
    """Reading the bytes once, from memory where they are cached, in one thread."""
    return _timed(volume, len)


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
