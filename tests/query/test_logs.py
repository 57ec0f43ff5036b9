"""`logs` gives back each row once, in order, as it was; and knows whom a name means."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from export_writer import NOON, SETTINGS, Export, Read, file_of, pod
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import Incomplete, UsageError
from collector.model import Loss, Origin
from collector.query import show
from collector.query.follow import follow
from collector.query.logs import Filter, find, read, read_found, unread
from collector.query.objects import Objects
from collector.query.rows import TEXT_COLUMNS
from collector.query.wanted import Wanted

POD = pod("nightly-abcde")
TEXT = b"one\ntwo\nthree\n"
HARD = b"plain\nwrong \xff\xfe bytes\nnul \0 and \r\r\n" + b"x" * 2500 + b"\n\nno end"
FORMATS = [(kind, how) for kind in ("parquet", "ndjson", "raw") for how in ("zstd", "gzip", "none")]


def text(store, name, namespace="default", **more):
    return b"".join(show.exact_bytes(rows.rows) for rows in read(store, namespace, name, **more))


def files(store, name):
    found = find(store, Wanted("default", name))
    return [(file.origin.pod, file.file.path, file.file.generation) for file in found.files]


@pytest.mark.parametrize(("kind", "compression"), FORMATS)
def test_bytes_come_back_exactly(export, store, kind, compression):
    """Invalid UTF-8, NUL, CR, over-long lines and a missing last line feed come back byte for byte."""
    export.using(kind, compression, max_line_bytes=1000)
    export.batch(Read(pod("other-bcdfg"), b"not mine\n"), Read(POD, HARD))
    export.batch(Read(POD, b" yet\nlast\n", start=len(HARD)))
    assert text(store, "nightly") == HARD + b" yet\nlast\n"
    assert text(store, "nightly-abcde") == HARD + b" yet\nlast\n"


@pytest.mark.parametrize("kind", ["parquet", "ndjson", "raw"])
def test_json_has_all_columns(export, store, kind):
    """A row as JSON has each column of the contract and the layout's own, with exact bytes in base64."""
    export.using(kind)
    export.batch(Read(POD, b"ok\n\xff no end"))
    found = find(store, Wanted("default", "nightly"))
    lines = [
        json.loads(line)
        for rows in read_found(store, found, every_column=True)
        for line in show.json_lines(rows.rows)
    ]
    assert lines[0] == {
        "namespace": "default",
        "job": "nightly",
        "pod": "nightly-abcde",
        "container": None,
        "pod_ip": None,
        "node_ip": None,
        "node": "n1",
        "cronjob": None,
        "scheduled_at": None,
        "source": POD.source,
        "path": "app.log",
        "generation": 0,
        "offset": 0,
        "observed_at": "2026-11-22T12:00:30.000000Z",
        "time": None,
        "stream": None,
        "message": "ok",
        "raw": None,
        "eol": True,
        "team": "blue",
    }
    assert list(lines[0])[-4:] == ["message", "raw", "eol", "team"]
    assert (lines[1]["message"], lines[1]["raw"], lines[1]["eol"]) == ("\ufffd no end", "/yBubyBlbmQ=", False)


def test_files_in_order(export, store):
    """Pods as they were first seen; a file's generations and offsets in order, whatever the objects'."""
    late, early = pod("nightly-zzzzz"), pod("nightly-bbbbb")
    export.batch(Read(early, b"e1\n"), Read(early, b"e2\n", path="b.log"))
    export.batch(Read(late, b"l1\n", generation=1), Read(late, b"l0\n"), Read(early, b"e3\n", start=3))
    export.batch(Read(pod("nightly-aaaaa"), b"a1\n"))
    assert text(store, "nightly") == b"e1\ne3\ne2\nl0\nl1\na1\n"
    assert files(store, "nightly")[:2] == [("nightly-bbbbb", "app.log", 0), ("nightly-bbbbb", "b.log", 0)]


def test_each_row_once(export, store):
    """Records that overlap, and rows doubled within an object, are read once."""
    export.batch(Read(POD, TEXT), edit=lambda rows: [rows[0], *rows])
    export.open()
    export.batch(Read(POD, TEXT + b"four\n"))
    assert text(store, "nightly") == TEXT + b"four\n"


