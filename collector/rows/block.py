"""Columns and the memory they lie in: rows as bytes, rows made of pieces of them, numbers as columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Block:
    """Rows that lie back to back in `data`: row i is data[bounds[i]:bounds[i + 1]]. `roomy` ends with
    `data`, in the same memory; what it has before, nobody reads, and who makes a page of the rows may write
    there.
    """

    data: Bytes
    bounds: Positions
    roomy: Bytes | None = None

    @cached_property
    def extent(self) -> tuple[int, int]:
        """The lowest byte and the highest."""
        return (int(self.data.min()), int(self.data.max())) if len(self.data) else (0, 0)

    @property
    def is_ascii(self) -> bool:
        return self.extent[1] < 128

    @classmethod
    def of(cls, text: pa.StringArray, *, has_room: bool = False) -> Block:
        offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        whole = text.buffers()[2]
        memory = np.frombuffer(whole, np.uint8) if whole is not None and last else _NOTHING
        bounds = offsets.astype(np.int64) - first
        return cls(memory[first:last], bounds, memory[:last] if has_room and first else None)


_NOTHING = np.zeros(0, np.uint8)


def gathered(block: Block, start: Positions, end: Positions, twice: int = 0) -> pa.BinaryArray:
    """data[start:end] of each row, natively; both ascend, and no row's ends before it starts. What the first
    `twice` rows hold lies before them once more, in the same memory.

    Arrow's offsets ascend and meet, so what lies between is in the odd slots of an array whose even slots
    are the rows.
    """
    rows = len(start)
    offsets = np.empty(2 * rows + 1, np.int32)
    offsets[0:-1:2] = start
    offsets[1::2] = end
    offsets[-1] = offsets[-2] if rows else 0
    slots = pa.BinaryArray.from_buffers(
        pa.binary(), 2 * rows, [None, pa.py_buffer(offsets), pa.py_buffer(block.data)]
    )
    even = _evens[:rows] if rows <= len(_evens) else np.arange(0, 2 * rows, 2, dtype=np.int64)
    if not twice:
        return pc.take(slots, numbers(even), boundscheck=False)
    return pc.take(slots, numbers(np.concatenate([even[:twice], even])), boundscheck=False)[twice:]


_evens = np.arange(0, 1 << 16, 2, dtype=np.int64)


def numbers(values: NDArray[Any]) -> pa.Array:
    """As a column, in the same memory. `pa.array` would ask whether any are masked, and just for that import
    a part of numpy that takes 10 ms.
    """
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def truths(values: NDArray[np.bool_]) -> pa.BooleanArray:
    """As a column, a bit each; see `numbers`."""
    bits = np.packbits(values, bitorder="little")
    return pa.BooleanArray.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits)])
