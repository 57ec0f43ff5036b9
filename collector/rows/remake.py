"""The object of a batch once more, from its record and the bytes of its spans: the same rows.

Each span was read in steps; each step is framed on its own, as it was then, and keeps its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from collector.model import BatchRecord, FileId, Lines, Origin, Span, Take
from collector.rows.batch import Batch

ARENA_BYTES = 16 << 20

Positions = NDArray[np.int64]
Frame = Callable[[NDArray[np.uint8], Positions, Positions, NDArray[np.bool_], int], Lines]
Step = tuple[Span, int, bytes]


def remake(
    batch: Batch, record: BatchRecord, found: Sequence[tuple[Span, bytes]], frame: Frame
) -> memoryview:
    """The encoded object with the rows of the spans `found`; `batch` is new, with the record's settings."""
    for observed_us, steps in _arenas(found):
        arena = np.frombuffer(b"".join(data for _, _, data in steps), np.uint8)
        lengths = np.array([len(data) for _, _, data in steps], np.int64)
        at = np.cumsum(lengths) - lengths
        lines = frame(arena, at, lengths, np.ones(len(steps), np.bool_), record.settings.max_line_bytes)
        counts = zip(steps, at.tolist(), lines.row_counts.tolist(), strict=True)
        takes = [_take(step, record.origins, at=where, rows=rows) for step, where, rows in counts]
        batch.catch_up()
        batch.add(arena, lines, takes, observed_us)
    return batch.seal().body.result()


def _arenas(found: Sequence[tuple[Span, bytes]]) -> Iterator[tuple[int, list[Step]]]:
    """The steps that made the spans, as many together as have one time and fit into an arena."""
    steps: list[Step] = []
    size = at = 0
    for span, data in found:
        start = span.start
        for end, observed_us in span.reads:
            step = (span, start, data[start - span.start : end - span.start])
            if steps and (observed_us != at or size + end - start > ARENA_BYTES):
                yield at, steps
                steps, size = [], 0
            steps.append(step)
            size, at, start = size + end - start, observed_us, end
    if steps:
        yield at, steps


def _take(step: Step, origins: Sequence[Origin], *, at: int, rows: int) -> Take:
    """A take as far as rows need it: the record says the rest."""
    span, start, data = step
    origin = origins[span.origin]
    return Take(
        file=FileId(origin.source, span.path, span.generation),
        name=span.name,
        origin=origin,
        at=at,
        start=start,
        end=start + len(data),
        rows=rows,
        line_feeds=0,
        terminated=False,
        evidence=span.evidence,
    )
