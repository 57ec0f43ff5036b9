"""Jobs that come and go on a shared tree, each as its Pod would write: directory, log files, tombstone."""

from __future__ import annotations

import heapq
import math
import os
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from collector.errors import Incomplete
from collector.generate.files import write_all
from collector.generate.lines import SEEDED_START, Lines
from collector.generate.names import Site, Sites
from collector.generate.pace import Sleep, due, until_next
from collector.generate.specs import PLAIN, JobSpec, specs
from collector.terminal import printable
from collector.value import value

TOMBSTONE = "tombstone"

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC


@value
class Played:
    """What one Job left on the tree. `source` is its directory below the root, as on disk.

    `lines` counts line feeds, and one more for an unterminated end; `bytes` is of all its log files.
    """

    spec: JobSpec
    source: str
    lines: int
    bytes: int


def play(
    root: Path,
    *,
    jobs: Sequence[JobSpec],
    layout: str,
    clock: Callable[[], datetime] | None,
    monotonic: Callable[[], float],
    sleep: Sleep,
    stopped: Callable[[], bool] = lambda: False,
    concurrency: int = 20,
    jobs_per_second: float = 0,
    tombstone: bool = True,
) -> list[Played]:
    """Plays the Jobs in order, at most `concurrency` at once; returns those that ended, as they ended.

    Everything happens in the caller's thread. `clock` gives lines their time (None: counted from their
    number). `jobs_per_second` limits how fast Jobs start (0: not). Once `stopped` no Job starts, and
    those that run stay as if killed: whole lines, no tombstone.
    Raises Incomplete where a Job cannot write, LayoutError for a wrong layout.
    """
    sites = Sites(layout)
    cri = sites.layout.line_format == "cri"
    waiting, running = deque(jobs), list[tuple[float, int, _Job]]()
    played: list[Played] = []
    begin, started = monotonic(), 0
    try:
        while (waiting or running) and not stopped():
            now = monotonic() - begin
            start_at = started / jobs_per_second if jobs_per_second else now
            may_start = bool(waiting) and len(running) < concurrency
            if may_start and start_at <= now:
                spec = waiting.popleft()
                heapq.heappush(running, (now, started, _Job(root, sites.site(spec), spec, now, cri=cri)))
                started += 1
            elif running and running[0][0] <= now:
                _, number, job = running[0]
                at = clock() if clock else None
                next_at = job.step(now, at)
                if next_at is not None:
                    heapq.heapreplace(running, (next_at, number, job))
                else:
                    heapq.heappop(running)
                    played.append(job.end(at, tombstone=tombstone))
            else:
                next_step_at = running[0][0] if running else math.inf
                sleep(min(next_step_at, start_at if may_start else math.inf) - now)
    finally:
        for _, _, job in running:
            job.close()
    return played


def tree(
    root: Path,
    *,
    jobs: int = 10_000,
    bytes_per_job: int = 20 * 1024,
    seed: int = 0,
    layout: str = "subpath",
    tombstone: bool = True,
) -> dict[str, int]:
    """Writes a tree of finished Jobs at once; returns how many lines (line feeds) each source has.

    Each Job has whole lines of about `bytes_per_job`; no two Jobs have the same bytes. The same
    arguments make the same tree.
    """
    lines = Lines("nginx").count_for(bytes_per_job)
    plain = specs(jobs, seed=seed, now=SEEDED_START, lines=lines, kinds=PLAIN)
    played = play(
        root,
        jobs=plain,
        layout=layout,
        clock=None,
        monotonic=lambda: 0.0,
        sleep=lambda _seconds: None,
        concurrency=1,
        tombstone=tombstone,
    )
    return {job.source: job.lines for job in played}


class _Job:
    """One Job that runs: its open files, and how far it has written."""

    def __init__(self, root: Path, site: Site, spec: JobSpec, began: float, *, cri: bool) -> None:
        self._spec = spec
        self._site = site
        self._source = root / site.source
        self._began = began
        self._cri = cri
        self._log = Lines(
            spec.log_type, seed=spec.seed, item_length=spec.item_length, key_count=spec.key_count
        )
        self._records = self._turn = self._lines = self._bytes = 0
        self._files: list[int] = []
        try:
            directory = root / site.directory
            directory.mkdir(parents=True, exist_ok=True)
            self._files.extend(os.open(directory / name, _NEW, 0o644) for name in site.files)
        except OSError as error:
            self.close()
            raise self._failed(error) from None

    def step(self, now: float, at: datetime | None) -> float | None:
        """Writes the records that are due at `now`; returns when more are, or None when all are written."""
        spec, elapsed = self._spec, now - self._began
        unpaced = spec.instant or not spec.rate
        ready = spec.lines if unpaced else spec.burst * due(spec.rate / spec.burst, elapsed)
        count = min(ready, spec.lines) - self._records
        if unpaced:
            count = min(count, self._most_at_once())
        if count > 0:
            self._write(self._log.block(self._records + 1, count, at), at)
            self._records += count
        if self._records >= spec.lines:
            return None
        if unpaced:
            return now
        bursts = self._records // spec.burst
        return now + until_next(spec.rate / spec.burst, bursts, elapsed)

    def end(self, at: datetime | None, *, tombstone: bool) -> Played:
        """The last words, then the files are closed, and only then the tombstone is written."""
        if self._spec.dies_mid_line:
            line = self._log.block(self._records + 1, 1, at).partition(b"\n")[0]
            self._write(line[: len(line) // 2], at)
        self.close()
        if tombstone:
            self._write_tombstone()
        return Played(self._spec, self._site.source, self._lines, self._bytes)

    def close(self) -> None:
        while self._files:
            os.close(self._files.pop())

    def _most_at_once(self) -> int:
        """So that each file has its share, and a large log does not stand in memory as a whole."""
        share = -(-self._spec.lines // len(self._files))
        return share if self._spec.instant else min(share, self._log.bulk)

    def _write(self, block: bytes, at: datetime | None) -> None:
        data = _as_cri(block, at or SEEDED_START) if self._cri else block
        try:
            write_all(self._files[self._turn % len(self._files)], data)
        except OSError as error:
            raise self._failed(error) from None
        self._turn += 1
        self._lines += data.count(b"\n") + (not data.endswith(b"\n"))
        self._bytes += len(data)

    def _write_tombstone(self) -> None:
        try:
            descriptor = os.open(self._source / TOMBSTONE, _NEW, 0o644)
            try:
                write_all(descriptor, b"%d\n" % self._spec.exit_code)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> Incomplete:
        taken = isinstance(error, FileExistsError)
        return Incomplete(
            printable(f"{self._source}: cannot be written: {error.strerror}"),
            hint="use an empty root or another --seed" if taken else "",
        )


def _as_cri(block: bytes, at: datetime) -> bytes:
    """The lines as a container runtime writes them; it also ends a line that the Job left unended."""
    head = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z stdout F ".encode()
    return head + block.removesuffix(b"\n").replace(b"\n", b"\n" + head) + b"\n"
