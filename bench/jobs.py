"""Plays Jobs at a rate, and reads in the collector's log when it read and committed what they wrote.

The first line of each Job's file is the time right before it is written; events of the log have the other.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.dataset

PREFIX = "shop_played"


@dataclass
class Played:
    """What the Jobs of one run did."""

    volume: Path
    written_at: dict[str, float] = field(default_factory=dict)
    """By source: when its first line was."""
    lines: int = 0
    last_at: float = 0.0

    def folders(self) -> Iterator[Path]:
        return (self.volume / name for name in self.written_at)

    def remove(self) -> None:
        for folder in self.folders():
            shutil.rmtree(folder, ignore_errors=True)


def play(
    volume: Path,
    jobs: int,
    per_second: float,
    *,
    lines: int = 1,
    tombstone: bool = False,
    deleted_after_seconds: float | None = None,
) -> Played:
    """Each Job makes its directory, writes its lines into one file, and may say that it is done. Where they
    are deleted, that is so long after the last line.
    """
    played = Played(volume)
    doomed: list[tuple[float, Path]] = []
    began = time.monotonic()
    for number in range(jobs):
        while (wait := began + number / per_second - time.monotonic()) > 0:
            _delete(doomed)
            time.sleep(min(wait, 0.001))
        folder = volume / f"{PREFIX}-{time.time_ns():x}-{number:05d}_10.244.0.7_10.0.0.1_node-1"
        _write(played, folder, lines)
        if tombstone:
            (folder / "tombstone").touch()
        played.last_at = time.time()
        if deleted_after_seconds is not None:
            doomed.append((time.monotonic() + deleted_after_seconds, folder))
    while doomed:
        _delete(doomed)
        time.sleep(0.001)
    return played


def _write(played: Played, folder: Path, lines: int) -> None:
    folder.mkdir()
    file = os.open(folder / "app.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        played.written_at[folder.name] = now = time.time()
        os.write(file, f"{now}\n".encode())
        for number in range(1, lines):
            os.write(file, b"line %d of a Job that is over soon\n" % number)
    finally:
        os.close(file)
    played.lines += lines


def _delete(doomed: list[tuple[float, Path]]) -> None:
    while doomed and doomed[0][0] <= time.monotonic():
        shutil.rmtree(doomed.pop(0)[1])


# --- what came of it


def events(log: Path, name: str) -> Iterator[dict[str, Any]]:
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if f'"event": "{name}"' in line:
                yield json.loads(line)


def read_after(log: Path, played: Played) -> list[float]:
    """Seconds from the write of a source's first line to its reading."""
    read_at = {event["source"]: event["read_at"] for event in events(log, "first_read")}
    return [read_at[name] - at for name, at in played.written_at.items() if name in read_at]


def committed_after(log: Path, to: Path, played: Played) -> list[float]:
    """Seconds from the write of a source's first line to the commit of the object that holds it."""
    committed = committed_at(log)
    after = []
    for key, at in committed.items():
        rows = pyarrow.dataset.dataset(to / key).to_table(columns=["source", "offset"])
        for name, offset in zip(rows["source"].to_pylist(), rows["offset"].to_pylist(), strict=True):
            if not offset and name in played.written_at:
                after.append(at - played.written_at[name])
    return after


def committed_at(log: Path) -> Mapping[str, float]:
    """When each object was."""
    return {
        event["object_key"]: datetime.fromisoformat(event["time"]).timestamp()
        for event in events(log, "batch_committed")
    }


def percentile(values: list[float], part: float) -> float:
    """Infinite where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("inf")
