"""One volume, collected step by step by a clock that only the test moves: for stories of loss."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from collector.events import Event
from collector.intake.catalog import Catalog
from collector.intake.discover import Discovery, Look, SourceDir
from collector.intake.frame import frame
from collector.intake.framing import Frame
from collector.intake.globs import Selection
from collector.intake.layout import Layout
from collector.intake.listing import all_sources
from collector.intake.names import decode_name
from collector.intake.read import Reader
from collector.intake.track import TrackedSource
from collector.intake.volume import Volume
from collector.model import FileCheckpoint, FileId, Loss, Take

POD = "shop_load-4xk2p"


@dataclass(frozen=True)
class Row:
    offset: int
    data: bytes
    eol: bool


class Story:
    """Owns the parts of the intake as a shard does, and keeps every row by (path, generation).

    `look` and `read` are separate, so that a test can put anything between them. What was read is
    pending until `commit`; `restart` begins anew from what was committed, as after `kill -9`.
    """

    def __init__(
        self,
        root: Path,
        *,
        layout: str = "{namespace}_{pod}",
        arena_bytes: int = 1 << 20,
        max_line_bytes: int = 1 << 16,
        partial_after_seconds: float = 60.0,
        settle_seconds: float = 10.0,
        open_files: int = 64,
        follow: bool = True,
        framing: Frame = frame,
        record_after_seconds: float | None = None,
        most_lines: int | None = None,
    ) -> None:
        self.root = root
        self.pod = root / POD
        self.pod.mkdir(parents=True, exist_ok=True)
        self.layout = Layout.parse(layout)
        self.now = time.time()
        self.events: list[Event] = []
        self.losses: list[Loss] = []
        self.rows: defaultdict[FileId, list[Row]] = defaultdict(list)
        self.order: list[FileId] = []
        self.checkpoints: dict[FileId, FileCheckpoint] = {}
        self._pending: list[tuple[Take, list[Row]]] = []
        self._pending_losses: list[Loss] = []
        self._limits = (partial_after_seconds, settle_seconds, record_after_seconds)
        self._reader_settings = {
            "arena_bytes": arena_bytes,
            "max_line_bytes": max_line_bytes,
            "open_files": open_files,
            "follow": follow,
            "framing": framing,
            "most_lines": most_lines,
        }
        self._begin()

    def _begin(self) -> None:
        self.volume = Volume(self.root)
        self.discovery = Discovery(
            self.volume, self.layout, Selection(["**"], []), tombstone="tombstone", shard=0, shards=1
        )
        partial_after, settle, record_after = self._limits
        self.catalog = Catalog(
            self.volume,
            "default",
            self.layout,
            partial_after_seconds=partial_after,
            settle_seconds=settle,
            record_after_seconds=record_after,
            emit=self.events.append,
        )
        self.reader = Reader(self.volume, "default", emit=self.events.append, **self._reader_settings)
        for name in dict.fromkeys(at.source for at in (*self.checkpoints, *self.losses)):
            directory = self.discovery.directory(() if name == "." else tuple(decode_name(name).split("/")))
            known = [at for at in self.checkpoints.values() if at.file.source == name]
            losses = [loss for loss in self.losses if loss.source == name]
            self.catalog.restore(self.catalog.source(directory, self.now), known, losses, decode_name)

    def close(self) -> None:
        self.reader.close()
        self.volume.close()

    # --- what a shard does

    def look(self) -> None:
        """Lists the volume and looks at every source that is there, or was."""
        there = {directory.source: directory for directory in all_sources(self.discovery)}
        for directory in there.values():
            self.catalog.source(directory, self.now)
        for source in self.catalog:
            self.look_at(source, there.get(source.source, source.directory))

    def look_at(self, source: TrackedSource, directory: SourceDir) -> None:
        look = self.discovery.look(directory)
        if look is None:
            self.catalog.vanished(source, self.now)
        else:
            self.catalog.observe(source, look, self.now)
        self._take_losses()

    def observe(self, look: Look) -> None:
        """Takes in a look that the test composed itself, of the one source there is."""
        (source,) = self.catalog
        self.catalog.observe(source, look, self.now)
        self._take_losses()

    def glance(self) -> Look:
        """What the one source holds at this moment."""
        look = self.discovery.look(SourceDir(POD, flat=False))
        assert look is not None
        return look

    def read_arena(self) -> int:
        """Reads one arena full; returns how many reads that was."""
        self.catalog.queue.wake_partials(self.now)
        reads = self.reader.fill(self.catalog, self.now)
        if reads:
            lines = self.reader.frame(reads)
            first = 0
            for take in self.reader.take(self.catalog, reads, lines):
                rows = [self._row(lines, take, row) for row in range(first, first + take.rows)]
                first += take.rows
                self._pending.append((take, rows))
            assert first == len(lines.starts)
        self._take_losses()
        return len(reads)

    def read(self) -> None:
        """Reads until nothing is left in the queue."""
        for _ in range(10_000):
            if not self.read_arena() and not self.catalog.queue.ready:
                return
        raise AssertionError("reading does not come to an end")

    def turn(self, seconds: float = 1.0) -> None:
        """One round: the clock moves, then look, read and commit."""
        self.now += seconds
        self.look()
        self.read()
        self.commit()

    def turns(self, count: int, seconds: float = 1.0) -> None:
        for _ in range(count):
            self.turn(seconds)

    def commit(self) -> None:
        """All that was read is durable now."""
        for take, rows in self._pending:
            if take.rows:
                self._commit(take, rows)
        self._pending = []
        self.losses += self._pending_losses
        self._pending_losses = []

    def restart(self) -> None:
        """Ends without a word, and starts again from what was committed."""
        self.close()
        self._pending, self._pending_losses = [], []
        self._begin()

    def remember(self, only: tuple[str, int] | None = None, **evidence: int) -> None:
        """Changes the evidence of every checkpoint, as a remount does; or of `only` one."""
        for file, at in self.checkpoints.items():
            if only in (None, (file.path, file.generation)):
                self.checkpoints[file] = replace(at, evidence=replace(at.evidence, **evidence))

    # --- what came of it

    @property
    def text(self) -> dict[tuple[str, int], bytes]:
        """The committed bytes by path and generation; holes are left out."""
        return {
            (file.path, file.generation): b"".join(row.data + b"\n" * row.eol for row in rows)
            for file, rows in self.rows.items()
            if rows
        }

    @property
    def lines(self) -> Counter[bytes]:
        """How often each line was collected, whatever the file."""
        return Counter(row.data for rows in self.rows.values() for row in rows)

    @property
    def lost(self) -> list[tuple[str, int, int, int, str]]:
        return [(loss.path, loss.generation, loss.start, loss.end, loss.reason) for loss in self.losses]

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    def _row(self, lines, take: Take, row: int) -> Row:
        start, end = int(lines.starts[row]), int(lines.ends[row])
        return Row(take.start + start - take.at, self.reader.arena[start:end].tobytes(), bool(lines.eol[row]))

    def _commit(self, take: Take, rows: list[Row]) -> None:
        known = self.checkpoints.get(take.file)
        offset = known.offset if known else 0
        assert take.start >= offset, f"{take.file} goes back from {offset} to {take.start}"
        assert rows[0].offset == take.start
        assert take.evidence.tail_bytes <= take.end
        holes = known.holes if known else ()
        size = (known.bytes if known else 0) + take.end - take.start
        self.checkpoints[take.file] = FileCheckpoint(
            file=take.file,
            name=take.name,
            offset=take.end,
            bytes=size,
            line_feeds=(known.line_feeds if known else 0) + take.line_feeds,
            terminated=take.terminated,
            evidence=take.evidence,
            holes=holes if take.start == offset else (*holes, (offset, take.start)),
        )
        self.rows[take.file] += rows
        self.order.append(take.file)
        self.catalog.committed(take.file.source, take.file.path, take.file.generation, take.end)

    def _take_losses(self) -> None:
        self._pending_losses += self.catalog.losses
        self.catalog.losses.clear()


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def numbered(first: int, count: int, word: str = "line") -> bytes:
    """Lines that are told apart by their number."""
    return b"".join(b"%s %06d\n" % (word.encode(), number) for number in range(first, first + count))


def copy_in_place(path: Path, to: Path, size: int | None = None) -> None:
    """The first step of copytruncate: `to` becomes a copy of the first `size` bytes."""
    to.write_bytes(path.read_bytes()[:size])


def truncate(path: Path, data: bytes = b"") -> None:
    """Cuts the file to nothing in place, then writes `data`."""
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(data)


def replace_by(path: Path, data: bytes) -> None:
    """Puts another file under the name at once, as editors and careful writers do."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(data)
    beside.replace(path)
