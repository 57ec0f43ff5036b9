"""Jobs that write numbered lines until SIGTERM: `python chaos_writer.py VOLUME TAG BYTES_PER_SECOND SEED`.

They come and go in bursts, rotate by rename and by copy and cut, write half lines and their rest later, end
with a tombstone, and sometimes write on after it. Nothing is ever deleted. One thread writes and rotates, so
that no line falls between a copy and its cut. At the end it prints its lines and rotations.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

LIVE_JOBS = 6
LARGEST_BURST = 200
NUMBER_DIGITS = 10


def line(tag: str, number: int) -> str:
    """Line `number` of a writer whose tag has 4 characters. Its length follows from its number."""
    return f"{tag} {number:0{NUMBER_DIGITS}d} {'x' * padding(number)}\n"


def padding(number: int) -> int:
    return number * 7919 % 241


class Numbers:
    """Counts the lines of one writer process."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self.lines = self.rotations = self.bytes = 0

    def next(self, count: int) -> str:
        text = "".join(line(self._tag, number) for number in range(self.lines, self.lines + count))
        self.lines += count
        self.bytes += len(text)
        return text


class Job:
    """One Pod's directory. `app.log` is its main file; what was rotated away stands beside it."""

    def __init__(self, source: Path, numbers: Numbers) -> None:
        source.mkdir()
        self._source, self._numbers = source, numbers
        self._rotated = 0
        self._half = ""
        self._main = self._open()

    def write(self, draw: random.Random) -> None:
        """A burst of lines, the last perhaps only by half."""
        whole = self._half + self._numbers.next(draw.randint(1, LARGEST_BURST))
        cut = len(whole) if draw.random() < 0.7 else len(whole) - draw.randint(1, 8)
        self._main.write(whole[:cut])
        self._main.flush()
        self._half = whole[cut:]

    def write_aside(self, draw: random.Random) -> None:
        (self._source / "deeper").mkdir(exist_ok=True)
        with (self._source / "deeper" / f"err-{draw.randint(0, 3)}.log").open("a") as file:
            file.write(self._numbers.next(draw.randint(1, 5)))

    def move(self) -> None:
        """Rotation by rename, with the last line whole."""
        self._complete()
        self._log.rename(self._backup())
        self._main.close()
        self._main = self._open()

    def copy(self) -> None:
        """Rotation by copy and cut."""
        self._complete()
        shutil.copyfile(self._log, self._backup())
        self._main.truncate(0)

    def leave(self) -> None:
        self._complete()
        self._main.close()

    def end(self) -> None:
        self.leave()
        (self._source / "tombstone").write_text("exit 0\n")

    def write_late(self, draw: random.Random) -> None:
        """Some lines more, after the end."""
        with self._log.open("a") as file:
            file.write(self._numbers.next(draw.randint(1, 20)))

    @property
    def _log(self) -> Path:
        return self._source / "app.log"

    def _backup(self) -> Path:
        self._rotated += 1
        self._numbers.rotations += 1
        return self._source / f"app.log.{self._rotated}"

    def _open(self):
        return self._log.open("a", newline="")

    def _complete(self) -> None:
        self._main.write(self._half)
        self._main.flush()
        self._half = ""


def play(root: Path, tag: str, numbers: Numbers, draw: random.Random) -> Iterator[None]:
    """One step after the other; closes all at the end."""
    jobs: list[Job] = []
    ended: list[Job] = []
    started = 0
    try:
        while True:
            while len(jobs) < LIVE_JOBS:
                jobs.append(Job(root / f"shop_{tag}-{started}_10.244.0.7_10.0.0.1_node-1", numbers))
                started += 1
            job = draw.choice(jobs)
            what = draw.random()
            if what < 0.02:
                jobs.remove(job)
                job.end()
                ended = [*ended[-3:], job]
            elif what < 0.05:
                job.move()
            elif what < 0.08:
                job.copy()
            elif what < 0.085 and ended:
                draw.choice(ended).write_late(draw)
            elif what < 0.15:
                job.write_aside(draw)
            else:
                job.write(draw)
            yield
    finally:
        for job in jobs:
            job.leave()


def main(root: Path, tag: str, bytes_per_second: float, seed: str) -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    numbers, draw = Numbers(tag), random.Random(seed)  # noqa: S311 - the lines of a test, no secret
    began = time.monotonic()
    playing = play(root, tag, numbers, draw)
    for _ in playing:
        if stopped:
            break
        ahead = began + numbers.bytes / bytes_per_second - time.monotonic()
        if ahead > 0:
            time.sleep(ahead + draw.choice([0.0, 0.0, 0.0, 0.5]))  # in bursts
    playing.close()
    sys.stdout.write(json.dumps({"lines": numbers.lines, "rotations": numbers.rotations}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4])
