"""What was lost, by reason and by source: of this run and of those before it, as the checkpoint has it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

from collector.model import Loss, SourceCheckpoint
from collector.status import LostSource

MOST_SOURCES = 20
"""Of how many sources the status tells: there is no end of names on a volume."""


class Losses:
    """Begins with what `known` sources lost before; `found_bytes` counts what this run found."""

    def __init__(self, known: Iterable[SourceCheckpoint]) -> None:
        self.found_bytes = 0
        self.by_reason: Counter[str] = Counter()
        self._by_source: dict[str, Counter[str]] = {}
        self._worst: tuple[LostSource, ...] | None = None
        for source in known:
            self._count(source.losses)

    def add(self, losses: Iterable[Loss]) -> None:
        """Losses that stand in a record now, for the first time."""
        self.note_found(losses)
        self._count(losses)

    def note_found(self, losses: Iterable[Loss]) -> None:
        """Losses that this run found, and that it knows from the checkpoint already."""
        self.found_bytes += sum(loss.end - loss.start for loss in losses)

    def worst(self) -> tuple[LostSource, ...]:
        """The sources that lost most, the worst first."""
        if self._worst is None:
            totals = ((lost.total(), source) for source, lost in self._by_source.items())
            worst = heapq.nlargest(MOST_SOURCES, totals)
            self._worst = tuple(LostSource(source, dict(self._by_source[source])) for _, source in worst)
        return self._worst

    def _count(self, losses: Iterable[Loss]) -> None:
        for loss in losses:
            self.by_reason[loss.reason] += loss.end - loss.start
            self._by_source.setdefault(loss.source, Counter())[loss.reason] += loss.end - loss.start
            self._worst = None
