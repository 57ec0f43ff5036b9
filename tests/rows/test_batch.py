"""A batch: which spans it says that its rows are, and that what goes wrong in it is not swallowed."""

import hashlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arenas import NOON_US, Read, Reader, file_of, origin, settings
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_128_hexdigest as xxh3

from collector.model import FileId
from collector.rows.batch import ENCODE_BYTES, ENCODE_ROWS, MOST_SPANS, Batch, Sealed
from collector.rows.columns import Columns

APP = FileId("prod_mill-1", "app.log", 0)
REPLACED = FileId("prod_mill-1", "app.log", 1)
OTHER = FileId("prod_other-1", "app.log", 0)
UNENCODABLE = FileId("prod_mill-1", "app.log", 1 << 40)
"""No generation that fits into its column."""


@pytest.fixture(params=["one thread", "two threads"])
def reader(request, encode_pool):
    """Adds to a batch that gathers rows itself, or on another thread before they are added."""
    gatherer = encode_pool if request.param == "two threads" else None
    return Reader(Batch(settings(), [], encode_pool), gatherer=gatherer)


def places(sealed):
    return [(file_of(span, sealed), span.start, span.end) for span in sealed.spans]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def feed_row_group(reader, file):
    """As much as the batch gives to the encoder at once."""
    for _ in range(16):
        reader.add(Read(file, b"x" * (ENCODE_BYTES // 16 - 1) + b"\n"))


def test_contiguous_reads_are_one_span(reader):
    """Reads of one file that follow each other make one span, other files between them or not."""
    reader.add(Read(APP, b"one\ntwo\n"), Read(OTHER, b"x\n"))
    reader.add(Read(OTHER, b"y\n"), Read(APP, b"three\nfour", final=True))
    sealed = reader.batch.seal()
    assert places(sealed) == [(APP, 0, 18), (OTHER, 0, 4)]
    assert [(span.rows, span.line_feeds, span.terminated) for span in sealed.spans] == [
        (4, 3, False),
        (2, 2, True),
    ]
    assert [span.xxh3_128 for span in sealed.spans] == [xxh3(b"one\ntwo\nthree\nfour"), xxh3(b"x\ny\n")]
    assert (sealed.rows, sealed.bytes) == (6, 22)


def test_what_goes_wrong_as_rows_are_gathered_is_raised(encode_pool):
    """An error of the thread that gathers comes to whoever adds the rows."""
    failed: Future[Columns] = Future()
    failed.set_exception(MemoryError("no room for columns"))
    reader = Reader(Batch(settings(), [], encode_pool))
    with pytest.raises(MemoryError, match="no room for columns"):
        reader.add(Read(APP, b"one\n"), gathering=failed)


def test_a_span_that_begins_within_a_file_has_the_hash_of_its_own_bytes(encode_pool):
    """Whichever threads gather its rows."""
    reader = Reader(Batch(settings(), [], encode_pool))
    reader.add(Read(APP, b"taken before\n"))
    reader.restart()
    reader.batch = Batch(settings(), [], encode_pool)
    for text, gatherer in (
        (b"one\n", None),
        (b"two\nhalf", encode_pool),
        (b"half a line\n", None),
        (b"end\n", encode_pool),
    ):
        reader.gatherer = gatherer
        reader.add(Read(APP, text), Read(OTHER, b"beside\n"))
    first, other = reader.batch.seal().spans
    assert first.xxh3_128 == xxh3(b"one\ntwo\nhalf a line\nend\n")
    assert other.xxh3_128 == xxh3(b"beside\n" * 4)


def test_a_span_tells_its_reads(reader):
    """Each read of a span stands in it with its end and its time; the last evidence is the span's."""
    reader.add(Read(APP, b"one\ntwo\nhalf"))
    reader.add(Read(APP, b"half a line\n"))
    (span,) = reader.batch.seal().spans
    assert span.reads == ((8, NOON_US + 1_000_001), (20, NOON_US + 2_000_002))
    assert span.evidence.prefix_sha256 == sha256(b"one\ntwo\nhalf a line\n")


def test_a_hole_starts_a_new_span(reader):
    """Where offsets jump, the span ends, and the next one has a hash of its own."""
    reader.add(Read(APP, b"before\n"))
    reader.add(Read(APP, b"behind\n", start=4096))
    reader.add(Read(APP, b"more\n"))
    sealed = reader.batch.seal()
    assert places(sealed) == [(APP, 0, 7), (APP, 4096, 4108)]
    assert [span.xxh3_128 for span in sealed.spans] == [xxh3(b"before\n"), xxh3(b"behind\nmore\n")]


def test_another_generation_is_another_span(reader):
    """The same path with other contents is another file, though its offsets would fit."""
    reader.add(Read(APP, b"old\n"))
    reader.add(Read(REPLACED, b"new\n"))
    reader.add(Read(APP, b"rest\n"))
    sealed = reader.batch.seal()
    assert places(sealed) == [(APP, 0, 9), (REPLACED, 0, 4)]
    assert [span.xxh3_128 for span in sealed.spans] == [xxh3(b"old\nrest\n"), xxh3(b"new\n")]


def test_reads_without_rows_leave_no_trace(reader):
    """Half a line is not in the batch at all: no span, no origin, no bytes."""
    reader.add(Read(APP, b"half"))
    assert (reader.batch.rows, reader.batch.bytes) == (0, 0)
    reader.add(Read(APP, b"half"), Read(OTHER, b"line\n"))
    sealed = reader.batch.seal()
    assert places(sealed) == [(OTHER, 0, 5)]
    assert sealed.origins == (origin(OTHER.source),)


def test_origins_stand_once_and_spans_point_to_them(encode_pool):
    """Files of one source share an origin; files of one source with origins of their own do not."""
    reader = Reader(Batch(settings(), [], encode_pool))
    second = FileId(APP.source, "err.log", 0)
    reader.add(Read(APP, b"1\n"), Read(OTHER, b"2\n"), Read(second, b"3\n"))
    reader.origins[APP.source] = origin(APP.source, container="sidecar")
    reader.add(Read(FileId(APP.source, "sidecar.log", 0), b"4\n"))
    sealed = reader.batch.seal()
    assert [span.origin for span in sealed.spans] == [0, 1, 0, 2]
    assert [each.container for each in sealed.origins] == [None, None, "sidecar"]


def test_a_file_larger_than_a_batch_is_hashed_span_by_span(encode_pool):
    """The first span's hash is the file's beginning's; later batches hash what is theirs alone."""
    blocks = [bytes([letter]) * 99 + b"\n" for letter in b"abcd"]
    reader = Reader(Batch(settings(), [], encode_pool))
    hashes = []
    for block in blocks:
        reader.add(Read(APP, block))
        reader.add(Read(APP, block.upper()))
        hashes += [span.xxh3_128 for span in reader.batch.seal().spans]
        reader.batch = Batch(settings(), [], encode_pool)
    assert hashes == [xxh3(block + block.upper()) for block in blocks]


def test_after_a_restart_the_span_is_hashed_all_the_same(encode_pool):
    """Where the hash of the whole beginning is not at hand, the span's is made from its own bytes."""
    reader = Reader(Batch(settings(), [], encode_pool))
    reader.add(Read(APP, b"before\n"))
    reader.batch.seal()
    reader.batch = Batch(settings(), [], encode_pool)
    reader.restart()
    reader.add(Read(APP, b"after\n"), Read(OTHER, b"new\n"))
    reader.add(Read(APP, b"more\n"))
    sealed = reader.batch.seal()
    assert [span.xxh3_128 for span in sealed.spans] == [xxh3(b"after\nmore\n"), xxh3(b"new\n")]
    assert [span.evidence.prefix_sha256 for span in sealed.spans] == [None, sha256(b"new\n")]


files = st.sampled_from([APP, REPLACED, OTHER])
contents = st.lists(st.sampled_from([b"", b"a", b"line", b"\xff\n", b"\n"]), max_size=8).map(b"".join)


@st.composite
def arenas(draw):
    """Reads of several files in several arenas, some of which jump over a hole."""
    drawn = []
    for _ in range(draw(st.integers(1, 6))):
        chosen = draw(st.lists(files, min_size=1, max_size=3, unique=True))
        drawn.append([(file, draw(contents), draw(st.booleans()), draw(st.booleans())) for file in chosen])
    return drawn


@given(arenas(), st.integers(0, 7))
def test_spans_are_the_rows(encode_pool, drawn, junk):
    """Spans cover exactly the rows: counts, line feeds, ends and hashes, whatever the reads were."""
    reader = Reader(Batch(settings(), [], encode_pool))
    for reads in drawn:
        jumped = [
            Read(file, data, final, reader.positions.get(file, 0) + 10 if jump else None)
            for file, data, final, jump in reads
        ]
        reader.add(*jumped, at=junk)
    sealed = reader.batch.seal()
    rows = reader.rows
    assert sealed.rows == len(rows)
    assert sealed.bytes == sum(len(row.data) + row.eol for row in rows)
    for (file, start, end), span in zip(places(sealed), sealed.spans, strict=True):
        mine = [row for row in rows if row.file == file and start <= row.offset < end]
        data = b"".join(row.data + b"\n" * row.eol for row in mine)
        assert (span.rows, span.line_feeds) == (len(mine), sum(row.eol for row in mine))
        assert (span.end - span.start, span.xxh3_128) == (len(data), xxh3(data))
        assert span.terminated == mine[-1].eol
        assert span.reads[-1][0] == end


def test_rows_are_encoded_while_the_batch_still_fills(encode_pool):
    """Each 16 MiB go to the encoder at once, so that a sealed batch is nearly encoded; all rows arrive."""
    reader = Reader(Batch(settings(), [], encode_pool))
    block = (b"x" * 99 + b"\n") * (ENCODE_BYTES // 400)
    for _ in range(6):
        reader.add(Read(APP, block))
    sealed = reader.batch.seal()
    body = pq.ParquetFile(pa.BufferReader(sealed.body.result()))
    assert body.num_row_groups == 2
    assert body.metadata.num_rows == sealed.rows == len(reader.rows)


def test_many_short_rows_are_encoded_before_they_are_many_bytes(encode_pool):
    """As columns a row takes more memory than its few bytes: rows are bounded too."""
    reader = Reader(Batch(settings(), [], encode_pool))
    for _ in range(3):
        reader.add(Read(APP, b"\n" * (ENCODE_ROWS // 2)))
    body = pq.ParquetFile(pa.BufferReader(reader.batch.seal().body.result()))
    assert [body.metadata.row_group(n).num_rows for n in range(2)] == [ENCODE_ROWS, ENCODE_ROWS // 2]


def test_a_batch_is_full_by_its_bytes_or_by_its_object(encode_pool):
    """Short lines make an NDJSON object many times as large: then that is what counts."""
    reader = Reader(Batch(settings("ndjson", "none"), [], encode_pool))
    reader.add(Read(APP, b"\n" * ENCODE_ROWS))
    much = 1000 * ENCODE_ROWS
    assert reader.batch.is_full(ENCODE_ROWS, much)
    assert not reader.batch.is_full(ENCODE_ROWS + 1, much)
    encode_pool.submit(int).result()  # one thread: what was given to it before is encoded
    assert reader.batch.is_full(much, 50 * ENCODE_ROWS)
    reader.add(Read(APP, b"\n" * (ENCODE_ROWS // 2)))  # not encoded yet, but taken to be like the rest
    assert reader.batch.is_full(much, 75 * ENCODE_ROWS)
    assert not reader.batch.is_full(much, much)


def test_a_batch_waits_for_a_busy_encoder():
    """Two row groups behind is as far as the encoder may fall: more than that is waited for."""
    gate = threading.Event()
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as feeder:
        reader = Reader(Batch(settings(), [], pool))
        pool.submit(gate.wait, 30)
        feed_row_group(reader, APP)
        reader.batch.catch_up()
        feed_row_group(reader, APP)
        caught_up = feeder.submit(reader.batch.catch_up)
        assert not caught_up.done()
        gate.set()
        caught_up.result(timeout=30)
        assert reader.batch.seal().rows == len(reader.rows)


@pytest.mark.parametrize("export", ["parquet", "ndjson", "raw"])
def test_helpers_make_the_same_object(encode_pool, export: str):
    """What several threads prepare at once comes into the object in the order in which it was read."""
    contents = [b"".join(b"%d %d\n" % (number, row) for row in range(500)) for number in range(12)]

    def sealed(helpers: ThreadPoolExecutor | None) -> Sealed:
        reader = Reader(Batch(settings(export), [], encode_pool, helpers=helpers, encode_bytes=1))
        for content in contents:
            reader.batch.catch_up()
            reader.add(Read(APP, content))
        return reader.batch.seal()

    with ThreadPoolExecutor(3) as helpers:
        assert bytes(sealed(helpers).body.result()) == bytes(sealed(None).body.result())


def test_a_helper_s_error_surfaces_in_the_sealed_batch(encode_pool):
    """What a helper could not do is raised where the object is asked for."""
    with ThreadPoolExecutor(2) as helpers:
        reader = Reader(Batch(settings(), [], encode_pool, helpers=helpers))
        reader.add(Read(UNENCODABLE, b"x\n"))
        with pytest.raises(OverflowError):
            reader.batch.seal().body.result()


def test_an_encoder_error_surfaces_in_the_sealed_batch(encode_pool):
    """What the encoder could not do is raised where the object is asked for, not lost on its thread."""
    reader = Reader(Batch(settings(), [], encode_pool))
    reader.add(Read(UNENCODABLE, b"x\n"))
    with pytest.raises(OverflowError):
        reader.batch.seal().body.result()


def test_an_encoder_error_surfaces_while_the_batch_fills(encode_pool):
    """The thread that feeds the encoder meets the error when it waits for it, before it seals."""
    reader = Reader(Batch(settings(), [], encode_pool))
    feed_row_group(reader, UNENCODABLE)
    feed_row_group(reader, APP)
    with pytest.raises(OverflowError):
        reader.batch.catch_up()


def test_a_batch_waits_for_the_body_before_it():
    """What the encoder still makes of the batch before counts as a row group behind."""
    gate = threading.Event()
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as feeder:
        pool.submit(gate.wait, 30)
        before = Reader(Batch(settings(), [], pool))
        before.add(Read(APP, b"x\n"))
        body = before.batch.seal().body
        reader = Reader(Batch(settings(), [], pool, before=body))
        reader.batch.catch_up()
        feed_row_group(reader, APP)
        caught_up = feeder.submit(reader.batch.catch_up)
        assert not caught_up.done()
        gate.set()
        caught_up.result(timeout=30)
        assert body.done()


def test_a_batch_of_very_many_files_is_full(encode_pool):
    """Its record tells of each file: that is bounded, however short the files are."""
    reader = Reader(Batch(settings(), [], encode_pool))
    for number in range(MOST_SPANS):
        assert not reader.batch.is_full(1 << 30, 1 << 30)
        reader.add(Read(replace(APP, path=f"{number}.log"), b"\n"))
    assert reader.batch.is_full(1 << 30, 1 << 30)
