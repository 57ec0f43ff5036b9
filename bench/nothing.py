"""Reads, frames and makes the message column of one file: prints rows, bytes, seconds and memory.

python -m bench.nothing FILE REPEATS
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time

import numpy as np

from bench.process import resident_bytes
from collector.budget import ARENAS, LARGEST_GROUP_BYTES
from collector.intake.frame import frame
from collector.rows.utf8 import messages

MAX_LINE_BYTES = 1 << 20


def main(path: str, repeats: int) -> None:
    memory = mmap.mmap(-1, LARGEST_GROUP_BYTES // ARENAS)
    wall, cpu = [], []
    for _ in range(repeats + 1):  # the first one warms the caches
        began, used = time.monotonic(), time.process_time()
        rows, size = through(path, memory)
        wall.append(time.monotonic() - began)
        cpu.append(time.process_time() - used)
    peak = resident_bytes(os.getpid())
    sys.stdout.write(json.dumps([rows, size, min(wall[1:]), min(cpu[1:]), peak]))


def through(path: str, memory: mmap.mmap) -> tuple[int, int]:
    arena, view = np.frombuffer(memory, np.uint8), memoryview(memory)
    descriptor = os.open(path, os.O_RDONLY)
    rows = at = 0
    while got := os.preadv(descriptor, [view], at):
        lines = frame(arena, np.array([0]), np.array([got]), np.array([False]), MAX_LINE_BYTES)
        messages(arena, lines)
        rows += len(lines.starts)
        at += int(lines.consumed[0])
    os.close(descriptor)
    return rows, at


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
