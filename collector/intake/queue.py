"""Which files have something to read, and which wait for the end of a line."""

from __future__ import annotations

from collector.intake.track import TrackedFile, TrackedSource
from collector.status import FilesWaiting

REACH_SECONDS = 10.0
"""How long a file that was unlinked while open is still read after it last grew."""


class Queue:
    """`ready` holds files with something to read, longest waiting first; `partial` those whose rest is no
    complete row yet; `closed` those to be closed. Whoever takes a file out does what it is there for.
    """

    def __init__(self, *, partial_after_seconds: float, record_after_seconds: float | None = None) -> None:
        """After how long half a line, and a record of whole lines that may go on, are taken as they are."""
        self._partial_after = partial_after_seconds
        self._record_after = partial_after_seconds if record_after_seconds is None else record_after_seconds
        self.ready: dict[TrackedFile, None] = {}
        self.partial: dict[TrackedFile, float] = {}
        """With each file the seconds without growth after which its rest is taken."""
        self.closed: list[TrackedFile] = []
        self.unreadable: dict[TrackedFile, None] = {}
        """Files that could not be read at the last try: each look asks again."""
        self._stirred: dict[TrackedSource, None] = {}

    def take(self, tracked: TrackedFile) -> None:
        """It is being read now."""
        del self.ready[tracked]
        self._stirred[tracked.source] = None

    def take_stirred(self) -> dict[TrackedSource, None]:
        """The sources of which a file was read or dropped since the last call."""
        stirred, self._stirred = self._stirred, {}
        return stirred

    def want(self, tracked: TrackedFile) -> None:
        """Something may be there to read."""
        source = tracked.source
        if source.finished:
            source.finished, source.finish_by = False, None  # late bytes: a further receipt will follow
        self.partial.pop(tracked, None)
        self.ready.setdefault(tracked)

    def again(self, tracked: TrackedFile) -> None:
        """More is there to read, in a later turn."""
        self.ready[tracked] = None

    def wait(self, tracked: TrackedFile, *, ends_line: bool) -> None:
        """What is left is half a line, or (`ends_line`) whole lines of which more may follow."""
        self.partial[tracked] = self._patience(ends_line)

    def drop(self, tracked: TrackedFile) -> None:
        """Nothing more is to be read, unless it is asked for again."""
        tracked.waits_at = -1
        self._stirred[tracked.source] = None
        self.ready.pop(tracked, None)
        self.partial.pop(tracked, None)
        self.unreadable.pop(tracked, None)
        self.close(tracked)

    def close(self, tracked: TrackedFile) -> None:
        if tracked.descriptor >= 0:
            self.closed.append(tracked)

    def keep(self, tracked: TrackedFile) -> None:
        """Its descriptor is all that leads to it now: it is not to be closed."""
        if tracked in self.closed:
            self.closed.remove(tracked)

    def may_take_partial(self, tracked: TrackedFile, now: float, *, ends_line: bool) -> bool:
        """Whether what is no complete row is to be taken as it is."""
        return self._is_over(tracked, now, self._patience(ends_line))

    def _is_over(self, tracked: TrackedFile, now: float, patience: float) -> bool:
        patience = min(patience, REACH_SECONDS) if tracked.gone else patience
        return tracked.source.finish_by is not None or now - tracked.grown_at >= patience

    def _patience(self, ends_line: bool) -> float:
        return self._record_after if ends_line else self._partial_after

    def wake_partials(self, now: float) -> None:
        """Makes those ready whose rest has waited long enough."""
        for tracked in [at for at, patience in self.partial.items() if self._is_over(at, now, patience)]:
            tracked.waits_at = -1
            self.want(tracked)

    def next_partial(self) -> float | None:
        """When the next rest will have waited long enough."""
        return min((tracked.grown_at + patience for tracked, patience in self.partial.items()), default=None)

    def waiting(self) -> FilesWaiting:
        return FilesWaiting(len(self.ready), len(self.partial), len(self.unreadable))

    def unread_bytes(self) -> int:
        waiting = {*self.ready, *self.partial, *self.unreadable}
        return sum(tracked.unread_bytes for tracked in waiting)

    def unreadable_bytes(self) -> int:
        return sum(tracked.unread_bytes for tracked in self.unreadable)
