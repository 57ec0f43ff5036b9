"""Columns of two readers in one: what the fast one did not decide comes from the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

MOST_RUNS = 64
"""Of rows that follow each other. To lay so few pieces end to end is ten times as fast as row by row."""


def merged(
    columns: Sequence[pa.Array], rows: NDArray[np.bool_], values: Sequence[pa.Array]
) -> list[pa.Array]:
    """Each column with its values, in order, in the places where `rows` is."""
    edges = np.flatnonzero(np.diff(rows, prepend=False, append=False)).tolist()
    pairs = zip(columns, values, strict=True)
    if len(edges) > 2 * MOST_RUNS:
        mask = pa.array(rows)
        return [pc.replace_with_mask(column, mask, new) for column, new in pairs]
    return [_laid(column, edges, new) for column, new in pairs]


def _laid(column: pa.Array, edges: Sequence[int], values: pa.Array) -> pa.Array:
    """`edges` are where each run of new values begins and ends."""
    parts, at, taken = [], 0, 0
    for first, stop in zip(edges[::2], edges[1::2], strict=True):
        parts += [column.slice(at, first - at), values.slice(taken, stop - first)]
        at, taken = stop, taken + stop - first
    return pa.concat_arrays([*parts, column.slice(at)])
