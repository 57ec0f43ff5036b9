"""Jobs that write numbered lines until SIGTERM: `python numbered_writer.py VOLUME TAG LINES_PER_SECOND`.

They come and go, rotate by rename, write half lines and their rest later, and end with a tombstone.
Nothing is ever deleted, so that the tree itself tells afterwards what was written.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

LIVE_JOBS = 4
LARGEST_BURST = 60
PADDING = "x" * 200


class Job:
    """One Pod's directory. `path` is its main file; what was rotated away stands beside it."""

    def __init__(self, root: Path, name: str) -> None:
        self._source = root / f"shop_{name}_10.244.0.7_10.0.0.1_node-1"
        (self._source / "deeper").mkdir(parents=True)
        self._name = name
        self._number = self._rotated = 0
        self._half = ""
        self._main = (self._source / "app.log").open("a", buffering=1, newline="")
        self._other = (self._source / "deeper" / "err.log").open("a", buffering=1, newline="")

    def write(self, draw: random.Random) -> int:
        """A burst of lines, the last perhaps only by half; returns how many."""
        count = draw.randint(1, LARGEST_BURST)
        lines = "".join(self._line(draw) for _ in range(count))
        whole = self._half + lines
        cut = len(whole) if draw.random() < 0.7 else len(whole) - draw.randint(1, 8)
        self._main.write(whole[:cut])
        self._main.flush()
        self._half = whole[cut:]
        if draw.random() < 0.3:
            self._other.write(self._line(draw))
        return count

    def rotate(self) -> None:
        """Moves the main file away, with its last line whole, and begins a new one."""
        self._complete()
        self._rotated += 1
        (self._source / "app.log").rename(self._source / f"app.log.{self._rotated}")
        self._main.close()
        self._main = (self._source / "app.log").open("a", buffering=1, newline="")

    def leave(self) -> None:
        """Ends as a process does that is told to stop: whole lines, no tombstone."""
        self._complete()
        self._main.close()
        self._other.close()

    def end(self) -> None:
        self.leave()
        (self._source / "tombstone").write_text("exit 0\n")

    def _complete(self) -> None:
        self._main.write(self._half)
        self._main.flush()
        self._half = ""

    def _line(self, draw: random.Random) -> str:
        self._number += 1
        return f"{self._name} {self._number:08d} {PADDING[: draw.randint(0, len(PADDING))]}\n"


def steps(root: Path, tag: str) -> Iterator[int]:
    """Plays one step after the other and gives the number of lines each wrote; closes all at the end."""
    draw = random.Random(tag)  # noqa: S311 - the lines of a test, no secret
    jobs: list[Job] = []
    started = 0
    try:
        while True:
            if len(jobs) < LIVE_JOBS:
                jobs.append(Job(root, f"{tag}-{started}"))
                started += 1
            job = draw.choice(jobs)
            what = draw.random()
            if what < 0.04:
                jobs.remove(job)
                job.end()
            elif what < 0.10:
                job.rotate()
            yield job.write(draw) if job in jobs else 0
    finally:
        for job in jobs:
            job.leave()


def main(root: Path, tag: str, lines_per_second: float) -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    began, lines = time.monotonic(), 0
    playing = steps(root, tag)
    for count in playing:
        if stopped:
            break
        lines += count
        time.sleep(max(0.0, began + lines / lines_per_second - time.monotonic()))
    playing.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
