"""A Job's or Pod's log as it comes, until its receipts cover all that is committed."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator

from collector.errors import ObjectMissing
from collector.model import BatchRecord, FileId, Origin, VoidRecord
from collector.query.export import Shard, decoded, newest_receipt, record_bodies, shards
from collector.query.fields import with_text
from collector.query.intervals import Ranges
from collector.query.logs import EVERYTHING, Filter, Rows, find, matching, unread
from collector.query.objects import Objects
from collector.query.rows import TEXT_COLUMNS, ObjectRef, file_of
from collector.query.wanted import Wanted
from collector.sink.store import Store


def follow(
    store: Store,
    wanted: Wanted,
    pause: Callable[[], None],
    *,
    rows: Filter = EVERYTHING,
    every_column: bool = False,
) -> Iterator[Rows]:
    """What is there, then what comes, in the order it was committed; `pause` waits between two looks.

    Ends when each source that was seen has a receipt that covers what is committed of it. Raises
    Incomplete where nothing has the name yet.
    """
    following = _Following(store, wanted, rows, every_column=every_column)
    if not following.look():
        find(store, wanted)  # raises for something unknown; what has only empty files has no records
        return
    while True:
        yield from following.ready()
        if following.look():
            continue
        if following.complete():
            return
        pause()


class _Following:
    def __init__(self, store: Store, wanted: Wanted, rows: Filter, *, every_column: bool) -> None:
        self.sources: dict[tuple[str, str], Origin] = {}
        self._store = store
        self._wanted = wanted
        self._filter, self._every_column = rows, every_column
        self._objects = Objects(store, None if every_column else TEXT_COLUMNS)
        self._after: dict[Shard, str] = defaultdict(str)
        self._pending: dict[Shard, deque[BatchRecord]] = defaultdict(deque)
        self._voids: dict[tuple[Shard, int], list[VoidRecord]] = defaultdict(list)
        self._positions: dict[tuple[str, FileId], int] = defaultdict(int)
        self._committed: dict[tuple[str, FileId], Ranges] = defaultdict(Ranges)

    def look(self) -> bool:
        """Reads the records that are new; True where some of them speak of what is wanted."""
        is_new = False
        may_be_in = self._wanted.may_be_in()
        for shard in shards(self._store):
            for key, body in record_bodies(self._store, shard, after=self._after[shard]):
                self._after[shard] = key
                for _, record in decoded([(key, body)] if may_be_in(body) else []):
                    if isinstance(record, BatchRecord):
                        is_new = self._add(shard, record) or is_new
                    elif isinstance(record, VoidRecord) and record.voids is not None:
                        self._voids[shard, record.voids].append(record)
        return is_new

    def ready(self) -> Iterator[Rows]:
        """The rows of the records that wait, in order; a shard stops at an object that is not there yet."""
        for shard, records in self._pending.items():
            while records:
                record = records[0]
                try:
                    yield from self._rows(record, self._voids[shard, record.sequence])
                except ObjectMissing:
                    if all(void.partial for void in self._voids[shard, record.sequence]):
                        break
                records.popleft()

    def complete(self) -> bool:
        if any(self._pending.values()):
            return False
        return all(self._is_covered(volume, origin) for (volume, _), origin in self.sources.items())

    def _add(self, shard: Shard, record: BatchRecord) -> bool:
        ref = matching(self._wanted, record)
        if ref is None:
            return False
        self._pending[shard].append(record)
        for origin, span in ref.spans:
            if self._wanted.matches(origin):
                self.sources[record.volume, origin.source] = origin
                self._committed[record.volume, file_of(origin, span)].add(span.start, span.end)
        return True

    def _rows(self, record: BatchRecord, voids: list[VoidRecord]) -> Iterator[Rows]:
        ref = matching(self._wanted, record, voids) or ObjectRef.of(record, voids)
        origins = {
            file_of(origin, span): origin for origin, span in ref.spans if self._wanted.matches(origin)
        }
        for file, origin in origins.items():
            for batch in self._objects.rows(ref, file, frozenset(origins)):
                place = (record.volume, file)
                fresh, self._positions[place] = unread(batch, self._positions[place], ref.settings)
                shown = fresh if self._every_column else with_text(fresh, ref.settings)
                chosen = self._filter.apply(shown)
                if len(chosen):
                    yield Rows(record.volume, origin, file, chosen)

    def _is_covered(self, volume: str, origin: Origin) -> bool:
        receipt = newest_receipt(self._store, origin.namespace, origin.source, volume)
        if receipt is None:
            return False
        covered = {(file.path, file.generation): file.bytes for file in receipt.files}
        return all(
            ranges.size <= covered.get((file.path, file.generation), 0)
            for (of, file), ranges in self._committed.items()
            if (of, file.source) == (volume, origin.source)
        )
