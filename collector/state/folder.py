"""The state folder of one shard: `STATE/NAME/SSS/{checkpoint.jsonl,journal.jsonl,lock}`.

`checkpoint.jsonl` is a snapshot that knows the number of the last journal line that it holds, so a
journal that was not yet replaced when the collector died is harmless: its lines are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from collector.errors import BrokenInvariant, StateError
from collector.model import CommitRecord, Owner, SourceCheckpoint
from collector.records import SHARD_DIGITS, encode_record
from collector.state.checkpoint import Checkpoint
from collector.state.codec import Change, JournalHeader, damaged, encode_change, encode_recorded
from collector.state.disk import size_bytes, state_errors, sync_folder, write_whole
from collector.state.journal import Journal, JournalEnd, JournalWriter, read_journal
from collector.state.lock import Holder, Lock, holder

COMPACT_FROM_BYTES = 8 << 20
"""A smaller journal is never worth a new snapshot: that of 15,000 files is read in a fifth of a second."""


class StateFolder:
    """Every method raises StateError where the operating system fails. `append`, `compact` and `set_aside`
    need the lock; `load` and `holder` do not, and may run beside the collector that holds it.
    """

    def __init__(self, root: Path, volume: str, shard: int) -> None:
        self.volume = volume
        self.shard = shard
        self.path = root / volume / f"{shard:0{SHARD_DIGITS}d}"
        self._snapshot = self.path / "checkpoint.jsonl"
        self._journal = self.path / "journal.jsonl"
        self._lock = Lock(self.path / "lock")
        self._writer: JournalWriter | None = None
        self._end: JournalEnd | None = None
        """Where the journal ends that `load` read while the lock was held, until it is written to."""
        self._may_want_compaction = True
        """Whether the journal has grown since that was asked: it is asked in every turn."""

    def lock(self, owner: Owner) -> None:
        """Creates the folder where it is missing. Raises StateLocked, which says who holds it."""
        with state_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.take(owner)

    def holder(self) -> Holder | None:
        """Which process holds the lock now, if any does."""
        with state_errors(self.path):
            return holder(self._lock.path)

    def load(self) -> Checkpoint | None:
        """Snapshot and journal together; None where there is neither. Raises StateDamaged with file and
        line number, and StateError for a newer format or another shard's files.
        """
        with state_errors(self.path):
            checkpoint, end = self._load()
            self._end = end if self._lock.held else None
            return checkpoint

    def append(
        self,
        *,
        records: Sequence[CommitRecord | bytes] = (),
        completed: int | None = None,
        sources: Sequence[SourceCheckpoint] = (),
        retired: Sequence[str] = (),
    ) -> None:
        """Makes changes durable, all with one write and one fsync. They are replayed in the order of
        the arguments, so they are applied to the checkpoint in that order too. A crash in the middle
        leaves the first of them. A record may be given as it stands in the destination.
        """
        self._may_want_compaction = True
        with self._writing() as writer:
            n = count(writer.last + 1)
            lines = [
                encode_recorded(next(n), each if isinstance(each, bytes) else encode_record(each))
                for each in records
            ]
            if completed is not None:
                lines.append(encode_change(Change(next(n), completed=completed)))
            lines += [encode_change(Change(next(n), source=source)) for source in sources]
            lines += [encode_change(Change(next(n), retired=source)) for source in retired]
            if lines:
                writer.append(lines)

    def compact(self, checkpoint: Checkpoint) -> None:
        """Replaces snapshot and journal by a snapshot of `checkpoint`, which holds all that was appended,
        and an empty journal. A crash at any moment leaves the same state.
        """
        if (checkpoint.volume, checkpoint.shard) != (self.volume, self.shard):
            raise BrokenInvariant(f"{self.path} is not for {checkpoint.volume} shard {checkpoint.shard}")
        with self._writing() as writer:
            write_whole(self._snapshot, checkpoint.dump(journal=writer.last))
            self._writer = self._new_journal(writer.last)
            writer.close()

    def wants_compaction(self) -> bool:
        """Whether the journal has grown larger than the snapshot, and than 8 MiB."""
        if not self._may_want_compaction:
            return False
        with state_errors(self.path):
            wants = size_bytes(self._journal) > max(COMPACT_FROM_BYTES, size_bytes(self._snapshot))
        self._may_want_compaction = wants
        return wants

    def set_aside(self) -> list[Path]:
        """Renames snapshot and journal, so that the folder is as if new; returns their new names."""
        with state_errors(self.path):
            self._check_locked()
            self._close_writer()
            moved = [_moved_aside(path) for path in (self._journal, self._snapshot) if path.exists()]
            sync_folder(self.path)
            return moved

    def close(self) -> None:
        """Releases the lock."""
        with state_errors(self.path):
            self._close_writer()
            self._lock.release()

    def _load(self) -> tuple[Checkpoint | None, JournalEnd]:
        """What there is, and where the next change is to be written.

        The journal is read first: one that a running collector replaces in between is older than the
        snapshot then, and its lines are skipped.
        """
        journal = self._read_journal()
        checkpoint = self._read_snapshot()
        if journal is None:
            return checkpoint, JournalEnd(checkpoint.journal if checkpoint else 0)
        found = checkpoint or Checkpoint(self.volume, self.shard)
        if journal.header.after > found.journal:
            raise damaged(str(self._snapshot), f"older than the journal, or missing ({self._journal.name})")
        for place, change in journal.changes():
            if change.n > found.journal:
                self._replay(found, change, place)
        if journal.last <= found.journal:  # a compaction was interrupted before its new journal
            return found, JournalEnd(found.journal)
        return found, JournalEnd(journal.last, journal.whole_bytes)

    def _replay(self, checkpoint: Checkpoint, change: Change, place: str) -> None:
        try:
            if change.record is not None:
                checkpoint.apply(change.record)
            if change.completed is not None:
                checkpoint.completed(change.completed)
        except BrokenInvariant as error:
            raise damaged(place, error.message) from None
        if change.source is not None:
            checkpoint.note_source(change.source)
        if change.retired is not None:
            checkpoint.retire(change.retired)

    def _read_snapshot(self) -> Checkpoint | None:
        try:
            with self._snapshot.open("rb") as lines:
                found = Checkpoint.load(lines, place=str(self._snapshot))
        except FileNotFoundError:
            return None
        self._check_ours(self._snapshot, found.volume, found.shard)
        return found

    def _read_journal(self) -> Journal | None:
        try:
            with self._journal.open("rb") as file:
                journal = read_journal(file, str(self._journal))
        except FileNotFoundError:
            return None
        if journal is not None:
            self._check_ours(self._journal, journal.header.volume, journal.header.shard)
        return journal

    @contextmanager
    def _writing(self) -> Iterator[JournalWriter]:
        with state_errors(self.path):
            self._check_locked()
            if self._writer is None:
                self._writer = self._open_writer()
            yield self._writer

    def _open_writer(self) -> JournalWriter:
        end, self._end = self._end or self._load()[1], None
        if not end.whole_bytes:
            return self._new_journal(end.last)
        return JournalWriter.resume(self._journal, end)

    def _new_journal(self, after: int) -> JournalWriter:
        return JournalWriter.create(self._journal, JournalHeader(self.volume, self.shard, after))

    def _close_writer(self) -> None:
        self._end = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _check_locked(self) -> None:
        if not self._lock.held:
            raise BrokenInvariant(f"{self.path} is written without its lock")
        self._lock.expect_in_place()

    def _check_ours(self, path: Path, volume: str, shard: int) -> None:
        if (volume, shard) != (self.volume, self.shard):
            raise StateError(
                f"{path} belongs to volume {volume} shard {shard}, not to {self.volume} shard {self.shard}",
                hint="name another state folder with --state",
            )


def state_folders(root: Path) -> list[StateFolder]:
    """All shards' folders below a state folder, sorted by volume and shard."""
    with state_errors(root):
        found = [path for path in root.glob("*/*") if path.name.isdigit() and path.is_dir()]
        return [StateFolder(root, path.parent.name, int(path.name)) for path in sorted(found)]


def _moved_aside(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.aside-{number}") for number in range(1, 1_000_000))
    free = next(name for name in names if not name.exists())
    return path.rename(free)
