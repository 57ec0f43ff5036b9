"""The memory in which an object is made: it grows without being copied, and goes back to the system whole."""

from __future__ import annotations

import io
import mmap
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STEP_BYTES = 2 << 20
"""A large page of the processor: what a body takes first, and the least that it grows by."""

BUFFER_BYTES = 1 << 20
"""What encoders write is gathered to this much: for each write they have to wait for the interpreter."""


class Body(io.RawIOBase):
    """A file to write once. `view` ends that: the bytes written, without a copy.

    A buffer of an allocator doubles as it grows, and what it leaves behind is not given back while other
    threads allocate. Here growing moves pages, not bytes (mremap), and the last view gone frees all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        # Private: shared anonymous memory cannot grow.
        self._memory = mmap.mmap(-1, STEP_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._memory.madvise(mmap.MADV_HUGEPAGE)  # so it is touched for the first time in large pieces

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: ReadableBuffer) -> int:
        source = memoryview(data).cast("B")
        end = self.size + len(source)
        if end > len(self._memory):
            # By a step, or an eighth: seldom enough. Pages that were never written take no memory.
            size = max(end, len(self._memory) + max(STEP_BYTES, len(self._memory) // 8))
            self._memory.resize(-(-size // STEP_BYTES) * STEP_BYTES)
        self._memory[self.size : end] = source
        self.size = end
        return len(source)

    def view(self) -> memoryview:
        return memoryview(self._memory)[: self.size]

    def buffered(self) -> pa.NativeFile:
        """A stream that writes here. To close it leaves what was written."""
        return pa.BufferedOutputStream(pa.PythonFile(self, mode="w"), BUFFER_BYTES)
