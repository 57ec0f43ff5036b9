"""`verify` finds each kind of damage, names it, and finds nothing where there is none."""

import hashlib
from dataclasses import replace

import pytest
from export_writer import Export, Read, changed, file_of, pod

from collector.model import Loss, Origin, ReceiptLoss
from collector.query.verify import verify
from collector.records import encode_record

POD = pod("nightly-abcde")
OTHER = pod("nightly-bcdfg")
TEXT = b"one\ntwo\nthree\n"
FORMATS = [(kind, how) for kind in ("parquet", "ndjson", "raw") for how in ("zstd", "gzip", "none")]


def kinds(report):
    return [difference.kind for difference in report.differences]


def only(report):
    assert len(report.differences) == 1, report.differences
    return report.differences[0]


def place(difference):
    return difference.source, difference.path, difference.start, difference.end


def drop(index):
    return lambda rows: rows[:index] + rows[index + 1 :]


def double(index):
    return lambda rows: rows[: index + 1] + rows[index:]


def set_message(index, message):
    return lambda rows: [row | ({"message": message} if at == index else {}) for at, row in enumerate(rows)]


@pytest.mark.parametrize(("kind", "compression"), FORMATS)
def test_clean_export_in_each_format(export, store, kind, compression):
    """Odd bytes, several spans a file, a late end, an empty file: all proven, in each object format."""
    export.using(kind, compression, max_line_bytes=100)
    first = b"plain\nwrong \xff\xfe bytes\nnul \0 and \r\r\n" + b"\xc3\xa9" * 30 + b"\n" + b"x" * 250 + b"\n"
    export.batch(Read(POD, first), Read(OTHER, TEXT))
    second = b"and more\n\nno end"
    export.batch(Read(OTHER, b"a\n", path="deep/er.log"), Read(POD, second, start=len(first)))
    export.receipt(POD, file_of(first + second), file_of(b"", "empty.log"))
    report = verify(store)
    assert report.differences == []
    [volume] = report.volumes
    assert (volume.objects, volume.files, volume.receipts, volume.sources) == (2, 4, 1, 2)
    assert volume.bytes == len(first + second) + len(TEXT) + 2
    assert volume.lines == 5 + 3 + 3 + 1


def test_receipts_of_several_revisions(export, store):
    """Each revision is proven at the length that it speaks of."""
    export.batch(Read(POD, TEXT))
    export.receipt(POD, file_of(TEXT))
    export.batch(Read(POD, b"late", start=len(TEXT)))
    export.receipt(POD, file_of(TEXT + b"late"), revision=2)
    assert verify(store).ok
    export.receipt(POD, file_of(TEXT + b"LATE"), revision=3)
    assert kinds(verify(store)) == ["receipt"]


@pytest.mark.parametrize("kind", ["parquet", "ndjson"])
@pytest.mark.parametrize(
    ("edit", "expected", "at"),
    [
        (drop(1), "gap", (4, 8)),
        (drop(0), "gap", (0, 4)),
        (drop(2), "gap", (8, 14)),
        (double(1), "twice", (4, 8)),
        (double(2), "twice", (8, 14)),
        (set_message(1, "twO"), "differs", (0, 14)),
        (set_message(2, "threee"), "extra", (14, 15)),
    ],
)
def test_damaged_rows(export, store, kind, edit, *, expected, at):
    """A missing, doubled, changed or longer row is named with its file and bytes."""
    export.using(kind)
    export.batch(Read(OTHER, b"fine\n"), Read(POD, TEXT), edit=lambda rows: rows[:1] + edit(rows[1:]))
    difference = only(verify(store))
    assert (difference.kind, place(difference)) == (expected, (POD.source, "app.log", *at))


def test_row_doubled_behind_its_span(export, store):
    """A row that comes again long after its span was proven is found too, in a further row group."""
    long = b"".join(b"%04d\n" % number for number in range(300))
    export.batch(Read(POD, TEXT), Read(OTHER, long), edit=lambda rows: [*rows, rows[2]])
    difference = only(verify(store))
    assert (difference.kind, place(difference)) == ("twice", (POD.source, "app.log", 8, 14))


def test_rows_interleaved_finely(export, store):
    """Rows of many files may alternate, as long as each file's are in order."""
    reads = [Read(pod(f"job-bcdf{letter}"), TEXT * 20) for letter in "bcdfghjklm"]
    export.batch(*reads, edit=lambda rows: sorted(rows, key=lambda row: row["offset"]))
    assert verify(store).ok