def test_names(export, store):
    """A Job, a Pod, a CronJob and the Pods of an indexed Job are found by name, and nobody else's."""
    export.batch(
        Read(pod("nightly-28123456-bcdfg", cronjob="nightly"), b"cron\n"),
        Read(pod("nightly-0-bcdfg"), b"index\n"),
        Read(pod("nightly-x-bcdfg"), b"other\n"),
        Read(pod("nightly-0-bcdfg", namespace="else"), b"elsewhere\n"),
        Read(Origin("strange dir"), b"strange\n"),
    )
    assert text(store, "nightly") == b"index\ncron\n"
    assert text(store, "nightly-28123456") == b"cron\n"
    assert text(store, "nightly-0-bcdfg") == b"index\n"
    assert text(store, "strange dir", namespace="") == b"strange\n"
    only_pod = find(store, Wanted("default", "nightly", pod="nightly-0-bcdfg"))
    assert [file.origin.pod for file in only_pod.files] == ["nightly-0-bcdfg"]


def test_containers_of_one_source(export, store):
    """`--container` chooses among files of one source."""
    origins = [pod("nightly-bcdfg", container=name) for name in ("main", "side")]
    export.batch(
        Read(origins[0], b"main\n", path="main/0.log"), Read(origins[1], b"side\n", path="side/0.log")
    )
    found = find(store, Wanted("default", "nightly", container="side"))
    assert [show.exact_bytes(rows.rows).tobytes() for rows in read_found(store, found)] == [b"side\n"]


def test_unknown_name_suggests_near_ones(export, store):
    """Something unknown is an error with exit code 1 that names what is like it."""
    export.batch(Read(POD, TEXT), Read(pod("backup-bcdfg", namespace="prod"), TEXT))
    with pytest.raises(Incomplete, match="did you mean default/nightly"):
        text(store, "nightyl")
    with pytest.raises(Incomplete, match="did you mean prod/backup"):
        text(store, "backup")
    with pytest.raises(Incomplete, match="joblog jobs lists"):
        text(store, "zzz")


def test_job_with_empty_files_only(export, store):
    """A Job that wrote nothing is known by its receipt."""
    export.open()
    export.receipt(POD, file_of(b""))
    assert text(store, "nightly") == b""
    assert list(follow(store, Wanted("default", "nightly"), pytest.fail)) == []


def test_since_and_grep(export, store):
    """Rows by when they were read, and by a regular expression; a wrong one is a usage error."""
    export.batch(Read(POD, b"old ape\nold bee\n"))
    export.batch(Read(POD, b"new ape\nnew \xff bee\n", start=16))
    assert (
        text(store, "nightly", rows=Filter(since=NOON + timedelta(seconds=31))) == b"new ape\nnew \xff bee\n"
    )
    assert text(store, "nightly", rows=Filter(grep="^new.*bee$")) == b"new \xff bee\n"
    assert text(store, "nightly", rows=Filter(since=datetime(2027, 1, 1, tzinfo=UTC))) == b""
    with pytest.raises(UsageError, match="--grep: Invalid regular expression"):
        Filter(grep="(")


def test_missing_and_given_up_objects(export, store):
    """An object that is not there is told and the rest is read; one that was given up is a loss."""
    gone = export.batch(Read(POD, b"gone\n"), put=False)
    export.void(gone.sequence, Loss(POD.source, "app.log", 0, 0, 5, "void"))
    missing = export.batch(Read(POD, b"missing\n", start=5), put=False)
    export.batch(Read(POD, b"here\n", start=13))
    warnings = []
    assert text(store, "nightly", warn=warnings.append) == b"here\n"
    assert len(warnings) == 1
    assert missing.object_key in warnings[0]
    assert [loss.end for loss in find(store, Wanted("default", "nightly")).losses] == [5]


@pytest.mark.parametrize("kind", ["parquet", "raw"])
def test_object_without_its_lost_spans(export, store, kind):
    """What is left of a batch is read, also while following, and the rest is told as lost."""
    export.using(kind)
    other = pod("nightly-bcdfg")
    record = export.batch(Read(POD, b"lost\n"), Read(other, b"left\n"), put=False)
    export.void(record.sequence, Loss(POD.source, "app.log", 0, 0, 5, "void"), partial=True)
    export.put_object(record, export._rows(Read(other, b"left\n")), b"left\n")
    export.receipt(other, file_of(b"left\n"))
    export.receipt(POD, file_of(b"lost\n"))
    assert text(store, "nightly") == b"left\n"
    rows = follow(store, Wanted("default", "nightly"), pytest.fail)
    assert [show.exact_bytes(each.rows).tobytes() for each in rows] == [b"left\n"]
    assert len(find(store, Wanted("default", "nightly")).losses) == 1


