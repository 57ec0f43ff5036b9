"""When each source is to be looked at next: asked each poll interval, so it costs by what is due, not by
how many there are.
"""

from __future__ import annotations

from collector.intake.track import NOT_SCHEDULED, TrackedSource


class Schedule:
    """Sources by the second in which they are due, of a clock that only goes forward."""

    def __init__(self) -> None:
        self._due: dict[int, list[TrackedSource]] = {}
        self._latest = 0.0

    def at(self, source: TrackedSource, seconds: float) -> None:
        """It is to be looked at then, and not when an earlier call said."""
        if seconds != self._latest:  # one number for all that are looked at together
            self._latest = seconds
        source.look_at = self._latest
        self._due.setdefault(int(seconds), []).append(source)

    def take_due(self, seconds: float) -> list[TrackedSource]:
        """Those that are due now, the longest waiting first: each is to be scheduled anew."""
        due: list[TrackedSource] = []
        for slot in sorted(slot for slot in self._due if slot <= seconds):
            for source in dict.fromkeys(self._due.pop(slot)):
                if int(source.look_at) != slot:
                    continue  # it was put elsewhere meanwhile
                if source.look_at > seconds:
                    self.at(source, source.look_at)
                else:
                    source.look_at = NOT_SCHEDULED
                    due.append(source)
        return due