def test_rows_that_no_span_names(export, store):
    """A row of a file that the record does not know is extra."""
    stray = {"source": "elsewhere", "path": "x", "offset": 0}
    export.batch(Read(POD, TEXT), edit=lambda rows: [*rows, rows[0] | stray])
    difference = only(verify(store))
    assert (difference.kind, place(difference)) == ("extra", ("elsewhere", "x", 0, 4))


@pytest.mark.parametrize("data", [TEXT[:-1], TEXT + b"x", b""])
def test_raw_object_of_wrong_length(export, store, data):
    """A raw object must be as long as its spans are together."""
    export.using("raw")
    record = export.batch(Read(POD, TEXT), put=False)
    export.put_object(record, [], data)
    assert kinds(verify(store)) == ["damaged"]


def test_raw_object_with_wrong_byte(export, store):
    export.using("raw")
    record = export.batch(Read(POD, TEXT), put=False)
    export.put_object(record, [], TEXT.replace(b"two", b"tWo"))
    assert place(only(verify(store))) == (POD.source, "app.log", 0, 14)


@pytest.mark.parametrize("values", [{"rows": 4}, {"line_feeds": 2}])
def test_record_with_wrong_counts(export, store, values):
    """Rows and line feeds are counted, not believed."""
    export.batch(Read(POD, TEXT), edit_record=lambda record: changed(record, **values))
    assert set(kinds(verify(store))) == {"differs"}


def test_overlapping_spans(export, store):
    """Bytes that two records hold are there twice."""
    export.batch(Read(POD, TEXT))
    export.batch(Read(POD, b"three\nfour\n", start=8))
    difference = only(verify(store))
    assert (difference.kind, place(difference)) == ("twice", (POD.source, "app.log", 8, 14))


def test_gap_between_spans(export, store):
    """Bytes that no record holds are a gap; a loss or a receipt's hole explains them."""
    export.batch(Read(POD, TEXT))
    export.batch(Read(POD, b"later\n", start=100))
    difference = only(verify(store))
    assert (difference.kind, place(difference)) == ("gap", (POD.source, "app.log", 14, 100))
    export.receipt(POD, file_of(TEXT + b"later\n", holes=[(14, 100)]))
    assert verify(store).ok


def test_gap_that_is_a_loss(export, store):
    """What was counted as lost is no difference, and its bytes are summed up."""
    export.batch(Read(POD, TEXT))
    loss = Loss(POD.source, "app.log", 0, 14, 100, "truncated")
    export.batch(Read(POD, b"later\n", start=100), losses=[loss])
    report = verify(store)
    assert report.ok
    assert report.volumes[0].lost_bytes == 86
    export.receipt(POD, file_of(TEXT + b"later\n"))
    assert [place(only(verify(store)))] == [(POD.source, "app.log", 14, 100)]
    listed = [ReceiptLoss("app.log", 0, 14, 100, "truncated")]
    export.receipt(POD, file_of(TEXT + b"later\n"), revision=2, losses=listed)
    assert verify(store).ok


def test_lost_after_the_receipt(export, store):
    """What was lost since a receipt was written is none of its faults; the next receipt must list it."""
    export.batch(Read(POD, TEXT))
    export.receipt(POD, file_of(TEXT))
    loss = Loss(POD.source, "app.log", 0, 14, 100, "truncated")
    export.batch(Read(POD, b"later\n", start=100), losses=[loss])
    assert verify(store).ok
    export.receipt(POD, file_of(TEXT + b"later\n"), revision=2)
    assert [place(only(verify(store)))] == [(POD.source, "app.log", 14, 100)]


def test_object_missing(export, store):
    """An object that is gone is named, and so are the bytes that were in it."""
    record = export.batch(Read(POD, TEXT), put=False)
    export.batch(Read(OTHER, TEXT))
    missing, gap = verify(store).differences
    assert (missing.kind, missing.key) == ("missing", record.object_key)
    assert (gap.kind, place(gap)) == ("gap", (POD.source, "app.log", 0, 14))


def test_last_object_not_there_yet(export, store):
    """A collector that was killed between its two puts leaves something incomplete, not something wrong."""
    export.batch(Read(OTHER, TEXT))
    export.batch(Read(POD, TEXT), put=False)
    export.open()
    difference = only(verify(store))
    assert difference.kind == "incomplete"
    assert "next run of the collector" in difference.detail


