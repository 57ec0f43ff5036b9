"""What is in the destination, compared with what the model knows was written."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pyarrow.parquet as pq
from modelled_volume import Content, Volume, marks

from collector.query.verify import verify
from collector.records import COMMITS, DATA, RECEIPTS

COLUMNS = ["source", "path", "generation", "offset", "message", "raw", "eol"]
Place = tuple[str, str, int]
"""Source, path, generation."""


@dataclass
class Collected:
    """One content as the export has it: its rows by offset, and what was lost of it."""

    rows: dict[int, bytes] = field(default_factory=dict)
    losses: list[tuple[int, int]] = field(default_factory=list)
    void: list[tuple[int, int]] = field(default_factory=list)
    """Those of the losses that had been read, and whose object was never put."""
    batches: dict[int, str] = field(default_factory=dict)
    """By the offsets of its rows: the number of the object they are in."""

    def came_late(self, span: tuple[int, int], voided: int | None) -> bool:
        """Whether a paused collector put the object after its successor had declared these bytes void: they
        are there, and counted as lost all the same.
        """
        inside = {number for at, number in self.batches.items() if span[0] <= at < span[1]}
        return voided is not None and inside == {f"{voided:012d}"}

    def data(self) -> bytes:
        return b"".join(self.rows[at] for at in sorted(self.rows))

    def covers(self, start: int, end: int) -> bool:
        return not uncovered([*self.spans(), *self.losses], start, end)

    def spans(self) -> list[tuple[int, int]]:
        return [(at, at + len(row)) for at, row in sorted(self.rows.items())]

    def is_of(self, content: Content) -> bool:
        """Whether all its rows are bytes of the content, at their places."""
        return all(content.data[at : at + len(row)] == row for at, row in self.rows.items())

    def starts_as(self, content: Content, until: int | None = None) -> bool:
        """Whether its rows, as far as the content goes, or as `until`, are bytes of it, and there is at least
        one.
        """
        data = content.data[:until]
        within = [(at, row) for at, row in self.rows.items() if at < len(data)]
        return bool(within) and all(data[at : at + len(row)] == row[: len(data) - at] for at, row in within)


def _number(key: str) -> str:
    return key.rpartition("-")[2].partition(".")[0]


def read(volume: Volume) -> dict[Place, Collected]:
    """Everything in the destination. Fails where a place is there twice, or a loss was collected too."""
    store = volume.site.store
    found: defaultdict[Place, Collected] = defaultdict(Collected)
    for entry in store.list(DATA):
        table = pq.ParquetFile(io.BytesIO(store.get(entry.key))).read(columns=COLUMNS)
        for row in table.to_pylist():
            data = row["message"].encode() if row["raw"] is None else row["raw"]
            collected = found[row["source"], row["path"], row["generation"]]
            assert row["offset"] not in collected.rows, f"twice: {row}"
            collected.rows[row["offset"]] = data + b"\n" * row["eol"]
            collected.batches[row["offset"]] = _number(entry.key)
    for entry in store.list(COMMITS):
        record = json.loads(store.get(entry.key))
        for loss in record.get("losses", ()):
            lost = found[loss["source"], loss["path"], loss["generation"]]
            span = loss["start"], loss["end"]
            if loss["reason"] == "void":
                lost.void.append(span)
                if lost.came_late(span, record["voids"]):
                    continue
            lost.losses.append(span)
    for place, collected in found.items():
        at = 0
        for start, end in collected.spans():
            assert start >= at, f"{place}: bytes {start} to {at} are there twice"
            at = end
        for start, end in collected.losses:
            assert start < end
            free = uncovered(collected.spans(), start, end)
            assert free == [(start, end)], (
                f"{place}: lost and collected: {start} to {end}, {collected.spans()}"
            )
    return dict(found)


def check(volume: Volume, *, finished: set[str]) -> None:
    """The whole promise, at a moment when a collector has seen all that is there. `finished` are the sources,
    as the export spells them, that it must have taken for finished.
    """
    report = verify(volume.site.store)
    assert report.ok, [str(difference) for difference in report.differences]
    found = read(volume)
    known = [*(content for _, content in volume.standing()), *volume.ended]
    for place, collected in found.items():
        _check_written(place, collected, known)
    for source, content in volume.standing():
        _check_whole(content, found, f"{source}: content {content.number} of {sorted(content.paths)}")
    _check_ended(volume, found)
    _check_once(volume, found)
    receipts = _receipts(volume)
    for source in sorted(finished):
        assert receipts[source], f"{source} has no receipt"
        _check_receipt(source, receipts[source][-1], volume, found)
        _check_listed(source, receipts[source], found)


def _check_written(place: Place, collected: Collected, known: list[Content]) -> None:
    """What was collected is one of the contents that ever were, or a part of one from its start."""
    source, path, _ = place
    of = [content for content in known if collected.is_of(content)]
    assert of, f"{place}: what was collected was never written so: {collected}"
    named = _of_same_inodes(of, known)
    assert any((source, path) in content.paths for content in named), (
        f"{place}: no content had this name: {of}, of {known}"
    )
    longest = max(len(content.data) for content in of)
    for start, end in collected.losses:
        assert end <= longest, f"{place}: lost {start} to {end} of {longest} bytes"


def _of_same_inodes(of: list[Content], known: list[Content]) -> list[Content]:
    """These, and those that their names may be of: a file of which nothing was read is known by its inode
    alone, which another one may have got since, and so on.
    """
    found: list[Content] = []
    while len(found) < len(of):
        found = of
        inodes = {inode for content in found for inode in content.inodes}
        of = [content for content in known if content in found or content.inodes & inodes]
    return found


def _check_whole(content: Content, found: dict[Place, Collected], what: str) -> None:
    """A content that still stands is there to its last byte, and nothing of it is lost."""
    if not content.data:
        return
    spans = [span for each in found.values() if each.starts_as(content) for span in each.spans()]
    missing = uncovered(spans, 0, len(content.data))
    assert not missing, f"{what}: bytes {missing} of {len(content.data)} are missing"


def _check_ended(volume: Volume, found: dict[Place, Collected]) -> None:
    """Of what was deleted or cut, all that a look saw is there, or counted as lost."""
    unclaimed = [(place, each) for place, each in found.items() if not each.rows]
    for content in volume.ended:
        if not content.seen:
            continue
        # A copy of what was seen may have gone on in another way than the content itself did, unseen.
        like = [each for each in found.values() if each.starts_as(content, content.seen)]
        if not like:
            claim = next((claim for claim in unclaimed if _is_loss_of(content, *claim)), None)
            assert claim or content.excused, (
                f"content {content.number} of {sorted(content.paths)} vanished without a word: {content}"
            )
            if claim:
                unclaimed.remove(claim)
            continue
        spans = [span for each in like for span in (*each.spans(), *each.losses)]
        missing = uncovered(spans, 0, content.seen)
        assert not missing, (
            f"content {content.number} of {sorted(content.paths)}: {missing} are neither there nor lost"
        )


def _is_loss_of(content: Content, place: Place, collected: Collected) -> bool:
    return (place[0], place[1]) in content.paths and collected.covers(0, content.seen)


def _check_once(volume: Volume, found: dict[Place, Collected]) -> None:
    """Each mark is there once, wherever it stands; twice only where two files held it for long enough."""
    counts: Counter[bytes] = Counter()
    for collected in found.values():
        counts.update(marks(collected.data()))
    for mark, times in counts.items():
        assert times <= volume.copied.get(mark, 1), f"{mark!r} is there {times} times"


def _receipts(volume: Volume) -> defaultdict[str, list[dict]]:
    """Each source's receipts, the newest last."""
    receipts: defaultdict[str, list[dict]] = defaultdict(list)
    for entry in volume.site.store.list(RECEIPTS):
        receipt = json.loads(volume.site.store.get(entry.key))
        receipts[receipt["source"]].append(receipt)
    for revisions in receipts.values():
        revisions.sort(key=lambda receipt: receipt["revision"])
    return receipts


