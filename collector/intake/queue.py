"""Which files have something to read, and which wait for the end of a line."""

from __future__ import annotations

from collector.intake.track import TrackedFile


class Queue:
    """`ready` holds files with something to read, longest waiting first; `partial` those whose rest is no
    complete line yet; `closed` those to be closed. Whoever takes a file out does what it is there for.
    """

    def __init__(self, *, partial_after_seconds: float) -> None:
        self._partial_after = partial_after_seconds
        self.ready: dict[TrackedFile, None] = {}
        self.partial: dict[TrackedFile, None] = {}
        self.closed: list[TrackedFile] = []

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
        """Nothing more is to be read."""
        self.ready.pop(tracked, None)
        self.partial.pop(tracked, None)
        self.close(tracked)

    def close(self, tracked: TrackedFile) -> None:
        if tracked.descriptor >= 0:
            self.closed.append(tracked)

    def may_take_partial(self, tracked: TrackedFile, now: float) -> bool:
        """Whether an unterminated rest is to be taken as it is."""
        finishing = tracked.source.finish_by is not None
        return finishing or tracked.gone or now - tracked.grown_at >= self._partial_after

    def wake_partials(self, now: float) -> None:
        """Makes those ready whose unterminated rest has waited long enough."""
        for tracked in [waiting for waiting in self.partial if self.may_take_partial(waiting, now)]:
            tracked.waits_at = -1
            self.want(tracked)

    def next_partial(self) -> float | None:
        """When the next unterminated rest will have waited long enough."""
        return min((tracked.grown_at + self._partial_after for tracked in self.partial), default=None)

    def unread_bytes(self) -> int:
        return sum(tracked.unread_bytes for tracked in {**self.ready, **self.partial})
