"""A Job's or Pod's log read back: its rows from all objects, file by file, each once and in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.errors import Incomplete, ObjectMissing, UsageError
from collector.model import BatchRecord, BatchSettings, FileId, Loss, Origin, Receipt, VoidRecord
from collector.query.export import Claim, batches, newest_receipts
from collector.query.fields import with_text
from collector.query.objects import Objects
from collector.query.rows import TEXT_COLUMNS, UTC_MICROSECONDS, ObjectRef, file_of, lengths_of
from collector.query.wanted import Wanted, near_names, parse_target
from collector.sink.store import Store
from collector.value import value


@value
class Filter:
    """Which rows: observed at `since` or later; `message` matches the regular expression `grep` (RE2)."""

    since: datetime | None = None
    grep: str | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for what is no regular expression."""
        try:
            pc.match_substring_regex(pa.array([""]), pattern=self.grep or "")
        except pa.ArrowInvalid as error:
            hint = "write it in RE2 syntax (no look-around, no back-references)"
            raise UsageError(f"--grep: {error}", hint=hint) from None

    def apply(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        if self.since is not None:
            since = pa.scalar(self.since, UTC_MICROSECONDS)
            rows = rows.filter(pc.greater_equal(rows["observed_at"], since))
        if self.grep is not None:
            rows = rows.filter(pc.match_substring_regex(rows["message"], pattern=self.grep))
        return rows


EVERYTHING = Filter()


@value
class Rows:
    """Some rows of one file, after those that came before. `rows` has at least `TEXT_COLUMNS`."""

    volume: str
    origin: Origin
    file: FileId
    rows: pa.RecordBatch

    @property
    def label(self) -> str:
        return f"{self.origin.pod or self.origin.source}/{self.file.path}"


@dataclass(slots=True)
class FoundFile:
    """One file of what was asked for, and the objects that hold its rows, by the offset they begin at."""

    volume: str
    origin: Origin
    file: FileId
    first_us: int
    parts: list[tuple[int, int, ObjectRef]] = field(default_factory=list)
    """Start offset, last microsecond observed, object."""


@dataclass(slots=True)
class Found:
    """All files of what was asked for, in the order they are shown: Pods and paths as they were first
    observed. `losses` are theirs; `given_up` the keys of objects that never came.
    """

    wanted: Wanted
    files: list[FoundFile] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)
    by_object: dict[str, frozenset[FileId]] = field(default_factory=dict)


def read(
    store: Store,
    namespace: str,
    name: str,
    *,
    rows: Filter = EVERYTHING,
    warn: Callable[[str], None] | None = None,
) -> Iterator[Rows]:
    """The log of the Job or Pod `name`, file by file. Raises Incomplete where nothing has that name."""
    return read_found(store, find(store, Wanted(namespace, name)), rows=rows, warn=warn)


def find(store: Store, wanted: Wanted) -> Found:
    """Where the rows are, by the commit records. Raises Incomplete, with near names, for the unknown."""
    found = Found(wanted)
    files: dict[tuple[str, FileId], FoundFile] = {}
    losses: list[tuple[str, Loss]] = []
    for item in batches(store, keep=wanted.may_be_in()):
        if isinstance(item, Claim):
            _add_batch(found, files, item)
        record = item.record if isinstance(item, Claim) else item
        losses += ((record.volume, loss) for loss in record.losses)
    if not files and not any(map(wanted.matches, _receipt_origins(newest_receipts(store, wanted.namespace)))):
        raise unknown(store, wanted)
    sources = {(file.volume, file.file.source) for file in files.values()}
    found.losses = [loss for volume, loss in losses if (volume, loss.source) in sources]
    found.files = _ordered(files.values())
    return found


def read_found(
    store: Store,
    found: Found,
    *,
    rows: Filter = EVERYTHING,
    every_column: bool = False,
    warn: Callable[[str], None] | None = None,
) -> Iterator[Rows]:
    """The rows of what was found, each once, also where records overlap. `warn` is told of each object
    that should be there and is not.
    """
    objects = Objects(store, None if every_column else TEXT_COLUMNS)
    missing: set[str] = set()
    for file in found.files:
        position = 0
        for _, last_us, ref in sorted(file.parts, key=lambda part: part[:2]):
            if ref.key in missing or _is_before(last_us, rows.since):
                continue
            try:
                for batch in objects.rows(ref, file.file, found.by_object[ref.key]):
                    fresh, position = unread(batch, position, ref.settings)
                    chosen = rows.apply(fresh if every_column else with_text(fresh, ref.settings))
                    if len(chosen):
                        yield Rows(file.volume, file.origin, file.file, chosen)
            except ObjectMissing:
                missing.add(ref.key)
                if ref.key not in found.given_up and warn:
                    warn(f"{ref.key} is not there (yet): its lines are missing here")


