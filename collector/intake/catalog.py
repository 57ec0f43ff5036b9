"""All sources and files of a shard: takes what a scan saw, decides what each file is, and keeps the queue of
those that have something to read. Decides with `identify`; reads evidence only where that asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from collector.events import BytesLost, Emit, EntrySkipped, FileRenamed, FileReplaced, SourceFound
from collector.intake.content import is_there, same_content
from collector.intake.copies import may_be_copy, truncated_original
from collector.intake.discover import FileSight, Look, SourceDir
from collector.intake.identify import Verdict, identify
from collector.intake.layout import Layout
from collector.intake.names import encode_name
from collector.intake.queue import Queue
from collector.intake.track import TrackedFile, TrackedSource
from collector.intake.volume import Volume
from collector.model import FileCheckpoint, FileId, Loss, LossReason

REACH_SECONDS = 10.0
"""How long a file that was unlinked while open is still read after it last grew."""


class Catalog:
    def __init__(
        self,
        volume: Volume,
        name: str,
        layout: Layout,
        *,
        partial_after_seconds: float,
        settle_seconds: float,
        emit: Emit,
    ) -> None:
        """`settle_seconds`: how long a likely copy in progress waits for its original's truncation."""
        self._volume = volume
        self._name = name
        self._layout = layout
        self._settle_seconds = settle_seconds
        self._emit = emit
        self.sources: dict[str, TrackedSource] = {}
        self.by_id: dict[FileId, TrackedFile] = {}
        self.queue = Queue(partial_after_seconds=partial_after_seconds)
        self.losses: list[Loss] = []
        """Losses found and not yet recorded anywhere; whoever records them takes them out."""
        self.urgent: dict[TrackedSource, None] = {}
        """Sources to be looked at as soon as may be."""
        self._under: dict[str, list[TrackedSource]] = {}
        self.floors: dict[str, int] = {}
        """Where generations start, for sources whose name was used before."""

    # --- sources

    def source(self, directory: SourceDir, now: float) -> TrackedSource:
        """The source of this directory; new ones are taken in."""
        name = directory.source
        known = self.sources.get(name)
        if known is not None:
            return known
        tracked = self.sources[name] = TrackedSource(
            directory, name, self._layout.origin(directory.parts), now
        )
        self._under.setdefault(directory.parts[0] if directory.parts else "", []).append(tracked)
        self._emit(SourceFound(volume=self._name, source=name, matched=tracked.origin.matched))
        return tracked

    def restore(
        self, source: TrackedSource, files: Iterable[FileCheckpoint], raw_name: Callable[[str], str]
    ) -> None:
        """Takes in what a checkpoint knows of a source. Names are encoded there and raw here."""
        for checkpoint in files:
            file = checkpoint.file
            tracked = self._track(source, file, raw_name(checkpoint.name))
            tracked.restore(checkpoint)
            source.generations[file.path] = max(source.generations.get(file.path, 0), file.generation + 1)
            if (newer := source.files.get(tracked.name)) and newer.file.generation > file.generation:
                source.past.append(tracked)
                continue
            if newer:
                source.past.append(newer)
            source.files[tracked.name] = tracked

    def forget(self, source: TrackedSource) -> None:
        """The source is gone from the volume and done with."""
        del self.sources[source.source]
        self.urgent.pop(source, None)
        parts = source.directory.parts
        self._under[parts[0] if parts else ""].remove(source)
        for tracked in (*source.files.values(), *source.gone, *source.past):
            self.queue.drop(tracked)
            self.by_id.pop(tracked.file, None)

    def under(self, name: str) -> list[TrackedSource]:
        """The sources in, or of, the directory `name` directly below the volume."""
        return self._under.get(name, [])

    def files(self) -> int:
        return len(self.by_id)

    # --- one look at a source

    def observe(self, source: TrackedSource, look: Look, now: float) -> None:
        """Takes in what the source holds now: at `now`, in seconds by the wall clock."""
        source.looks += 1
        source.missing, source.missing_since = 0, 0.0
        source.tombstone = look.tombstone
        self._report_skipped(source, look)
        placed: set[TrackedFile] = set()
        strangers: list[FileSight] = []
        for sight in look.files:
            tracked = source.files.get(sight.name)
            if tracked and (tracked.device, tracked.inode) == (sight.device, sight.inode):
                placed.add(self._seen(tracked, sight, now))
            else:
                strangers.append(sight)
        if strangers:
            self._place(source, strangers, placed, now)
        if len(placed) < len(source.files):
            for tracked in [known for known in source.files.values() if known not in placed]:
                self._missed(tracked)
        if source.gone or source.past:
            self._settle(source, now)

    def vanished(self, source: TrackedSource, now: float) -> None:
        """The source's directory is not there. Believed at the second look in a row; even then its files are
        known again, should it come back.
        """
        source.looks += 1
        source.missing += 1
        source.missing_since = source.missing_since or now
        if source.missing > 1:
            for tracked in source.files.values():
                self._out_of_reach(tracked)
        self._settle(source, now)

    def _out_of_reach(self, tracked: TrackedFile) -> None:
        """Its directory is gone: what a descriptor still gives is read, the rest is lost."""
        if not tracked.unread_bytes:
            return
        if tracked.descriptor >= 0:
            tracked.waits_at = -1
            self.queue.want(tracked)
        else:
            self.queue.drop(tracked)
            self._lose(tracked, "deleted")
            tracked.size = tracked.read_offset

    def _seen(self, tracked: TrackedFile, sight: FileSight, now: float) -> TrackedFile:
        """The same name and inode: grown, truncated or rewritten. Returns the file that it is now."""
        verdict = identify(tracked, sight, lambda: same_content(self._volume, tracked, sight.name))
        if verdict in (Verdict.TRUNCATED, Verdict.REPLACED):
            return self._replace(tracked, sight, verdict.value, now)
        self._grow(tracked, sight, now)
        return tracked.source.files[sight.name]

    def _grow(self, tracked: TrackedFile, sight: FileSight, now: float) -> None:
        if sight.size != tracked.size or tracked.mtime_ns is None:
            # What stood there before the first look grew when its mtime says, not now.
            seen_before = tracked.mtime_ns is not None
            tracked.grown_at = now if seen_before else min(now, sight.mtime_ns / 1e9)
            tracked.source.newest = max(tracked.source.newest, tracked.grown_at)
        tracked.sighted(sight)
        if tracked.has_news:
            self._admit(tracked, sight, now)

    def _place(
        self, source: TrackedSource, strangers: list[FileSight], placed: set[TrackedFile], now: float
    ) -> None:
        """Names that hold another inode than they did. Renames first: what was rotated keeps its identity."""
        inodes = {(known.device, known.inode): known for known in source.files.values()}
        renamed, others = [], []
        for sight in strangers:
            known = inodes.get((sight.device, sight.inode))
            if known is None:
                others.append(sight)
            elif known in placed:
                continue  # a second hard link to a file that still has its own name
            elif self._verdict(known, sight) is Verdict.RENAMED:
                renamed.append((known, sight))
                placed.add(known)
            else:
                others.append(sight)
        self._rename(source, renamed, now)
        for sight in others:
            inode = (sight.device, sight.inode)
            if inodes.get(inode) in placed:
                continue
            known = source.files.get(sight.name)
            if known is None:
                inodes[inode] = self._new(source, sight, now, why="created again")
            else:
                inodes[inode] = self._moved_inode(known, sight, now)
            placed.add(source.files[sight.name])

    def _verdict(self, known: TrackedFile, sight: FileSight) -> Verdict:
        return identify(known, sight, lambda: same_content(self._volume, known, sight.name))

    def _rename(
        self, source: TrackedSource, renamed: list[tuple[TrackedFile, FileSight]], now: float
    ) -> None:
        for known, _ in renamed:
            del source.files[known.name]
        for known, sight in renamed:
            displaced = source.files.pop(sight.name, None)
            if displaced is not None:
                self._gone(displaced)
            self._emit(
                FileRenamed(
                    volume=self._name,
                    source=source.source,
                    path=known.file.path,
                    to_name=encode_name(sight.name),
                )
            )
            source.files[sight.name] = known
            self._grow(known, sight, now)

    def _moved_inode(self, known: TrackedFile, sight: FileSight, now: float) -> TrackedFile:
        """The same name on another inode: a remount, a rewrite that kept the content, or another file."""
        if self._verdict(known, sight) in (Verdict.SAME, Verdict.GROWN):
            self.queue.close(known)
            self._grow(known, sight, now)
            return known
        del known.source.files[known.name]
        self._gone(known)
        return self._new(known.source, sight, now, why="replaced")

    def _admit(self, tracked: TrackedFile, sight: FileSight, now: float) -> None:
        """Queues a file that has news; an untouched one only if it is not a copy of another."""
        source = tracked.source
        if tracked.read_offset == 0 and (len(source.files) > 1 or source.past):
            original = truncated_original(self._volume, source, sight)
            if original is not None:
                self._continue_as(original, tracked, sight)
                return
            since = source.deferred.get(sight.name, now)
            settled = source.finish_by is not None or now - since >= self._settle_seconds
            if not settled and may_be_copy(self._volume, source, tracked, sight):
                source.deferred[sight.name] = since
                return
        source.deferred.pop(sight.name, None)
        self.queue.want(tracked)

    def _continue_as(self, original: TrackedFile, copy: TrackedFile, sight: FileSight) -> None:
        source = copy.source
        source.past.remove(original)
        source.deferred.pop(sight.name, None)
        self.queue.drop(copy)
        del self.by_id[copy.file]
        source.generations[copy.file.path] = copy.file.generation
        source.files[sight.name] = original
        original.sighted(sight)
        if original.has_news:
            self.queue.want(original)

    # --- what a content becomes

    def _track(self, source: TrackedSource, file: FileId, name: str) -> TrackedFile:
        origin = self._layout.file_origin(source.origin, tuple(name.split("/")))
        tracked = self.by_id[file] = TrackedFile(source, file, origin, name)
        return tracked

    def _new(self, source: TrackedSource, sight: FileSight, now: float, *, why: str) -> TrackedFile:
        path = encode_name(sight.name)
        generation = source.next_generation(path, self.floors.get(source.source, 0))
        tracked = self._track(source, FileId(source.source, path, generation), sight.name)
        source.files[sight.name] = tracked
        if generation:
            self._emit(
                FileReplaced(
                    volume=self._name, source=source.source, path=path, generation=generation, why=why
                )
            )
        self._grow(tracked, sight, now)
        return tracked

    def _replace(self, tracked: TrackedFile, sight: FileSight, why: str, now: float) -> TrackedFile:
        """The content is gone, the name stays. Its unread bytes are lost unless a copy of it turns up."""
        source = tracked.source
        del source.files[tracked.name]
        self.queue.drop(tracked)
        tracked.missing = 0
        source.past.append(tracked)
        return self._new(source, sight, now, why=why)

    def _missed(self, tracked: TrackedFile) -> None:
        """Not in this look. A rename during the listing can hide a file, so the second look decides, and
        only if its name leads to it no more.
        """
        tracked.missing += 1
        if tracked.missing > 1 and not is_there(self._volume, tracked):
            del tracked.source.files[tracked.name]
            self._gone(tracked)

    def _gone(self, tracked: TrackedFile) -> None:
        """No name leads to it any more. What a descriptor still reaches is read; the rest is lost."""
        tracked.gone = True
        if tracked.descriptor >= 0:
            tracked.source.gone.append(tracked)
            tracked.waits_at = -1
            self.queue.want(tracked)
        else:
            self._end(tracked, "deleted")

    def reach_ended(self, tracked: TrackedFile) -> None:
        """A gone file's descriptor is used up or broken: what it did not give is lost."""
        tracked.source.gone.remove(tracked)
        self._end(tracked, "deleted")

    def _end(self, tracked: TrackedFile, reason: LossReason) -> None:
        """No more of it can be had; it is kept until what was read of it is committed."""
        self.queue.drop(tracked)
        self._lose(tracked, reason)
        tracked.source.past.append(tracked)

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
        tracked.seen_bytes = start

    def _settle(self, source: TrackedSource, now: float) -> None:
        """Ends what waited: gone files that grow no more, truncated contents whose copy did not turn up."""
        for tracked in list(source.gone):
            if now - tracked.grown_at > REACH_SECONDS and tracked not in self.queue.ready:
                self.reach_ended(tracked)
        for tracked in source.past:
            tracked.missing += 1
            if tracked.missing > 2:
                self._lose(tracked, "truncated")

    def _report_skipped(self, source: TrackedSource, look: Look) -> None:
        for name, why in look.skipped:
            if name not in source.skipped:
                source.skipped.add(name)
                self._emit(
                    EntrySkipped(volume=self._name, source=source.source, path=encode_name(name), why=why)
                )

    # --- the end of a source

    def recheck(self, source: TrackedSource) -> None:
        """Opens every file of the source once more: on network file systems only that shows its true size."""
        for tracked in source.files.values():
            self.queue.close(tracked)
            tracked.waits_at = -1
            self.queue.want(tracked)

    def is_drained(self, source: TrackedSource) -> bool:
        """Whether everything that the last look saw was read."""
        if source.gone or any(past.seen_bytes > past.read_offset for past in source.past):
            return False
        return all(
            not tracked.unread_bytes and tracked not in self.queue.ready and not tracked.missing
            for tracked in source.files.values()
        )

    def is_stuck(self, source: TrackedSource) -> bool:
        """Whether its directory, or one of its files, cannot be read."""
        return bool(source.error) or any(
            tracked.retry_at and tracked.unread_bytes for tracked in source.files.values()
        )

    def has_failures(self) -> bool:
        return any(self.is_stuck(source) for source in self.sources.values())

    def is_committed(self, source: TrackedSource) -> bool:
        return all(
            tracked.committed_offset >= tracked.taken_offset
            for tracked in (*source.files.values(), *source.past)
        )

    def committed(self, source: str, path: str, generation: int, offset: int) -> None:
        """The destination has the file up to `offset`: only this moves the committed position."""
        tracked = self.by_id.get(FileId(source, path, generation))
        if tracked is not None:
            tracked.committed_offset = max(tracked.committed_offset, offset)

    def __iter__(self) -> Iterator[TrackedSource]:
        return iter(list(self.sources.values()))