def _check_listed(source: str, revisions: list[dict], found: dict[Place, Collected]) -> None:
    """Each loss is in a receipt: those of a directory that stood there before are in an earlier one."""
    losses = [(receipt["source"], loss) for receipt in revisions for loss in receipt["losses"]]
    listed = {(of, loss["path"], loss["generation"], loss["start"], loss["end"]) for of, loss in losses}
    lost = {(*place, *loss) for place, each in found.items() if place[0] == source for loss in each.losses}
    assert lost <= listed, f"{source}: no receipt lists {lost - listed}"


def _check_receipt(source: str, receipt: dict, volume: Volume, found: dict[Place, Collected]) -> None:
    """The receipt of a source that stands says what is there, and nothing that stands is left out."""
    files = {(source, file["path"], file["generation"]): file for file in receipt["files"]}
    for place, file in files.items():
        data = found[place].data() if place in found else b""
        void = sum(end - start for start, end in found[place].void) if place in found else 0
        assert file["bytes"] == len(data), f"{place}: {len(data)} bytes are there, the receipt says {file}"
        assert void or file["sha256"] in (None, hashlib.sha256(data).hexdigest()), f"{place}: {file}"
    for content in volume.contents_of(source):
        like = [place for place, each in found.items() if place[0] == source and each.starts_as(content)]
        assert not content.data or any(place in files for place in like), (
            f"{source}: content {content.number}, collected as {like}, is not in its receipt"
        )


def uncovered(spans: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """What of [start, end) is in none of the spans."""
    left = []
    for first, last in sorted(spans):
        if first > start:
            left.append((start, min(first, end)))
        start = max(start, last)
        if start >= end:
            return left
    return [*left, (start, end)] if start < end else left
