"""A tiny collector that runs the real `Ledger`, and the outside that answers what it asks.

It collects one file, whose offsets are line numbers, and can be stopped before whatever it asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from collector.errors import Fenced, JoblogError, ObjectMissing, StoreUnavailable
from collector.model import (
    BatchRecord,
    BatchSettings,
    CommitRecord,
    Evidence,
    Loss,
    Origin,
    Owner,
    Span,
    VoidRecord,
)
from collector.records import object_key
from collector.sink.ledger import Ledger
from collector.sink.store import Entry

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
SETTINGS = BatchSettings(layout="subpath", format="ndjson", compression="none", max_line_bytes=1024)
EVIDENCE = Evidence(device=1, inode=1, head_bytes=0, head_hash="", tail_bytes=0, tail_hash="")
UNKNOWN = "unknown"
NEW = "new"


def batch(sequence: int, epoch: int, instance: str, start: int, end: int) -> BatchRecord:
    """The record of lines [start, end) of the one file; an offset is a line number here."""
    span = Span("f", 0, 0, start, end, end - start, end - start, "", (), "f", EVIDENCE)
    return BatchRecord(
        volume="v",
        shard=0,
        sequence=sequence,
        epoch=epoch,
        instance=instance,
        sealed_at=NOW,
        object_key=object_key("v", 0, sequence, NOW, SETTINGS),
        object_bytes=0,
        rows=end - start,
        bytes=end - start,
        settings=SETTINGS,
        origins=(Origin("s"),),
        spans=(span,),
    )


def lines_of(record: BatchRecord) -> range:
    return range(record.spans[0].start, record.spans[0].end)


def rows(lines: Iterable[int]) -> bytes:
    return " ".join(map(str, lines)).encode()


def covered(records: Iterable[CommitRecord], offset: int) -> int:
    """Up to which line the records speak, if they spoke up to `offset` before."""
    for record in records:
        if isinstance(record, BatchRecord):
            offset = max(offset, record.spans[0].end)
        elif isinstance(record, VoidRecord):
            offset = max([offset, *(loss.end for loss in record.losses)])
    return offset


class Question(NamedTuple):
    """What an owner asks: `put get size list` of the store, `look` at the file, `choose` a size."""

    what: str
    key: str = ""
    body: bytes = b""


class Unanswered(BaseException):
    """Stops an owner before a question whose answer is not yet given."""

    def __init__(self, question: Question) -> None:
        self.question = question


class Outside:
    """A `Store` and the file, as the answers tell. What was seen under a key once is not asked again."""

    url = "model:"
    conditional = True

    def __init__(self, answers: Iterable[Any]) -> None:
        self._answers = iter(answers)
        self._seen: dict[str, bytes] = {}

    def look(self) -> int:
        """The first line that is still there; those before it have vanished."""
        return int(self._ask(Question("look")))

    def choose(self, *ways: int) -> int:
        """Any of `ways`: the owner's own choice, of which each is tried."""
        return int(self._ask(Question("choose", body=bytes(ways))))

    def put_new(self, key: str, body: bytes | memoryview) -> bool:
        answer = self._ask(Question("put", key, bytes(body)))
        self._seen[key] = bytes(body) if answer is NEW else answer
        return answer is NEW

    def get(self, key: str) -> bytes:
        if key not in self._seen:
            answer = self._ask(Question("get", key))
            if answer is None:
                raise ObjectMissing(key)
            self._seen[key] = answer
        return self._seen[key]

    def size_bytes(self, key: str) -> int | None:
        answer = self._ask(Question("size", key))
        return None if answer is None else len(answer)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        found = [(k, b) for k, b in self._ask(Question("list", prefix, after.encode())) if k > after]
        self._seen.update(found)
        return iter([Entry(key, len(body), NOW) for key, body in found])

    def folders(self, prefix: str) -> Iterator[str]:
        raise AssertionError("the ledger asks for no folders")

    def note_unconditional(self) -> None:
        raise AssertionError("this store is conditional")

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _ask(self, question: Question) -> Any:
        try:
            answer = next(self._answers)
        except StopIteration:
            raise Unanswered(question) from None
        if answer is UNKNOWN:
            raise StoreUnavailable(f"{question.what} {question.key}: timed out")
        return answer


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What an owner keeps on its own disk."""

    seen: int = 0
    epoch: int = 0
    offset: int = 0
    unfinished: BatchRecord | None = None


class Collector:
    """A tiny owner: takes the shard, finishes what it finds, claims and puts the lines of no record."""

    ledger_class = Ledger
    doing = "nothing"

    def __init__(self, outside: Outside, instance: str, checkpoint: Checkpoint, lines: int) -> None:
        self.outside = outside
        self.instance = instance
        self.lines = lines
        self.saved = checkpoint
        self.ledger = self.ledger_class(
            outside,
            volume="v",
            shard=0,
            owner=Owner(instance, "host", 1, "0"),
            clock=lambda: NOW,
            emit=lambda event: None,
        )

    def run(self) -> str:
        """How it ended: "done", "fenced", or "broken" and why."""
        try:
            self.collect()
        except Fenced:
            return "fenced"
        except JoblogError as error:
            return f"broken: {error}"
        return "done"

    def collect(self) -> None:
        self.doing = "take"
        offset, unfinished = self.take()
        self.doing = "finish"
        if unfinished is not None:
            self.finish(unfinished, offset)
        self.doing = "collect"
        while offset < self.lines:
            offset = self.collect_from(offset)

    def take(self) -> tuple[int, BatchRecord | None]:
        kept = self.saved
        while True:
            try:
                taken = self.ledger.take(seen=kept.seen, unfinished=kept.unfinished, epoch=kept.epoch)
                break
            except StoreUnavailable:
                continue
        offset = covered(taken.records, kept.offset)
        self.save(offset, taken.unfinished)
        return offset, taken.unfinished

    def finish(self, record: BatchRecord, offset: int) -> None:
        first = self.outside.look()
        gone = [line for line in lines_of(record) if line < first]
        left = [line for line in lines_of(record) if line >= first]
        if gone:
            self.void(record.sequence, gone[0], gone[-1] + 1, partial=bool(left))
            self.save(offset, record if left else None)
        if left:
            self.put_object(record, left)
        self.save(offset, None)

    def collect_from(self, offset: int) -> int:
        first = self.outside.look()
        if first > offset:
            self.void(None, offset, first)
            self.save(first, None)
            return first
        end = min(offset + self.outside.choose(1, 2), self.lines)
        record = self.claim(offset, end)
        self.save(end, record)
        self.put_object(record, lines_of(record))
        self.save(end, None)
        return end

    def claim(self, start: int, end: int) -> BatchRecord:
        while True:
            try:
                return self.ledger.claim(lambda n, epoch: batch(n, epoch, self.instance, start, end))
            except StoreUnavailable:
                continue

    def void(self, voids: int | None, start: int, end: int, *, partial: bool = False) -> None:
        losses = (Loss("s", "f", 0, start, end, "deleted" if voids is None else "void"),)
        while True:
            try:
                self.ledger.void(voids, losses, partial=partial)
                return
            except StoreUnavailable:
                continue

    def put_object(self, record: BatchRecord, lines: Iterable[int]) -> None:
        while True:
            try:
                self.ledger.put_object(record, rows(lines))
                return
            except StoreUnavailable:
                continue

    def save(self, offset: int, unfinished: BatchRecord | None) -> None:
        self.saved = Checkpoint(self.ledger.sequence, self.ledger.epoch, offset, unfinished)

    def state(self) -> tuple[Any, ...]:
        """All that decides what this owner will do, beside what stands in the store for ever."""
        own = {k: v for k, v in vars(self.ledger).items() if k not in ("_store", "_clock", "_emit")}
        return (self.instance, self.doing, self.saved, tuple(sorted((k, str(v)) for k, v in own.items())))
