"""The sources whose receipt stands: since when, and as what they are to be proved."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from collector.expiry import Choice
from collector.intake.catalog import Catalog
from collector.intake.removal import times_of
from collector.intake.track import TrackedSource
from collector.model import SourceCheckpoint
from collector.pipeline import Clock
from collector.prover import Order
from collector.records import receipt_key
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder

STAMP_SECONDS = 2.0
"""How far the time of a write may be behind our clock: file systems round it, servers' clocks differ."""


class Finished:
    def __init__(self, catalog: Catalog, checkpoint: Checkpoint, folder: StateFolder, clock: Clock) -> None:
        self._catalog, self._checkpoint, self._folder = catalog, checkpoint, folder
        self._clock = clock

    def note_times(self) -> None:
        """Receipts of which nobody noted when they came to stand count from now."""
        now = datetime.fromtimestamp(self._clock.steady(), UTC)
        noted = [
            replace(known, receipted_at=now)
            for known in self._checkpoint.sources.values()
            if known.finished_by and not known.retired and known.receipted_at is None
        ]
        for known in noted:
            self._checkpoint.note_source(known)
        if noted:
            self._folder.append(sources=noted)

    def standing(self, source: TrackedSource) -> SourceCheckpoint | None:
        """What is known of the source, where it has its receipt and nothing came since."""
        known = self._checkpoint.sources.get(source.source)
        if known is None or known.retired or not (known.revision and known.finished_by):
            return None
        stands = source.finished and source.looks and not (source.missing or source.gone or source.error)
        return known if stands else None

    def order(self, choice: Choice) -> Order | None:
        """What is to be proved of the source; None where it is not finished any more."""
        source = self._catalog.sources.get(choice.source)
        known = self.standing(source) if source else None
        if source is None or known is None:
            return None
        files = tuple(self._checkpoint.files_of(known.source))
        committed = {at.file: at for at in files}
        since = known.receipted_at.timestamp() - STAMP_SECONDS if known.receipted_at else 0.0
        touched = [
            (tracked.name, committed[tracked.file])
            for tracked in source.files.values()
            if tracked.file in committed and (tracked.mtime_ns or 0) > since * 1e9
        ]
        return Order(
            choice, source.directory, self.key(known), known, files, times_of(source), tuple(touched)
        )

    def key(self, known: SourceCheckpoint) -> str:
        """Of its last receipt."""
        return receipt_key(known.origin.namespace, known.source, self._checkpoint.volume, known.revision)
