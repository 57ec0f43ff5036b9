"""`jobs` sums up records and receipts, and reads no object."""

from datetime import timedelta

from export_writer import NOON, Export, Read, file_of, pod

from collector.model import Loss, Origin, ReceiptLoss
from collector.query.jobs import JobSummary, summarise

POD = pod("nightly-abcde")
TEXT = b"one\ntwo\nthree\n"


def test_a_row_for_each_job(export, store):
    """Pods, files, lines and bytes of all Pods of a Job, over all batches, in order of names."""
    export.batch(Read(pod("nightly-bcdfg"), TEXT), Read(POD, TEXT), put=False)
    export.batch(
        Read(POD, b"no end", start=len(TEXT)), Read(pod("a-bcdfg", namespace="b"), b"x\n"), put=False
    )
    export.receipt(pod("a-bcdfg", namespace="b"), file_of(b"x\n"), file_of(b"", "empty.log"))
    first, second = NOON + timedelta(seconds=30), NOON + timedelta(seconds=60)
    assert summarise(store) == [
        JobSummary("b", "a", 1, 2, 1, 2, NOON, second, True, 0),
        JobSummary("default", "nightly", 2, 2, 7, 2 * len(TEXT) + 6, first, second, False, 0),
    ]
    assert [each.job for each in summarise(store, namespace="default")] == ["nightly"]


def test_complete_is_what_the_receipt_covers(export, store):
    """Bytes committed after the receipt make a Job incomplete until the next revision."""
    export.batch(Read(POD, TEXT))
    export.receipt(POD, file_of(TEXT))
    assert summarise(store)[0].complete
    export.batch(Read(POD, b"late\n", start=len(TEXT)))
    assert not summarise(store)[0].complete
    export.receipt(POD, file_of(TEXT + b"late\n"), revision=10)
    export.put_receipt(export.receipt(POD, file_of(TEXT), revision=9).__class__(**_with_revision(export)))
    assert summarise(store)[0].complete


def _with_revision(export):
    receipt = {"namespace": "default", "job": "nightly", "pod": POD.pod, "volume": "default"}
    return receipt | {
        "source": POD.source,
        "revision": 2,
        "finished_by": "idle",
        "tombstone": None,
        "files": (),
        "objects": (),
        "losses": (),
        "first_observed_at": None,
        "last_observed_at": None,
    }


def test_bytes_are_counted_once(export, store):
    """Overlapping records, and batches that were given up, do not count twice; lost bytes are summed."""
    gone = export.batch(Read(POD, TEXT), put=False)
    export.void(gone.sequence, Loss(POD.source, "app.log", 0, 0, 14, "void"))
    export.batch(Read(POD, b"tail\n", start=14))
    export.batch(Read(POD, b"tail\n", start=14))
    export.receipt(POD, file_of(b"tail\n"), losses=[ReceiptLoss("app.log", 0, 0, 14, "void")])
    [job] = summarise(store)
    assert (job.lines, job.bytes, job.lost_bytes, job.complete) == (1, 5, 14, True)


def test_object_without_its_lost_spans(export, store):
    """Of a batch that is partly void, only the rest counts."""
    record = export.batch(Read(POD, TEXT), Read(pod("other-bcdfg"), TEXT), put=False)
    export.void(record.sequence, Loss(POD.source, "app.log", 0, 0, 14, "void"), partial=True)
    nightly, other = summarise(store)
    assert (nightly.bytes, nightly.lost_bytes, other.bytes, other.lost_bytes) == (0, 14, 14, 0)


def test_sources_without_layout_and_jobs_without_bytes(export, store):
    """An unmatched source is its own job without namespace; a receipt alone makes a Job too."""
    export.batch(Read(Origin("strange dir"), TEXT))
    export.receipt(POD, file_of(b""))
    strange, empty = summarise(store)
    assert (strange.namespace, strange.job, strange.lines, strange.complete) == ("", "strange dir", 3, False)
    assert (empty.job, empty.files, empty.bytes, empty.complete) == ("nightly", 1, 0, True)
    assert summarise(store, namespace="") == [strange]


def test_same_source_in_two_volumes(export, store):
    """Volumes are side by side: the same directory name in two of them is two sources of one Job."""
    export.batch(Read(POD, TEXT))
    other = Export(store, volume="node-1")
    other.batch(Read(POD, TEXT))
    [job] = summarise(store)
    assert (job.pods, job.files, job.lines) == (1, 2, 6)


def test_empty_export(store):
    assert summarise(store) == []