def test_void_record(export, store):
    """Bytes of a batch that was given up are lost, and no difference; those the void forgets are a gap."""
    record = export.batch(Read(POD, TEXT), Read(OTHER, TEXT), put=False)
    export.open()
    export.void(record.sequence, Loss(POD.source, "app.log", 0, 0, 14, "void"))
    assert place(only(verify(store))) == (OTHER.source, "app.log", 0, 14)
    export.batch(Read(OTHER, TEXT))
    report = verify(store)
    assert report.ok
    assert report.volumes[0].lost_bytes == 14


@pytest.mark.parametrize("kind", ["parquet", "ndjson", "raw"])
def test_object_that_came_without_its_lost_spans(export, store, kind):
    """A partial void leaves an object to come, with the other spans; a late whole one is right too."""
    export.using(kind)
    for whole in (False, True):
        reads = [Read(POD, TEXT, generation=int(whole)), Read(OTHER, b"other\n", generation=int(whole))]
        record = export.batch(*reads, put=False)
        export.open()
        export.void(record.sequence, Loss(POD.source, "app.log", int(whole), 0, 14, "void"), partial=True)
        assert only(verify(store)).kind == "incomplete"
        came = reads if whole else reads[1:]
        rows = [row for each in came for row in export._rows(each)]
        export.put_object(record, rows, b"".join(each.data for each in came))
        report = verify(store)
        assert report.ok
        assert report.volumes[0].lost_bytes == 14


def test_object_that_came_after_its_void(export, store):
    """A late put of a voided batch brings its bytes back: then they are not lost."""
    record = export.batch(Read(POD, TEXT), put=False)
    export.void(record.sequence, Loss(POD.source, "app.log", 0, 0, 14, "void"))
    late = Export(store)
    late.put_object(record, late._rows(Read(POD, TEXT)))
    report = verify(store)
    assert report.ok
    assert report.volumes[0].lost_bytes == 0


def test_gap_in_the_sequence(export, store, tmp_path):
    """A record that is gone is missed."""
    export.batch(Read(POD, TEXT))
    export.batch(Read(OTHER, TEXT))
    (tmp_path / "export/_joblog/commits/default/000/000000000001.json").unlink()
    report = verify(store)
    assert kinds(report) == ["sequence", "unnamed"]
    assert "record 1 is missing" in report.differences[0].detail


def test_epochs_and_owners(export, store):
    """Epochs rise with each open record, and only who has opened may write."""
    export.open(epoch=2)
    export.open(epoch=2)
    export.epoch = 1
    export.batch(Read(POD, TEXT))
    assert kinds(verify(store)) == ["sequence", "sequence"]


def test_batch_before_any_open_record(export, store):
    export.epoch = 1
    export.batch(Read(POD, TEXT))
    assert kinds(verify(store)) == ["sequence"]


@pytest.mark.parametrize(
    "key", ["../../etc/passwd", "data/date=2026-11-22/hour=12/other-000-000000000001.parquet"]
)
def test_record_that_names_an_object_of_another(export, store, key):
    """A record may only name its own object, and no path leads out of the destination."""
    export.batch(Read(POD, TEXT), edit_record=lambda record: replace(record, object_key=key), put=False)
    assert kinds(verify(store)) == ["sequence", "incomplete"]


def test_record_under_the_key_of_another(export, store):
    """A record that was copied to another number is found."""
    export.open()
    export._put(replace(export.records[0], sequence=7, epoch=2))
    assert kinds(verify(store)) == ["sequence"]


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"format": 99}', b"\xff"])
def test_unreadable_record_and_receipt(export, store, body):
    """What cannot be read is named with its key, and the rest is proven all the same."""
    export.batch(Read(POD, TEXT))
    store.put_new("_joblog/commits/default/000/000000000002.json", body)
    store.put_new("_joblog/receipts/default/x.default.1.json", body)
    report = verify(store)
    assert sorted(kinds(report)) == ["damaged", "damaged"]
    assert report.volumes[0].bytes == 14


