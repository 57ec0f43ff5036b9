"""Sets of byte ranges [start, end) of one file. Pure; the ranges of a healthy file join into one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]


class Ranges:
    """Disjoint ranges in order; those that touch are joined. Empty ranges are nothing."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def __iter__(self) -> Iterator[Range]:
        return iter(zip(self._starts, self._ends, strict=True))

    @property
    def end(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def size(self) -> int:
        return sum(self._ends) - sum(self._starts)

    def add(self, start: int, end: int) -> list[Range]:
        """Adds [start, end); returns those parts of it that were there already."""
        if start >= end:
            return []
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        touched = list(zip(self._starts[first:last], self._ends[first:last], strict=True))
        if touched:
            self._starts[first:last] = [min(start, touched[0][0])]
            self._ends[first:last] = [max(end, touched[-1][1])]
        else:
            self._starts.insert(first, start)
            self._ends.insert(first, end)
        return list(_common(touched, start, end))

    def missing(self, start: int, end: int) -> Iterator[Range]:
        """The parts of [start, end) that are not in the set."""
        at = start
        for index in range(bisect_right(self._ends, start), bisect_left(self._starts, end)):
            if self._starts[index] > at:
                yield at, self._starts[index]
            at = self._ends[index]
        if at < end:
            yield at, end


def _common(ranges: Iterable[Range], start: int, end: int) -> Iterator[Range]:
    for low, high in ranges:
        if max(low, start) < min(high, end):
            yield max(low, start), min(high, end)
