"""Proves from the destination alone that each byte is there once; with a volume, compares its files too.

Objects are listed first, then receipts are read, then records: what is committed meanwhile is then
known to the records, and a running collector is no difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from collector.errors import ExportDamaged, ObjectMissing
from collector.model import BatchRecord, FileId, Loss, OpenRecord, VoidRecord
from collector.query.compare import VolumeTree, compare
from collector.query.export import Claim, Shard, claims, receipt_keys, record_bodies, shards
from collector.query.fetch import in_order
from collector.query.files import FileKey, FileProof
from collector.query.holdings import Holdings
from collector.query.intervals import Range
from collector.query.proof import ObjectProof
from collector.query.receipts import Receipts
from collector.query.report import Difference, Kind, Progress, Report, VolumeSummary
from collector.query.rows import ObjectRef, file_of, proof_rows
from collector.query.sequence import Sequence
from collector.records import DATA
from collector.sink.store import Store

OBJECTS_AHEAD = 2
"""Objects fetched while one is proven: bounds memory."""

_OBJECT = re.compile(
    r"data/date=[0-9-]{10}/hour=[0-9]{2}/(?P<volume>.+)-[0-9]{3}-[0-9]{12}"
    r"\.(?:parquet|(?:ndjson|log)(?:\.zst|\.gz)?)"
)


def verify(
    store: Store,
    *,
    volume: str | None = None,
    tree: VolumeTree | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Everything in the export, or one `volume` of it. `tree` are the files of a volume to compare with.

    Raises StoreError where the destination itself fails; what is wrong in it stands in the report.
    """
    return _Verification(store, volume or (tree.volume if tree else None), tree, progress).report()