@pytest.mark.parametrize(
    ("further", "says"),
    [
        (b'"colour":1', "owner.colour"),
        (b'"colour":1e999', "Number out of range"),
        (b'"colour":1%b' % (b"0" * 5000), "Integer value out of range"),
    ],
    ids=["number", "float", "integer"],
)
def test_key_that_no_record_has(export, store, further, says):
    """It is named, also where its value is none that could be held."""
    export.open()
    body = encode_record(replace(export.records[0], sequence=1, epoch=2))
    body = body.replace(b'"owner":{', b'"owner":{%b,' % further)
    store.put_new("_joblog/commits/default/000/000000000001.json", body)
    difference = only(verify(store))
    assert difference.kind == "damaged"
    assert difference.detail.startswith("has a key that no record has: ")
    assert difference.detail.endswith(says)


@pytest.mark.parametrize("body", [b"", b"PAR1", b"no parquet at all"])
@pytest.mark.parametrize("kind", ["parquet", "ndjson"])
def test_unreadable_object(export, store, kind, body):
    """An object that is no object of its format is damaged, and says so once."""
    export.using(kind)
    record = export.batch(Read(POD, TEXT), put=False)
    store.put_new(record.object_key, body)
    difference = only(verify(store))
    assert (difference.kind, difference.key) == ("damaged", record.object_key)


def test_object_without_record(export, store):
    """An object of ours that no record names is a difference; a foreign file is a note."""
    export.batch(Read(POD, TEXT))
    stray = "data/date=2026-11-22/hour=09/default-000-000000000099.parquet"
    store.put_new(stray, b"")
    store.put_new("data/_SUCCESS", b"")
    report = verify(store)
    assert (only(report).kind, only(report).key) == ("unnamed", stray)
    assert len(report.notes) == 1


@pytest.mark.parametrize(
    "file",
    [
        file_of(TEXT + b"more\n"),
        file_of(TEXT[:-1] + b"?"),
        replace(file_of(TEXT), lines=4),
        file_of(b"x\n", path="other.log"),
        replace(file_of(b""), lines=1),
        replace(file_of(b""), sha256=hashlib.sha256(b"x").hexdigest()),
        file_of(TEXT[:4]),
    ],
    ids=[
        "longer",
        "other bytes",
        "other lines",
        "other file",
        "lines of nothing",
        "hash of nothing",
        "shorter",
    ],
)
def test_receipt_that_differs(export, store, file):
    """A receipt must say just what is there."""
    export.batch(Read(POD, TEXT))
    export.receipt(POD, file)
    assert kinds(verify(store)) == ["receipt"]


def test_receipt_that_names_a_missing_object(export, store):
    export.batch(Read(POD, TEXT))
    receipt = export.receipt(POD, file_of(TEXT))
    export.put_receipt(replace(receipt, revision=2, objects=("data/date=2026-11-22/hour=09/gone.parquet",)))
    assert kinds(verify(store)) == ["missing"]


def test_generations_are_files_of_their_own(export, store):
    """A second content of a path begins at 0 again, and is proven by itself."""
    export.batch(Read(POD, TEXT), Read(POD, b"new\n", generation=1))
    export.receipt(POD, file_of(TEXT), file_of(b"new\n", generation=1))
    assert verify(store).ok
    assert verify(store).volumes[0].files == 2


def test_several_volumes_and_shards(export, store):
    """Each volume has its own line; one alone can be asked for."""
    export.batch(Read(POD, TEXT))
    second = Export(store, volume="node-1")
    second.batch(Read(POD, TEXT), edit=drop(1))
    Export(store, volume="node-1", shard=3).batch(Read(OTHER, TEXT))
    report = verify(store)
    assert [(each.volume, each.shards, each.differences) for each in report.volumes] == [
        ("default", 1, 0),
        ("node-1", 2, 1),
    ]
    assert verify(store, volume="default").ok


def test_sources_without_layout(export, store):
    """Sources that no layout matched, odd names included, are proven like others."""
    odd = Origin("odd%20name/é")
    export.batch(Read(odd, TEXT, path="sub/%FF.log"))
    export.receipt(odd, file_of(TEXT, path="sub/%FF.log"))
    assert verify(store).ok


def test_ten_thousand_files_in_one_object(export, store):
    """The cost is per run of rows, not per row: many small files take seconds."""
    data = b"".join(b"line %d\n" % number for number in range(5))
    export.batch(*(Read(pod(f"job{number}-bcdfg"), data) for number in range(10_000)))
    progress = []
    report = verify(store, progress=progress.append)
    assert report.ok
    assert report.volumes[0].rows == 50_000
    assert progress[-1].objects == progress[-1].of_objects == 1
