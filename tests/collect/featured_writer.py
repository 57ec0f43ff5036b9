"""Jobs whose lines are parsed, joined, decoded and redacted: `python featured_writer.py ROOT SEED RATE`.

RATE is in steps per second. Below ROOT is a volume for each feature. What is written is cut anywhere, also in
the middle of a character or a header; files rotate by rename; Jobs end with a tombstone. Nothing is ever
deleted, so that the trees themselves tell afterwards what was written. Secrets never go beyond one line.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

FEATURES = ("parse", "multiline", "cri")
LIVE_JOBS = 3
SECRET = "AKIA0123456789ABCDEF"  # noqa: S105 - of nobody
UID = "1c9a5b1e-0f6e-4c55-9a3d-6d2b7f6f0a"


def text(draw: random.Random) -> str:
    """Some words, now and then with what is to be redacted, or beyond ASCII."""
    words = [
        draw.choice(("order", "café", "x" * draw.randint(1, 60), "7")) for _ in range(draw.randint(1, 6))
    ]
    return " ".join([*words, SECRET] if draw.random() < 0.2 else words)


def parsed(name: str, number: int, draw: random.Random) -> bytes:
    """A line of the known form; a tenth is of none, or no UTF-8."""
    if draw.random() < 0.1:
        return f"{name} {number:08d} no form\n".encode() + draw.choice((b"", b"\xff\xfe bytes\n"))
    return f"{name} {number:08d} {draw.choice((200, 404))} {text(draw)}\n".encode()


def record(name: str, number: int, draw: random.Random) -> bytes:
    """A first line and now and then a trace."""
    first = f"2026-11-22 {name} {number:08d} {text(draw)}\n"
    trace = [f"\tat a.b.C{depth}({text(draw)})\n" for depth in range(draw.choice((0, 0, 3, 40)))]
    return "".join([first, *trace]).encode()


def decoded(name: str, number: int, draw: random.Random) -> bytes:
    """A line of JSON of a container, perhaps in parts with lines of the other stream between them."""
    line = json.dumps({"n": number, "name": name, "text": text(draw)}, ensure_ascii=False).encode()
    stream, other = draw.sample(("stdout", "stderr"), 2)
    parts = [line]
    if draw.random() < 0.4 and SECRET.encode() not in line:
        parts = [line[at : at + 40] for at in range(0, len(line), 40)]
    written = []
    for at, part in enumerate(parts):
        if at and draw.random() < 0.3:
            written.append(_framed(other, "F", f"{name} between {number:08d}".encode(), number, draw))
        written.append(_framed(stream, "F" if part is parts[-1] else "P", part, number, draw))
    return b"".join(written)


def _framed(stream: str, tag: str, part: bytes, number: int, draw: random.Random) -> bytes:
    fraction = f"{draw.randrange(10**9):09d}"
    return (
        f"2026-11-22T09:{number // 60 % 60:02d}:{number % 60:02d}.{fraction}Z {stream} {tag} ".encode()
        + part
        + b"\n"
    )


ENTRIES: dict[str, Callable[[str, int, random.Random], bytes]] = {
    "parse": parsed,
    "multiline": record,
    "cri": decoded,
}


class Job:
    """One Pod's directory, with one file that grows; what was rotated away stands beside it."""

    def __init__(self, root: Path, feature: str, name: str, number: int) -> None:
        self._feature, self._name = feature, name
        kubelet = feature == "cri"
        pod = f"shop_{name}_{UID}{number:02d}" if kubelet else f"shop_{name}_10.244.0.7_10.0.0.1_node-1"
        self._source = root / feature / pod
        folder = self._source / "main" if kubelet else self._source
        folder.mkdir(parents=True)
        self._path = folder / ("0.log" if kubelet else "app.log")
        self._file = self._path.open("ab", buffering=0)
        self._number = self._rotated = 0
        self._half = b""

    def write(self, draw: random.Random) -> None:
        """A few entries; the last perhaps only by half, and its rest the next time."""
        whole = self._half
        for _ in range(draw.randint(1, 12)):
            self._number += 1
            whole += ENTRIES[self._feature](self._name, self._number, draw)
        cut = len(whole) if draw.random() < 0.5 else len(whole) - draw.randint(1, min(120, len(whole)))
        self._file.write(whole[:cut])
        self._half = whole[cut:]

    def rotate(self) -> None:
        """Moves the file away, with its last line whole, and begins a new one."""
        self.leave()
        self._rotated += 1
        self._path.rename(f"{self._path}.20261122-{self._rotated:06d}")
        self._file = self._path.open("ab", buffering=0)

    def leave(self) -> None:
        """Ends as a process does that is told to stop: whole lines, no tombstone."""
        self._file.write(self._half)
        self._file.close()
        self._half = b""

    def end(self) -> None:
        self.leave()
        (self._source / "tombstone").write_text("exit 0\n")


def steps(root: Path, feature: str, seed: str) -> Iterator[None]:
    """Plays one step after the other; completes all lines at the end."""
    draw = random.Random(seed)  # noqa: S311 - the lines of a test, no secret
    jobs: list[Job] = []
    started = 0
    try:
        while True:
            if len(jobs) < LIVE_JOBS:
                jobs.append(Job(root, feature, f"{seed}-{started}", started % 100))
                started += 1
            job = draw.choice(jobs)
            job.write(draw)
            what = draw.random()
            if what < 0.03:
                jobs.remove(job)
                job.end()
            elif what < 0.08:
                job.rotate()
            yield
    finally:
        for job in jobs:
            job.leave()


def main(root: Path, seed: str, steps_per_second: float) -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    playing = [steps(root, feature, seed) for feature in FEATURES]
    began, played = time.monotonic(), 0
    while not stopped:
        for each in playing:
            next(each)
        played += 1
        time.sleep(max(0.0, began + played / steps_per_second - time.monotonic()))
    for each in playing:
        each.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
