"""The memory in which an object is made: it grows without being copied, and is used again."""

from __future__ import annotations

import io
import mmap
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STEP_BYTES = 2 << 20
"""A large page of the processor: what a body takes first, and the least that it grows by."""

BUFFER_BYTES = 1 << 20
"""What encoders write is gathered to this much: for each write they have to wait for the interpreter."""


LARGE_BYTES = 1 << 16
"""What is worth letting others have the interpreter while it is copied."""


class Memory:
    """Of the objects before, for the next ones: to touch a page for the first time is dear.

    Any thread may call anything here.
    """

    def __init__(self, most: int) -> None:
        """At most so many objects' memory is kept."""
        self._most = most
        self._kept: list[mmap.mmap] = []
        self._lock = Lock()

    def take(self) -> mmap.mmap:
        """Memory that nobody looks at."""
        with self._lock:
            found = next((number for number, each in enumerate(self._kept) if _is_free(each)), None)
            if found is not None:
                return self._kept.pop(found)
        # Private: shared anonymous memory cannot grow.
        memory = mmap.mmap(-1, STEP_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_HUGEPAGE)  # so it is touched for the first time in large pieces
        return memory

    def keep(self, memory: mmap.mmap) -> None:
        """To be taken again once its last view is gone."""
        with self._lock:
            self._kept.append(memory)
            del self._kept[: max(0, len(self._kept) - self._most)]

    def clear(self) -> None:
        """Gives back what nobody looks at, and the rest with the last view of it."""
        with self._lock:
            self._kept = []


def _is_free(memory: mmap.mmap) -> bool:
    try:
        memory.resize(len(memory))  # refused while there is a view; else nothing changes
    except BufferError:
        return False
    return True


class Body(io.RawIOBase):
    """A file to write once. `view` ends that: the bytes written, without a copy.

    A buffer of an allocator doubles as it grows, and what it leaves behind is not given back while other
    threads allocate. Here growing moves pages, not bytes (mremap). It takes its memory with the first write.
    """

    def __init__(self, memory: Memory | None = None) -> None:
        super().__init__()
        self.size = 0
        self._of = memory or Memory(0)
        self._memory: mmap.mmap | None = None

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: ReadableBuffer) -> int:
        source = memoryview(data).cast("B")
        memory = self._memory = self._memory or self._of.take()
        end = self.size + len(source)
        if end > len(memory):
            # By a step, or an eighth: seldom enough. Pages that were never written take no memory.
            size = max(end, len(memory) + max(STEP_BYTES, len(memory) // 8))
            memory.resize(-(-size // STEP_BYTES) * STEP_BYTES)
        if len(source) < LARGE_BYTES:
            memory[self.size : end] = source
        else:  # the interpreter is free for others meanwhile
            np.frombuffer(memory, np.uint8, len(source), self.size)[:] = np.frombuffer(source, np.uint8)
        self.size = end
        return len(source)

    def view(self) -> memoryview:
        if self._memory is None:
            return memoryview(b"")
        view = memoryview(self._memory)[: self.size]
        self._of.keep(self._memory)
        return view

    def buffered(self) -> pa.NativeFile:
        """A stream that writes here. To close it leaves what was written."""
        return pa.BufferedOutputStream(pa.PythonFile(self, mode="w"), BUFFER_BYTES)
