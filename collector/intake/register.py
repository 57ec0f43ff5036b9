"""All sources and files of a shard that are known: from its checkpoint, and from the looks so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from collector.events import BytesLost, Emit, SourceFound
from collector.intake.discover import SourceDir
from collector.intake.layout import Layout
from collector.intake.queue import Queue
from collector.intake.schedule import Schedule
from collector.intake.track import TrackedFile, TrackedSource, without
from collector.model import FileCheckpoint, FileId, Loss, LossReason, Origin

MOST_PAST = 16
"""Past contents of a source by which copies of them are known."""


class Register:
    def __init__(
        self,
        name: str,
        layout: Layout,
        *,
        partial_after_seconds: float,
        record_after_seconds: float | None = None,
        emit: Emit,
        origins: dict[str, Origin] | None = None,
    ) -> None:
        """`origins` are those of sources seen before, by their names; they are taken out as they are used."""
        self._name = name
        self._layout = layout
        self._origins = {} if origins is None else origins
        self._emit = emit
        self.sources: dict[str, TrackedSource] = {}
        self.unmatched = 0
        """How many of them the layout does not match."""
        self._files = 0
        self._uncommitted: dict[tuple[str, str, int], TrackedFile] = {}
        """Files of which more was taken than is committed, by source, path, generation: a commit speaks of no
        others.
        """
        self.queue = Queue(
            partial_after_seconds=partial_after_seconds, record_after_seconds=record_after_seconds
        )
        self.losses: list[Loss] = []
        """Losses found and not yet on their way to the destination; `take_losses` takes them out."""
        self._on_their_way: Counter[str] = Counter()
        """How many losses of each source were taken out and do not stand in the destination yet."""
        self.urgent: dict[TrackedSource, None] = {}
        """Sources to be looked at as soon as may be."""
        self.schedule = Schedule()
        self._forgotten: list[SourceDir] = []
        self.unsettled: dict[TrackedSource, None] = {}
        """Sources of which the next look is to tell what became of a file."""
        self.floors: dict[str, int] = {}
        """Where generations start, for sources whose name was used before; 0 where it is not here."""

    def take_losses(self) -> tuple[Loss, ...]:
        """For whoever records them, and says so by `recorded`."""
        taken, self.losses = tuple(self.losses), []
        self._on_their_way.update(loss.source for loss in taken)
        return taken

    def recorded(self, losses: Iterable[Loss]) -> None:
        """These losses stand in the destination, and in the checkpoint."""
        self._on_their_way.subtract(loss.source for loss in losses)

    def has_unrecorded(self, source: TrackedSource) -> bool:
        """Whether losses of the source were found that the checkpoint does not know yet."""
        name = source.source
        return self._on_their_way[name] > 0 or any(loss.source == name for loss in self.losses)

    def recall(self, directory: SourceDir) -> SourceDir:
        """The same directory, as it is kept already where its source is known: one copy of it will do."""
        known = self.sources.get(directory.source)
        if known is None or known.directory.flat != directory.flat:
            return directory
        return known.directory

    def source(self, directory: SourceDir, now: float) -> TrackedSource:
        """The source of this directory; new ones are taken in."""
        name = directory.source
        known = self.sources.get(name)
        if known is not None:
            return known
        origin = self._origins.pop(name, None) or self._layout.origin(directory.parts)
        self.unmatched += not origin.matched
        tracked = self.sources[name] = TrackedSource(directory, name, origin, now)
        self._emit(SourceFound(volume=self._name, source=name, matched=tracked.origin.matched))
        return tracked

    def restore(
        self,
        source: TrackedSource,
        files: Iterable[FileCheckpoint],
        losses: Iterable[Loss],
        raw_name: Callable[[str], str],
    ) -> None:
        """Takes in what a checkpoint knows of a source. Names are encoded there and raw here."""
        following = dict(source.generations.items())
        for loss in losses:  # also of files that nothing else is known of
            following[loss.path] = max(following.get(loss.path, 0), loss.generation + 1)
        for checkpoint in files:
            file = checkpoint.file
            tracked = self._track(source, file, raw_name(checkpoint.name), is_new=not checkpoint.offset)
            tracked.restore(checkpoint)
            following[file.path] = max(following.get(file.path, 0), file.generation + 1)
            if (newer := source.files.get(tracked.name)) and newer.file.generation > file.generation:
                source.past += (tracked,)
                continue
            if newer:
                source.past += (newer,)
            source.put(tracked.name, tracked)
        source.set_generations(following)

    def forget(self, source: TrackedSource) -> None:
        """The source is gone from the volume and done with."""
        del self.sources[source.source]
        self.unmatched -= not source.origin.matched
        self._forgotten.append(source.directory)
        self.urgent.pop(source, None)
        self.unsettled.pop(source, None)
        for tracked in (*source.files.values(), *source.gone, *source.past):
            self.queue.drop(tracked)
            self._untrack(tracked)

    def take_forgotten(self) -> list[SourceDir]:
        """The directories of sources that were forgotten since the last call: there, they would be new."""
        forgotten, self._forgotten = self._forgotten, []
        return forgotten

    def deleted(self, tracked: TrackedFile) -> None:
        """Retention deleted the file, of which all is committed: what comes under its name is another one."""
        tracked.source.take(tracked.name)
        self.queue.drop(tracked)
        self._untrack(tracked)

    def files(self) -> int:
        return self._files

    def _track(self, source: TrackedSource, file: FileId, name: str, *, is_new: bool = True) -> TrackedFile:
        origin = self._layout.file_origin(source.origin, tuple(name.split("/")))
        self._files += 1
        return TrackedFile(source, file, origin, name, is_new=is_new)

    def _untrack(self, tracked: TrackedFile) -> None:
        self._files -= 1
        self._uncommitted.pop(_key(tracked.file), None)

    def is_drained(self, source: TrackedSource) -> bool:
        """Whether everything that the last look saw was read."""
        if source.gone or any(past.seen_bytes > past.read_offset for past in source.past):
            return False
        ready = self.queue.ready
        return not any(
            tracked.longest > tracked.read_offset
            or tracked.size > tracked.read_offset
            or tracked in ready
            or (tracked.missing and source.missing <= 1)  # of a directory that is gone nothing will show
            for tracked in source.files.values()
        )

    def is_committed(self, source: TrackedSource) -> bool:
        return all(
            tracked.committed_offset >= tracked.taken_offset
            for tracked in (*source.files.values(), *source.past)
        )

    def is_stuck(self, source: TrackedSource) -> bool:
        """Whether its directory, or one of its files, cannot be read."""
        return bool(source.error) or any(
            tracked.retry_at and tracked.unread_bytes for tracked in source.files.values()
        )

    def is_retried(self, source: TrackedSource) -> bool:
        """Whether one of its files failed, and another try may still tell something."""
        return any(tracked.failures and tracked.unread_bytes for tracked in source.files.values())

    def recheck(self, source: TrackedSource) -> None:
        """Opens every file of the source once more: on network file systems only that shows its true size."""
        for tracked in source.files.values():
            if tracked.name not in source.deferred:
                self.queue.close(tracked)
                tracked.waits_at = -1
                self.queue.want(tracked)

    def has_deferred(self) -> bool:
        """Whether a file waits because it may be a copy in progress."""
        return any(source.deferred for source in self.sources.values())

    def has_unsettled(self) -> bool:
        """Whether only further looks can tell what became of some file."""
        return any(not source.error for source in self.unsettled)

    def forget_past(self, source: TrackedSource) -> None:
        """Drops the oldest past contents of a source that rotates for ever: their checkpoints are kept."""
        for tracked in source.past[:-MOST_PAST]:
            if tracked.committed_offset >= tracked.taken_offset and tracked.missing > 2:
                source.past = without(source.past, tracked)
                self._untrack(tracked)

    def has_failures(self) -> bool:
        return any(self.is_stuck(source) for source in self.sources.values())

    def taken(self, tracked: TrackedFile) -> None:
        """More of the file was read into a batch."""
        self._uncommitted[_key(tracked.file)] = tracked

    def committed(self, source: str, path: str, generation: int, offset: int) -> None:
        """The destination has the file up to `offset`: only this moves the committed position."""
        tracked = self._uncommitted.get((source, path, generation))
        if tracked is None:
            return
        tracked.committed_offset = max(tracked.committed_offset, offset)
        if tracked.committed_offset >= tracked.taken_offset:
            del self._uncommitted[source, path, generation]

    def give_up(self, tracked: TrackedFile) -> None:
        """Counts what is left of a file that cannot be read as lost."""
        self.queue.drop(tracked)
        self._lose(tracked, "unreadable")
        tracked.size = tracked.read_offset

    def _lose(self, tracked: TrackedFile, reason: LossReason) -> None:
        start, end = tracked.read_offset, tracked.seen_bytes
        if end <= start:
            return
        file = tracked.file
        self.losses.append(Loss(file.source, file.path, file.generation, start, end, reason))
        self._emit(
            BytesLost(
                volume=self._name,
                source=file.source,
                path=file.path,
                generation=file.generation,
                start=start,
                end=end,
                reason=reason,
            )
        )
        tracked.longest, tracked.size = start, min(tracked.size, start)

    def _gone(self, tracked: TrackedFile) -> None:
        """No name leads to it. What a descriptor still reaches is read. The rest is lost, if it does not turn
        up under another name: a rename during the listing can hide a file.
        """
        tracked.gone = True
        tracked.missing = 0
        tracked.source.gone += (tracked,)
        if tracked.descriptor >= 0:
            self.queue.keep(tracked)
        else:
            self.queue.drop(tracked)

    def deleted_late(self, tracked: TrackedFile, size: int, now: float) -> None:
        """Retention deleted the file while it grew: the rest is read through the descriptor that it has."""
        tracked.source.take(tracked.name)
        tracked.size, tracked.grown_at = size, now
        self._gone(tracked)
        self.queue.want(tracked)

    def reach_ended(self, tracked: TrackedFile) -> None:
        """A gone file's descriptor is used up or broken: what it did not give is lost."""
        tracked.source.gone = without(tracked.source.gone, tracked)
        self._end(tracked, "deleted")

    def _end(self, tracked: TrackedFile, reason: LossReason) -> None:
        """No more of it can be had; it is kept until what was read of it is committed."""
        self.queue.drop(tracked)
        self._lose(tracked, reason)
        tracked.source.past += (tracked,)

    def _settle(self, source: TrackedSource) -> None:
        """Ends what waited: gone files that grow no more, truncated contents whose copy did not turn up."""
        for tracked in source.gone:
            tracked.missing += 1
            if tracked.descriptor >= 0:
                tracked.waits_at = -1
                self.queue.want(tracked)
            elif tracked.missing > 1:
                self.reach_ended(tracked)
        for tracked in source.past:
            tracked.missing += 1
            if tracked.missing > 2:
                self._lose(tracked, "truncated")
        self.forget_past(source)
        source.unsettled = bool(source.deferred or source.gone or source.missing == 1) or any(
            tracked.seen_bytes > tracked.read_offset
            for tracked in (*source.past, *source.files.values())
            if tracked.missing
        )
        if source.unsettled:
            self.unsettled[source] = None
        else:
            self.unsettled.pop(source, None)

    def __iter__(self) -> Iterator[TrackedSource]:
        return iter(list(self.sources.values()))


def _key(file: FileId) -> tuple[str, str, int]:
    return file.source, file.path, file.generation