class _Verification:
    def __init__(
        self,
        store: Store,
        volume: str | None,
        tree: VolumeTree | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._store = store
        self._only = volume
        self._tree = tree
        self._progress = progress
        self._report = Report()
        self._summaries: dict[str, VolumeSummary] = {}
        self._receipts = Receipts(self._found)
        self._files: dict[FileKey, FileProof] = {}
        self._losses: dict[FileKey, list[tuple[int, Loss]]] = {}
        self._holdings = Holdings()
        self._listed: set[str] = set()
        self._named: set[str] = set()
        self._there: set[str] = set()
        self._done_bytes = self._unproven_bytes = 0

    def report(self) -> Report:
        self._listed = {entry.key for entry in self._store.list(DATA)}
        self._receipts.read(in_order(self._store.get, receipt_keys(self._store)))
        for shard in shards(self._store):
            if self._only in (None, shard.volume):
                self._prove_shard(shard)
        for volume in sorted(self._receipts.volumes()):
            if self._only in (None, volume):
                self._summary(volume)
        self._receipts.excuse(self._files)
        if self._tree is not None:
            self._compare(self._tree)
        self._report_gaps()
        self._receipts.compare(self._files, self._there | self._listed, self._only)
        explained = {found.key for found in self._report.differences if found.key}
        self._receipts.compare_holdings(self._holdings, self._only, explained)
        later_bytes = self._receipts.compare_losses(self._losses, self._only)
        if later_bytes:
            self._note(
                f"{later_bytes} bytes were lost after the last object of their receipts, and not listed"
            )
        self._report_unnamed()
        if self._unproven_bytes:
            self._note(
                f"{self._unproven_bytes} bytes are in objects that do not keep lines (keep_message: false): "
                "their rows are all there, but what they were made of cannot be proven"
            )
        self._sum_up()
        return self._report

    def _prove_shard(self, shard: Shard) -> None:
        summary = self._summary(shard.volume)
        summary.shards += 1
        sequence = Sequence(shard, self._found)
        items = claims(sequence.checked(record_bodies(self._store, shard)))
        for item, body in in_order(self._body, items, ahead=1 + OBJECTS_AHEAD):
            if isinstance(item, Claim):
                self._prove_claim(item, body)
            elif isinstance(item, VoidRecord):
                self._lose(item)
        summary.records += sequence.records

    def _body(self, item: Claim | OpenRecord | VoidRecord) -> bytes | None:
        if not isinstance(item, Claim):
            return None
        try:
            return self._store.get(item.record.object_key)
        except (ObjectMissing, ExportDamaged):  # the latter for what cannot be a key: `Sequence` tells it
            return None

    def _prove_claim(self, claim: Claim, body: bytes | None) -> None:
        record = claim.record
        self._named.add(record.object_key)
        self._lose(record)
        try:
            ref = ObjectRef.of(record, claim.voids)
        except ExportDamaged as error:
            self._found(Difference("damaged", error.message, record.volume, key=claim.key))
            return
        if not claim.given_up:
            self._holdings.add(record.volume, ref, self._receipts.has)
        if body is None:
            self._absent(claim, ref)
        else:
            self._there.add(record.object_key)
            self._prove_object(claim, ref, body)
        self._done_bytes += record.bytes
        if self._progress:
            self._progress(
                Progress(len(self._named), max(len(self._listed), len(self._named)), self._done_bytes)
            )

    def _absent(self, claim: Claim, ref: ObjectRef) -> None:
        """The object is not there: given up, on its way, or missing."""
        record = claim.record
        told = claim.last and not claim.given_up
        for origin, span in ref.spans:
            proof = self._file(record.volume, file_of(origin, span))
            proof.spoiled = True
            proof.require(span.end)
            if told:
                proof.excuse(span.start, span.end)
        if told:
            detail = (
                f"the object of the last record is not there yet ({record.rows} rows, {record.bytes} bytes): "
                "the next run of the collector completes it"
            )
            self._found(Difference("incomplete", detail, record.volume, key=record.object_key))
        elif not claim.given_up:
            detail = (
                f"the object that {claim.key} names is not there ({record.rows} rows, {record.bytes} bytes)"
            )
            self._found(Difference("missing", detail, record.volume, key=record.object_key))

    def _prove_object(self, claim: Claim, ref: ObjectRef, body: bytes) -> None:
        record = claim.record
        proof = ObjectProof(ref, lambda file: self._file(record.volume, file))
        readable = True
        try:
            for rows in proof_rows(body, ref):
                proof.feed(rows)
        except ExportDamaged as error:
            readable = False
            self._found(Difference("damaged", error.message, record.volume, key=record.object_key))
        self._conclude_spans(claim, proof, readable=readable)
        summary = self._summary(record.volume)
        summary.objects += 1
        summary.rows += proof.rows
        spans_rows = sum(span.rows for span in record.spans)
        spans_bytes = sum(span.end - span.start for span in record.spans)
        if spans_bytes != record.bytes:
            detail = f"the record says {record.bytes} bytes, its spans say {spans_bytes}"
            self._found(Difference("differs", detail, record.volume, key=claim.key))
        if spans_rows != record.rows:
            detail = f"the record says {record.rows} rows, its spans say {spans_rows}"
            self._found(Difference("differs", detail, record.volume, key=claim.key))

    def _conclude_spans(self, claim: Claim, proof: ObjectProof, *, readable: bool) -> None:
        volume, key = claim.record.volume, claim.record.object_key
        for span in proof.finish():
            if claim.voids and not span.rows:
                span.of_file.spoiled = True  # what a void record does not count as lost is a gap then
                span.of_file.require(span.span.end)
                continue
            faults = span.finish()
            if claim.record.settings.drops_messages and span.done:
                self._unproven_bytes += span.span.end - span.span.start
            for kind, file, start, end, detail in faults if readable else ():
                self._differs(kind, (volume, file), (start, end), detail, key)
            for place in span.twice:
                self._differs("twice", (volume, span.file), place, "is in an earlier span too", key)
        for kind, file, start, end, detail in proof.strays:
            self._differs(kind, (volume, file), (start, end), detail, key)

    def _lose(self, record: BatchRecord | VoidRecord) -> None:
        for loss in record.losses:
            file = FileId(loss.source, loss.path, loss.generation)
            self._file(record.volume, file).lose(loss.start, loss.end)
            self._losses.setdefault((record.volume, file), []).append((record.sequence, loss))

    def _compare(self, tree: VolumeTree) -> None:
        files = {file: proof for (volume, file), proof in self._files.items() if volume == tree.volume}
        compared = compare(tree, files, self._found)
        summary = self._summary(tree.volume)
        summary.compared_files, summary.compared_bytes = compared.files, compared.bytes
        if compared.uncollected_bytes:
            count = compared.uncollected_bytes
            self._note(f"{count} bytes at the ends of files are not collected yet: the files may still grow")
        if compared.vanished:
            self._note(f"{compared.vanished} files vanished while they were compared")

    def _report_gaps(self) -> None:
        for (volume, file), proof in self._files.items():
            for place in proof.gaps():
                detail = "is in no object, and no loss and no receipt's hole explains it"
                self._differs("gap", (volume, file), place, detail)

    def _report_unnamed(self) -> None:
        """A listed object was put after its record, so records read later than the listing must name it."""
        foreign = 0
        for key in sorted(self._listed - self._named):
            match = _OBJECT.fullmatch(key)
            if match is None:
                foreign += 1
            elif self._only in (None, match["volume"]):
                self._found(Difference("unnamed", "no record names this object", match["volume"], key=key))
        if foreign:
            self._note(f"{foreign} files below {DATA} are not Joblog's, and were not looked at")

    def _sum_up(self) -> None:
        for (volume, _), proof in self._files.items():
            if self._only in (None, volume):
                summary = self._summary(volume)
                summary.lost_bytes += proof.lost_bytes()
                summary.files += 1
                summary.bytes += proof.collected.size
                summary.lines += proof.lines
        for volume, summary in self._summaries.items():
            sources = {file.source for of, file in self._files if of == volume}
            summary.sources = len(sources | self._receipts.sources(volume))
            summary.receipts = self._receipts.count(volume)
            summary.differences = sum(each.volume == volume for each in self._report.differences)
        self._report.volumes = [self._summaries[volume] for volume in sorted(self._summaries)]

    def _file(self, volume: str, file: FileId) -> FileProof:
        proof = self._files.get((volume, file))
        if proof is None:
            keep = self._tree is not None and self._tree.volume == volume
            marks = self._receipts.marks_at((volume, file))
            proof = self._files[volume, file] = FileProof(marks, keep_spans=keep)
        return proof

    def _summary(self, volume: str) -> VolumeSummary:
        return self._summaries.setdefault(volume, VolumeSummary(volume))

    def _note(self, note: str) -> None:
        self._report.notes.append(note)

    def _found(self, difference: Difference) -> None:
        self._report.differences.append(difference)

    def _differs(self, kind: Kind, where: FileKey, place: Range, detail: str, key: str | None = None) -> None:
        volume, file = where
        self._found(
            Difference(kind, detail, volume, file.source, file.path, file.generation, *place, key=key)
        )
