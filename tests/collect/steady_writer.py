"""Jobs that write at a steady rate: `python steady_writer.py VOLUME BYTES_PER_SECOND SECONDS`.

One after the other, each fills a file of 256 MiB, or what is left, and ends with a tombstone.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

FILE_BYTES = 256 << 20
BLOCK_BYTES = 1 << 20
PATHS = [f"/api/v1/{name}/{number}" for name in ("orders", "items", "users") for number in range(300)]


def block(draw: random.Random) -> bytes:
    """Lines as servers write them, of 80 to 120 bytes."""
    lines, size = [], 0
    while size < BLOCK_BYTES:
        status, took = draw.choice((200, 200, 200, 404, 500)), draw.randrange(10**4)
        line = (
            f"2026-11-22T09:00:00.{draw.randrange(10**6):06d}Z INFO {draw.choice(PATHS)} {status} {took} ms"
        )
        lines.append(line + " request completed, connection kept\n")
        size += len(lines[-1])
    return "".join(lines).encode()


def main(volume: Path, bytes_per_second: float, seconds: float) -> None:
    draw = random.Random(1)  # noqa: S311 - the lines of a test, no secret
    blocks = [block(draw) for _ in range(16)]
    began, written, job = time.monotonic(), 0, 0
    while (left := int(bytes_per_second * seconds) - written) > 0:
        source = volume / f"shop_steady-{job}_10.244.0.7_10.0.0.1_node-1"
        source.mkdir()
        with (source / "app.log").open("wb", buffering=0) as log:
            for number in range(min(FILE_BYTES, left) // BLOCK_BYTES + 1):
                written += log.write(b"job %d block %d\n" % (job, number) + draw.choice(blocks))
                time.sleep(max(0.0, began + written / bytes_per_second - time.monotonic()))
        (source / "tombstone").write_text("exit 0\n")
        job += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
