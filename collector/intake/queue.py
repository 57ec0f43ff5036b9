"""Which files have something to read, and which wait for the end of a line."""

from __future__ import annotations

from collector.intake.track import TrackedFile

REACH_SECONDS = 10.0
"""How long a file that was unlinked while open is still read after it last grew."""


class Queue:
    """`ready` holds files with something to read, longest waiting first; `partial` those whose rest is no
    complete line yet; `closed` those to be closed. Whoever takes a file out does what it is there for.
    """

    def __init__(self, *, partial_after_seconds: float) -> None:
        self._partial_after = partial_after_seconds
        self.ready: dict[TrackedFile, None] = {}
        self.partial: dict[TrackedFile, None] = {}
        self.closed: list[TrackedFile] = []
        self.unreadable: dict[TrackedFile, None] = {}
        """Files that could not be read at the last try: each look asks again."""

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

    def wait(self, tracked: TrackedFile) -> None:
        """What is left is half a line."""
        self.partial[tracked] = None

    def drop(self, tracked: TrackedFile) -> None:
        """Nothing more is to be read, unless it is asked for again."""
        tracked.waits_at = -1
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

    def may_take_partial(self, tracked: TrackedFile, now: float) -> bool:
        """Whether an unterminated rest is to be taken as it is."""
        patience = min(self._partial_after, REACH_SECONDS) if tracked.gone else self._partial_after
        return tracked.source.finish_by is not None or now - tracked.grown_at >= patience

    def wake_partials(self, now: float) -> None:
        """Makes those ready whose unterminated rest has waited long enough."""
        for tracked in [waiting for waiting in self.partial if self.may_take_partial(waiting, now)]:
            tracked.waits_at = -1
            self.want(tracked)

    def next_partial(self) -> float | None:
        """When the next unterminated rest will have waited long enough."""
        return min((tracked.grown_at + self._partial_after for tracked in self.partial), default=None)

    def unread_bytes(self) -> int:
        waiting = {**self.ready, **self.partial, **self.unreadable}
        return sum(tracked.unread_bytes for tracked in waiting)

    def unreadable_bytes(self) -> int:
        return sum(tracked.unread_bytes for tracked in self.unreadable)
