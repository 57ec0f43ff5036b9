"""Objects that are read for some of their files: each once, where the rows of interest fit in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import pyarrow as pa

from collector.model import FileId
from collector.query.rows import ObjectRef, file_batches
from collector.sink.store import Store

KEPT_BYTES = 256 << 20

_Batches = dict[FileId, list[pa.RecordBatch]]


class Objects:
    """`columns` None means all. `kept_bytes` bounds what is kept of objects that were read."""

    def __init__(self, store: Store, columns: Sequence[str] | None, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._store = store
        self._columns = columns
        self._limit = kept_bytes
        self._kept: OrderedDict[str, tuple[int, _Batches]] = OrderedDict()
        self._size = 0

    def rows(self, ref: ObjectRef, file: FileId, wanted: frozenset[FileId]) -> Iterator[pa.RecordBatch]:
        """The rows of `file`; those of the other `wanted` files are kept for when they are asked for.

        Raises ObjectMissing, and ExportDamaged for an object that cannot be read.
        """
        if ref.key not in self._kept and not self._keep(ref, wanted):
            body = self._store.get(ref.key)
            for _, batch in file_batches(body, ref, frozenset((file,)), self._columns):
                yield batch
            return
        self._kept.move_to_end(ref.key)
        yield from self._kept[ref.key][1].get(file, ())

    def _keep(self, ref: ObjectRef, wanted: frozenset[FileId]) -> bool:
        """Reads the wanted rows of an object; False, and nothing kept, where they are too many."""
        batches: _Batches = {}
        size = 0
        for file, batch in file_batches(self._store.get(ref.key), ref, wanted, self._columns):
            size += batch.nbytes
            if size > self._limit:
                return False
            batches.setdefault(file, []).append(batch)
        while self._kept and self._size + size > self._limit:
            self._size -= self._kept.popitem(last=False)[1][0]
        self._kept[ref.key] = (size, batches)
        self._size += size
        return True
