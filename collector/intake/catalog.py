"""Takes in what a scan saw, decides what each file is, and queues those that have something to read.

Decides with `identify`; reads evidence only where that asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from collector.events import Emit, FileRenamed, FileReplaced
from collector.intake.content import Asked, holds_all_of, is_there, starts_with_unread, up_to_holes
from collector.intake.copies import Nameless, content_of, cut_original, may_be_copy
from collector.intake.discover import FileSight, Look
from collector.intake.identify import Verdict, identify
from collector.intake.layout import Layout
from collector.intake.names import encode_name
from collector.intake.register import Register
from collector.intake.renames import other_of_the_inode, other_of_the_name, sort_out, that_holds_more
from collector.intake.track import NONE_DEFERRED, TrackedFile, TrackedSource, without
from collector.intake.volume import Volume
from collector.model import FileId, Origin

LONGEST_COPY = 30
"""A copy in progress may take so many times as long as a complete one waits."""


class Catalog(Register):
    """The register, kept by what is seen: each look at a source goes through `observe` or `vanished`."""

    def __init__(
        self,
        volume: Volume,
        name: str,
        layout: Layout,
        *,
        partial_after_seconds: float,
        settle_seconds: float,
        record_after_seconds: float | None = None,
        emit: Emit,
        follow: bool = True,
        origins: dict[str, Origin] | None = None,
    ) -> None:
        """`settle_seconds`: how long a likely copy waits for its original's truncation after it last grew.

        Who does not stay to `follow` takes a file's mtime for when it last grew: it may be by another clock.
        """
        super().__init__(
            name,
            layout,
            partial_after_seconds=partial_after_seconds,
            record_after_seconds=record_after_seconds,
            emit=emit,
            origins=origins,
        )
        self._volume = volume
        self._settle_seconds = settle_seconds
        self._follow = follow
        self._untouched: list[tuple[TrackedFile, FileSight]] = []
        """Files seen in the look at hand of which nothing was read yet."""
        self._sights: Sequence[FileSight] = ()
        """All that the look at hand saw."""
        self._cut: list[TrackedFile] = []
        """Contents of which it found that they are no longer in their file."""

    # --- one look at a source

    def observe(self, source: TrackedSource, look: Look, now: float) -> None:
        """Takes in what the source holds now: at `now`, in seconds by the wall clock."""
        try:
            self._observe(source, look, now)
        finally:
            self._sights = ()
            self._cut.clear()
            self._volume.leave()

    def _observe(self, source: TrackedSource, look: Look, now: float) -> None:
        source.looks += 1
        source.missing, source.missing_since = 0, 0.0
        source.tombstone = look.tombstone
        placed: set[TrackedFile] = set()
        strangers: list[FileSight] = []
        changed: list[tuple[bool, FileSight]] = []
        self._sights = up_to_holes(self._volume, source, look.files)
        for sight in self._sights:
            tracked = source.files.get(sight.name)
            if not tracked or tracked.inode != sight.inode or tracked.device != sight.device:
                strangers.append(sight)
            elif tracked.is_as_seen(sight):
                placed.add(tracked)
            else:
                changed.append((sight.size >= tracked.size, sight))
        # What was cut may go on in a file that seems to have grown.
        for _, sight in sorted(changed, key=itemgetter(0)):
            tracked = source.files.get(sight.name)
            if tracked:
                placed.add(self._seen(tracked, sight, placed, now))
            else:  # one before it was found to be this one
                strangers.append(sight)
        if strangers:
            self._place(source, strangers, placed, now)
        if len(placed) < len(source.files):
            self._miss_others(source, placed, look)
        if self._untouched:  # only now is it known what else there is
            self._admit_all(source, now)
        self._settle(source)

    def vanished(self, source: TrackedSource, now: float) -> None:
        """The source's directory is not there. Believed at the second look in a row; even then its files are
        known again, should it come back.
        """
        source.looks += 1
        source.missing += 1
        source.missing_since = source.missing_since or now
        if source.missing > 1:
            source.deferred = NONE_DEFERRED
            for tracked in source.files.values():
                self._out_of_reach(tracked)
        self._settle(source)

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

    def _seen(
        self, tracked: TrackedFile, sight: FileSight, placed: set[TrackedFile], now: float
    ) -> TrackedFile:
        """The same name and inode: grown, truncated or rewritten. Returns the file that it is now."""
        asked = Asked(self._volume, tracked, sight)
        verdict = self._verdict(tracked, sight, asked)
        if verdict is Verdict.GROWN and tracked.is_unsure:
            tracked.longest = tracked.size
        other = None
        if verdict is Verdict.GROWN and tracked.read_offset:
            other = self._goes_on_as(tracked, sight, placed)
            verdict = self._confirmed(tracked, sight, asked) if other is None else verdict
        if verdict in (Verdict.TRUNCATED, Verdict.REPLACED):
            other = other_of_the_inode(tracked, sight, placed, self._verdict)
            if other is None:
                return self._replace(tracked, sight, verdict.value, now)
        if other is not None:
            source = tracked.source
            source.take(sight.name)
            source.past += (tracked,)
            if other in placed:
                return other  # one more link to it
            self._tell_renamed(other, sight.name)
            self._unname(other)
            source.put(sight.name, other)
            tracked, verdict = other, Verdict.GROWN
        if verdict is not None or sight.size > tracked.read_offset:  # what cannot be read, the reader tells
            self._grow(tracked, sight, now)
        return tracked.source.files[sight.name]

    def _confirmed(self, tracked: TrackedFile, sight: FileSight, asked: Asked) -> Verdict | None:
        """Growth by size alone may be another content's, and it may be long before the reader sees that: what
        is counted as lost, should it go before, must be this one's.
        """
        try:
            if not asked():
                return Verdict.REPLACED
        except OSError:
            return None
        tracked.longest = max(tracked.longest, sight.size)
        return Verdict.GROWN

    def _grow(self, tracked: TrackedFile, sight: FileSight, now: float) -> None:
        if sight.size != tracked.size or tracked.mtime_ns is None:
            source = tracked.source
            stood_there = tracked.mtime_ns is None and source.looks <= 1  # before anybody looked
            grown_at = min(now, sight.mtime_ns / 1e9) if stood_there else now
            tracked.grown_at = now if self._follow else grown_at
            source.newest = max(source.newest, grown_at)
        elif sight.size == tracked.read_offset:
            self._lose(tracked, "truncated")  # it was longer once, and is not at two looks
        tracked.sighted(sight)
        if tracked.has_news and tracked.read_offset:
            self.queue.want(tracked)
        elif tracked.has_news:
            self._untouched.append((tracked, sight))

    def _place(
        self, source: TrackedSource, strangers: list[FileSight], placed: set[TrackedFile], now: float
    ) -> None:
        """Names that hold another inode than they did. Renames first: what was rotated keeps its identity."""
        renamed, others = sort_out(source, strangers, placed, self._verdict, self._holds)
        self._rename(source, renamed, now)
        links: set[tuple[int, int]] = set()
        for sight in others:
            if (sight.device, sight.inode) in links:
                continue  # a second hard link to a file that is new itself
            links.add((sight.device, sight.inode))
            self._stands_there(source, sight, placed, now)
            placed.add(source.files[sight.name])

    def _verdict(self, known: TrackedFile, sight: FileSight, asked: Asked | None = None) -> Verdict | None:
        """None where it cannot be told now: the file cannot be read, or is just going away."""
        try:
            return identify(known, sight, asked or Asked(self._volume, known, sight))
        except OSError:
            return None

    def _rename(
        self, source: TrackedSource, renamed: list[tuple[TrackedFile, FileSight]], now: float
    ) -> None:
        for known, _ in renamed:
            self._unname(known)
        for known, sight in renamed:
            displaced = source.take(sight.name)
            if displaced is not None:
                self._gone(displaced)
            self._tell_renamed(known, sight.name)
            source.put(sight.name, known)
            self._grow(known, sight, now)

    def _tell_renamed(self, known: TrackedFile, name: str) -> None:
        if known.name != name:
            file = known.file
            self._emit(
                FileRenamed(volume=self._name, source=file.source, path=file.path, to_name=encode_name(name))
            )

    def _unname(self, tracked: TrackedFile) -> None:
        """Takes it from wherever it is kept: a name leads to it again."""
        source = tracked.source
        if source.files.get(tracked.name) is tracked:
            source.take(tracked.name)
        elif tracked in source.gone:
            source.gone = without(source.gone, tracked)
        else:
            source.past = without(source.past, tracked)
        tracked.gone = False

    def _stands_there(
        self, source: TrackedSource, sight: FileSight, placed: set[TrackedFile], now: float
    ) -> None:
        """A name on another inode than before: a remount, a rewrite with more, or another file."""
        known = source.files.get(sight.name)
        verdict = self._in_its_place(known, sight) if known else Verdict.REPLACED
        other = None
        if known and verdict in (Verdict.SAME, Verdict.GROWN):
            other = self._goes_on_as(known, sight, placed)
            if other is None:
                self.queue.close(known)
                self._grow(known, sight, now)
                return
        if verdict is not None:
            other = other or other_of_the_name(source, sight, self._verdict)
            if known:
                source.take(known.name)
                self._gone(known)
            if other:
                self._unname(other)
                self.queue.close(other)
                source.put(sight.name, other)
                self._grow(other, sight, now)
            else:
                self._new(source, sight, now, why="replaced" if known else "created again")

    def _goes_on_as(
        self, known: TrackedFile, sight: FileSight, placed: set[TrackedFile]
    ) -> TrackedFile | None:
        """Of the contents that no name leads to by now, that of which the sight holds more than of `known`,
        with which it begins as well.
        """
        missing = [
            each
            for each in (known.source.namesakes(sight.name) if len(known.source.files) > 1 else ())
            if each.read_offset > known.read_offset and each not in placed and not self._is_found(each)
        ]
        restored = (past for past in known.source.past if past.is_restored)
        nameless = (*known.source.gone, *self._cut, *restored, *missing)
        return that_holds_more(known, sight, nameless, self._verdict, self._holds) if nameless else None

    def _holds(self, known: TrackedFile, sight: FileSight) -> bool:
        return holds_all_of(self._volume, known, sight)

    def _is_found(self, tracked: TrackedFile) -> bool:
        """Whether the look has its inode, or what goes on under its name; a rename can hide it from one."""
        if any((tracked.device, tracked.inode) == (sight.device, sight.inode) for sight in self._sights):
            return True
        named = next((sight for sight in self._sights if sight.name == tracked.name), None)
        if named is None:
            return is_there(self._volume, tracked)
        return self._verdict(tracked, named) is not Verdict.REPLACED

    def _in_its_place(self, known: TrackedFile, sight: FileSight) -> Verdict | None:
        verdict = self._verdict(known, sight)
        try:  # what its descriptor would give is not to be collected from both
            is_kept = verdict is Verdict.REPLACED and starts_with_unread(self._volume, known, sight)
        except OSError:
            return None
        return Verdict.GROWN if is_kept else verdict

    def _admit_all(self, source: TrackedSource, now: float) -> None:
        nameless = Nameless(self._volume, source)
        for tracked, sight in self._untouched:
            self._admit(nameless, tracked, sight, now)
        self._untouched.clear()

    def _admit(self, nameless: Nameless, tracked: TrackedFile, sight: FileSight, now: float) -> None:
        """Queues a file of which nothing was read yet, if it is not a copy of another."""
        source = tracked.source
        if nameless or (len(source.files) > 1 and source.has_namesakes(sight.name)):
            settled = self._is_settled(tracked, sight, now)
            try:
                original = content_of(self._volume, nameless, sight)
                if original is not None:
                    self._continue_as(original, tracked, sight, now)
                    return
                if settled:
                    waits = self._was_cut_unseen(tracked, sight)
                else:
                    waits = may_be_copy(self._volume, nameless, tracked, sight)
            except OSError:
                waits = not settled  # the reader will say why it cannot be read
            if waits:
                self.queue.drop(tracked)
                return
        source.settle(sight.name)
        self.queue.want(tracked)

    def _was_cut_unseen(self, tracked: TrackedFile, sight: FileSight) -> bool:
        """Whether it is the copy of a file that was cut meanwhile, which the next look then finds."""
        original = cut_original(self._volume, tracked, sight)
        if original is None:
            return False
        original.suspect = True
        self.urgent[original.source] = None
        return True

    def _is_settled(self, tracked: TrackedFile, sight: FileSight, now: float) -> bool:
        """Whether a copy would be complete by now. What grows on like its original may be written twice."""
        first = tracked.source.defer(sight.name, now)
        waited, quiet = now - first, now - max(first, tracked.grown_at)
        return quiet >= self._settle_seconds or waited >= LONGEST_COPY * self._settle_seconds

    def _continue_as(self, original: TrackedFile, copy: TrackedFile, sight: FileSight, now: float) -> None:
        source = copy.source
        if original.gone and original.is_unsure:
            original.size = original.longest  # what it grew by may have been written after the cut
        self._unname(original)
        source.settle(sight.name)
        self.queue.drop(copy)
        self.queue.close(original)
        self._untrack(copy)
        source.give_back(copy.file)
        source.put(sight.name, original)
        self._grow(original, sight, now)

    # --- what a content becomes

    def _new(self, source: TrackedSource, sight: FileSight, now: float, *, why: str) -> TrackedFile:
        path = encode_name(sight.name)
        generation = source.next_generation(path, self.floors.get(source.source, 0))
        tracked = self._track(source, FileId(source.source, path, generation), sight.name)
        source.put(sight.name, tracked)
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
        source.take(tracked.name)
        self.queue.drop(tracked)
        if tracked.suspect or why == Verdict.REPLACED.value:
            tracked.size = tracked.longest  # what it grew by was the new content's
        tracked.missing = 0
        source.past += (tracked,)
        self._cut.append(tracked)
        return self._new(source, sight, now, why=why)

    def _miss_others(self, source: TrackedSource, placed: set[TrackedFile], look: Look) -> None:
        unseen = tuple(f"{name}/" for name, _ in look.unreadable)
        for tracked in [known for known in source.files.values() if known not in placed]:
            if not f"{tracked.name}/".startswith(unseen):
                self._missed(tracked)

    def _missed(self, tracked: TrackedFile) -> None:
        """Not in this look. A rename during the listing can hide a file, so the second look decides, and
        only if its name leads to it no more.
        """
        tracked.missing += 1
        if tracked.missing > 1 and not is_there(self._volume, tracked):
            tracked.source.take(tracked.name)
            self._gone(tracked)