def test_prefix_and_time_before_each_line(export, store):
    """The prefix stands where a line begins, not before the pieces of a long one."""
    export.using("parquet", max_line_bytes=4)
    export.batch(Read(POD, b"ab\nlong line\nend"))
    [rows] = read(store, "default", "nightly")
    shown = show.prefixed_bytes(rows.rows, "[p/f] ", timestamps=False, begun=False)
    assert shown.tobytes() == b"[p/f] ab\n[p/f] long line\n[p/f] end"
    shown = show.prefixed_bytes(rows.rows, "", timestamps=True, begun=True)
    assert shown.tobytes().startswith(b"ab\n2026-11-22T12:00:30.000000Z long line\n2026")
    assert not show.ends_line(rows.rows)


def test_follow_until_complete(export, store):
    """Following waits for objects that are on their way, shows what comes, and ends with the receipt."""
    first = export.batch(Read(POD, b"one\n"), put=False)
    comes = iter(
        [
            lambda: export.put_object(first, Export(store)._rows(Read(POD, b"one\n"))),
            lambda: export.batch(Read(POD, b"two\n", start=4), Read(pod("other-bcdfg"), b"x\n")),
            lambda: export.receipt(POD, file_of(b"one\n")),
            lambda: export.batch(Read(pod("other-bcdfg"), b"y\n", start=2)),
            lambda: export.receipt(POD, file_of(b"one\ntwo\n"), revision=2),
        ]
    )

    def pause():
        next(comes)()

    rows = follow(store, Wanted("default", "nightly"), pause)
    assert b"".join(show.exact_bytes(each.rows) for each in rows) == b"one\ntwo\n"
    assert next(comes, None) is None


def test_follow_passes_given_up_objects(export, store):
    """An object that never comes does not hold up what follows it."""
    gone = export.batch(Read(POD, b"gone\n"), put=False)
    export.void(gone.sequence, Loss(POD.source, "app.log", 0, 0, 5, "void"))
    export.batch(Read(POD, b"here\n", start=5))
    export.receipt(POD, file_of(b"gone\nhere\n"))
    rows = list(follow(store, Wanted("default", "nightly"), pytest.fail))
    assert [show.exact_bytes(each.rows).tobytes() for each in rows] == [b"here\n"]


def test_follow_something_unknown(export, store):
    export.batch(Read(POD, TEXT))
    with pytest.raises(Incomplete):
        list(follow(store, Wanted("default", "nope"), pytest.fail))


def test_objects_are_read_once_where_they_fit(export, store):
    """What does not fit in memory is read again for each file; the rows are the same."""
    pods = [pod(f"nightly-{number}-bcdfg") for number in range(5)]
    export.batch(*(Read(each, TEXT) for each in pods))
    found = find(store, Wanted("default", "nightly"))
    wanted = found.by_object[export.records[-1].object_key]
    for kept_bytes in (0, 1 << 20):
        objects = Objects(store, TEXT_COLUMNS, kept_bytes=kept_bytes)
        for file in found.files:
            batches = list(objects.rows(file.parts[0][2], file.file, wanted))
            assert b"".join(show.exact_bytes(batch) for batch in batches) == TEXT


def test_statistics_skip_row_groups(export, store):
    """Only row groups that can hold the source are read: rows in others, damaged or not, do not matter."""
    export.batch(*(Read(pod(f"job-{number:03}-bcdfg"), TEXT) for number in range(200)))
    assert text(store, "job-150") == TEXT


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=20))
def test_unread_covers_each_byte_once(spans):
    """Whatever overlaps, whole rows come in such a way that no row that ended before comes again."""
    rows = pa.RecordBatch.from_pydict(
        {
            "offset": pa.array([start for start, _ in spans], pa.int64()),
            "message": pa.array(["x" * length for _, length in spans], pa.string()),
            "raw": pa.nulls(len(spans), pa.binary()),
            "eol": pa.array([False] * len(spans), pa.bool_()),
        }
    )
    fresh, position = unread(rows, 0, SETTINGS)
    ends = [
        start + len(text)
        for start, text in zip(*(fresh[name].to_pylist() for name in ("offset", "message")), strict=True)
    ]
    assert ends == sorted(set(ends))
    assert position == max([0, *(start + length for start, length in spans)])