def unread(rows: pa.RecordBatch, position: int, settings: BatchSettings) -> tuple[pa.RecordBatch, int]:
    """Those rows that end behind all rows before them, of which the last ended at `position`; and where
    the last one ends now.
    """
    if not len(rows):
        return rows, position
    # Where rows hold something else than the file, only their first bytes have a place in it.
    lengths = 1 if settings.changes_rows else np.maximum(lengths_of(rows), 1)
    ends = rows["offset"].to_numpy() + lengths
    before = np.maximum.accumulate(np.concatenate([[position], ends[:-1]]))
    is_new = ends > before
    return (rows if is_new.all() else rows.filter(pa.array(is_new))), max(position, int(ends.max()))


def matching(wanted: Wanted, record: BatchRecord, voids: Iterable[VoidRecord] = ()) -> ObjectRef | None:
    """The record's object with those spans that are wanted (a raw object with all); None where none are."""
    of = {index for index, origin in enumerate(record.origins) if wanted.matches(origin)}
    if not any(span.origin in of for span in record.spans):
        return None
    ref = ObjectRef.of(record, voids)
    if record.settings.format == "raw":
        return ref
    spans = tuple((record.origins[span.origin], span) for span in record.spans if span.origin in of)
    return replace(ref, spans=spans)


def unknown(store: Store, wanted: Wanted) -> Incomplete:
    """The error that says that nothing has this name, and what has a similar one."""
    origins = {origin for item in batches(store) if isinstance(item, Claim) for origin in item.record.origins}
    origins.update(_receipt_origins(newest_receipts(store)))
    near = near_names(wanted, origins)
    hint = f"did you mean {' or '.join(near)}?" if near else "joblog jobs lists what is there"
    what = str(wanted)
    if wanted.pod is not None or wanted.container is not None:
        parts = (("pod", wanted.pod), ("container", wanted.container))
        what += "".join(f", {kind} {name}" for kind, name in parts if name is not None)
    return Incomplete(f"nothing in {store.url} is named {what}", hint=hint)


def split_target(target: str) -> tuple[str, str]:
    """Raises UsageError for what is no `NAMESPACE/NAME`."""
    namespace, name = parse_target(target)
    if not name:
        raise UsageError(f"{target!r} is no NAMESPACE/NAME", hint="write for example default/nightly")
    return namespace, name


def _add_batch(found: Found, files: dict[tuple[str, FileId], FoundFile], claim: Claim) -> None:
    record = claim.record
    ref = matching(found.wanted, record, claim.voids)
    if ref is None:
        return
    if claim.given_up:
        found.given_up.add(record.object_key)
    here = set()
    for origin, span in ref.spans:
        if not span.reads or not found.wanted.matches(origin):
            continue
        file = file_of(origin, span)
        first_us, last_us = span.reads[0][1], span.reads[-1][1]
        entry = files.setdefault((record.volume, file), FoundFile(record.volume, origin, file, first_us))
        if file not in here:
            entry.parts.append((span.start, last_us, ref))
            here.add(file)
    found.by_object[record.object_key] = frozenset(here)


def _ordered(files: Iterable[FoundFile]) -> list[FoundFile]:
    """By Pod, then path, each at its first observation, then generation."""
    every = list(files)
    pods: dict[tuple[str, str], int] = defaultdict(lambda: 1 << 63)
    paths: dict[tuple[str, str, str], int] = defaultdict(lambda: 1 << 63)
    for file in every:
        pod, path = _pod(file), (*_pod(file), file.file.path)
        pods[pod] = min(pods[pod], file.first_us)
        paths[path] = min(paths[path], file.first_us)

    def place(file: FoundFile) -> tuple[object, ...]:
        pod, path = _pod(file), (*_pod(file), file.file.path)
        return pods[pod], pod, paths[path], file.file.path, file.file.generation

    return sorted(every, key=place)


def _pod(file: FoundFile) -> tuple[str, str]:
    return file.volume, file.file.source


def _is_before(last_us: int, since: datetime | None) -> bool:
    return since is not None and last_us < since.timestamp() * 1e6 - 1


def _receipt_origins(receipts: Iterable[tuple[str, Receipt]]) -> Iterator[Origin]:
    for _, each in receipts:
        yield Origin(each.source, each.namespace is not None, each.namespace, each.job, each.pod)
