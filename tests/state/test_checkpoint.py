"""The projection: what each record does to a checkpoint, what it refuses, and its snapshot form."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_records import Make

from collector.errors import BrokenInvariant, StateDamaged, StateError
from collector.model import FileId, Loss, Origin, SourceCheckpoint
from collector.state.checkpoint import Checkpoint
from collector.state.codec import (
    JournalHeader,
    SnapshotHeader,
    decode_journal_header,
    decode_snapshot_header,
    encode_journal_header,
    encode_snapshot_header,
    seal,
)

APP = FileId("ns_pod", "app.log", 0)


def after(*records) -> Checkpoint:
    checkpoint = Checkpoint("v", 0)
    for record in records:
        checkpoint.apply(record)
    return checkpoint


def same(a: Checkpoint, b: Checkpoint) -> bool:
    return list(a.dump()) == list(b.dump())


def test_open_record_moves_sequence_and_epoch(make):
    """An open record only counts: the next number, the new epoch."""
    checkpoint = after(make.open(0, 1), make.open(1, 2))
    assert (checkpoint.sequence, checkpoint.epoch) == (2, 2)
    assert checkpoint.unfinished is None


def test_batch_moves_offsets(make):
    """Spans move offset, bytes and line feeds on, and bring name and evidence."""
    second = make.span(start=10, end=30, rows=2, name="app.log.1", inode=8)
    at = after(make.open(), make.batch(1, make.span(end=10), second)).files[APP]
    assert (at.offset, at.bytes, at.line_feeds, at.name) == (30, 30, 3, "app.log.1")
    assert at.evidence == second.evidence
    assert at.terminated


def test_batch_notes_its_source(make):
    """A source knows its origin, its objects, and when its rows were first and last observed."""
    first = make.batch(1, make.span(end=10, at_us=5), make.span("b.log", at_us=2))
    second = make.batch(2, make.span(start=10, end=11, at_us=9))
    source = after(make.open(), first, second).sources["ns_pod"]
    assert source.objects == (first.object_key, second.object_key)
    assert source.origin == first.origins[0]
    assert source.first_observed_at == make.noon + timedelta(microseconds=2)
    assert source.last_observed_at == make.noon + timedelta(microseconds=9)


@pytest.mark.parametrize(
    ("rows", "line_feeds", "said", "terminated"),
    [(3, 3, None, True), (3, 2, None, False), (3, 1, True, True), (1, 0, False, False), (1, 1, False, False)],
)
def test_whether_a_file_ends_in_a_line_feed(make, rows, line_feeds, said, terminated):
    """The span says it; old ones do not, but where each of their rows has its line feed the last has too."""
    span = make.span(rows=rows, line_feeds=line_feeds, terminated=said)
    assert after(make.open(), make.batch(1, span)).files[APP].terminated is terminated


def test_span_behind_a_gap_leaves_a_hole(make):
    """What was jumped over is a hole, and no bytes."""
    at = after(make.open(), make.batch(1, make.span(end=10), make.span(start=50, end=60))).files[APP]
    assert (at.offset, at.bytes, at.holes) == (60, 20, ((10, 50),))


def test_lost_bytes_are_no_hole(make):
    """A gap that losses explain is none; only what they leave of it is a hole."""
    checkpoint = after(
        make.open(),
        make.batch(1, make.span(end=10)),
        make.void(2, None, (make.loss(10, 20),)),
        make.batch(3, make.span(start=50, end=60), losses=(make.loss(30, 40), make.loss(0, 99, path="b"))),
    )
    assert checkpoint.files[APP].holes == ((20, 30), (40, 50))


def test_empty_span_moves_the_offset_over_a_hole(make):
    """A span without bytes stands for a hole at the end: no rows, no object, but a new offset."""
    checkpoint = after(
        make.open(),
        make.batch(1, make.span(end=10, rows=2, line_feeds=1)),
        make.batch(2, make.span(start=90, end=90, rows=0)),
    )
    at = checkpoint.files[APP]
    assert (at.offset, at.bytes, at.holes, at.terminated) == (90, 10, ((10, 90),), False)
    assert len(checkpoint.sources["ns_pod"].objects) == 1


def test_batch_is_unfinished_until_its_object_is_there(make):
    """`completed`, a later batch record and a void record each settle it; an open record does not."""
    first, second = make.batch(1, make.span(end=10)), make.batch(2, make.span(start=10, end=20))
    checkpoint = after(make.open(), first)
    assert checkpoint.unfinished == first
    checkpoint.completed(1)
    assert checkpoint.unfinished is None
    assert after(make.open(), first, second).unfinished == second
    assert after(make.open(), first, make.open(2, 2)).unfinished == first
    assert after(make.open(), first, make.void(2, 1, (make.loss(0, 10),))).unfinished is None
    assert after(make.open(), first, make.void(2, None, (make.loss(10, 20),))).unfinished == first


def test_headers_are_read_as_they_were_written(make):
    """Each ends with its checksum, and gives back what it was made of."""
    record = make.batch(1, make.span(end=10))
    for unfinished in (None, record):
        snapshot = SnapshotHeader("v", 0, 1, 1, 2, 3, 4, unfinished)
        assert decode_snapshot_header(encode_snapshot_header(snapshot), "place") == snapshot
    journal = JournalHeader("v\u2028", 0, 7)
    line = encode_journal_header(journal)
    head = '{"volume":"v\u2028","shard":0,"after":7,"kind":"journal","format":1,"checks":"crc32"}'
    assert line == seal(head.encode())
    assert decode_journal_header(line, "place") == journal


def test_completing_an_older_batch_says_nothing_of_the_newest(make):
    """Only the unfinished record's own number settles it."""
    first, second = make.batch(1, make.span(end=10)), make.batch(2, make.span(start=10, end=20))
    checkpoint = after(make.open(), first, second)
    checkpoint.completed(1)
    assert checkpoint.unfinished == second


def test_void_records_losses_and_takes_the_object_back(make):
    """The spans of a voided batch stay committed, its bytes are lost, its object is no object."""
    batch = make.batch(1, make.span(end=10))
    loss = Loss("ns_pod", "app.log", 0, 0, 10, "void")
    checkpoint = after(make.open(), batch, make.void(2, 1, (loss,)))
    assert checkpoint.files[APP].offset == 10
    assert checkpoint.sources["ns_pod"].losses == (loss,)
    assert checkpoint.sources["ns_pod"].objects == ()


def test_what_is_void_is_not_counted(make):
    """Bytes and lines of a void span are taken back, and no hash of the file is claimed; others stay."""
    first = make.batch(1, make.span(end=10, terminated=True), make.span("other.log", end=30, rows=3))
    second = make.batch(2, make.span(start=10, end=25, rows=2), make.span("other.log", start=30, end=40))
    checkpoint = after(make.open(), first, second, make.void(3, 2, (make.loss(10, 25),)))
    at = checkpoint.files[FileId("ns_pod", "app.log", 0)]
    assert (at.offset, at.bytes, at.line_feeds, at.terminated) == (25, 10, 1, True)
    assert at.evidence.prefix_sha256 is None
    other = checkpoint.files[FileId("ns_pod", "other.log", 0)]
    assert (other.offset, other.bytes, other.line_feeds) == (40, 40, 4)


def test_what_is_void_is_taken_back_to_half_a_line(make):
    """Before a void span may stand a piece of a long line, or half a line: that has no line feed again."""
    first = make.batch(1, make.span(end=10, line_feeds=0, terminated=False))
    second = make.batch(2, replace(make.span(start=10, end=25), starts_line=False))
    checkpoint = after(make.open(), first, second, make.void(3, 2, (make.loss(10, 25),)))
    at = checkpoint.files[FileId("ns_pod", "app.log", 0)]
    assert (at.bytes, at.line_feeds, at.terminated) == (10, 0, False)


def test_void_of_a_batch_that_was_seen_complete(make):
    """A collector that was taken over may have seen its object, and its successor given it up."""
    checkpoint = after(make.open(), make.batch(1, make.span(end=10)))
    checkpoint.completed(1)
    checkpoint.apply(make.open(2, 2))
    checkpoint.apply(make.void(3, 1, (make.loss(0, 10),), epoch=2))
    assert checkpoint.sources["ns_pod"].objects == ()


def test_partial_void_leaves_the_batch_unfinished(make):
    """Where other spans of the batch are still there, its object is to come, without the lost bytes."""
    batch = make.batch(1, make.span(end=10), make.span("b.log"))
    void = replace(make.void(2, 1, (make.loss(0, 10),)), partial=True)
    checkpoint = after(make.open(), batch, void)
    assert checkpoint.unfinished == batch
    assert checkpoint.sources["ns_pod"].objects == (batch.object_key,)
    assert checkpoint.sources["ns_pod"].losses == (make.loss(0, 10),)


def test_a_source_whose_spans_are_all_void_has_no_part_in_the_object(make):
    """Also where they are given up one after the other; the other sources of the batch keep its key."""
    spans = make.span(end=10), make.span("b.log", end=5), make.span("c.log", end=7, origin=1)
    batch = make.batch(1, *spans, sources=("ns_pod", "ns_other"))
    lost = [Loss("ns_pod", path, 0, 0, end, "void") for path, end in (("app.log", 10), ("b.log", 5))]
    checkpoint = after(make.open(), batch, replace(make.void(2, 1, (lost[0],)), partial=True))
    assert checkpoint.sources["ns_pod"].objects == (batch.object_key,)
    checkpoint.apply(replace(make.void(3, 1, (lost[1],)), partial=True))
    assert checkpoint.sources["ns_pod"].objects == ()
    assert checkpoint.sources["ns_other"].objects == (batch.object_key,)


@pytest.mark.parametrize("late", ["bytes", "losses"])
def test_finished_source_that_goes_on_is_unfinished(make, late):
    """What is committed, or lost, after a receipt asks for a further one; its revision is remembered."""
    checkpoint = after(make.open(), make.batch(1, make.span(end=10)))
    finished = replace(checkpoint.sources["ns_pod"], revision=1, finished_by="idle")
    checkpoint.note_source(finished)
    loss = (make.loss(10, 20),)
    checkpoint.apply(
        make.batch(2, make.span(start=10, end=20)) if late == "bytes" else make.void(2, None, loss)
    )
    assert checkpoint.sources["ns_pod"].finished_by is None
    assert checkpoint.sources["ns_pod"].revision == 1


def test_loss_of_a_source_never_seen(make):
    """A file that vanished before its first byte was committed is known by its loss."""
    checkpoint = after(make.open(), make.void(1, None, (make.loss(0, 10, source="gone"),)))
    assert checkpoint.sources["gone"].losses == (make.loss(0, 10, source="gone"),)
    assert checkpoint.sources["gone"].origin == Origin("gone")


@pytest.mark.parametrize("sequence", [0, 2])
def test_wrong_number_is_refused(make, sequence):
    """Records follow one another without a gap and without a repetition."""
    with pytest.raises(BrokenInvariant, match=f"record {sequence} where 1 comes next"):
        after(make.open(), make.batch(sequence, make.span()))


def test_lower_epoch_is_refused(make):
    """A record of a collector that was taken over cannot stand behind its successor's."""
    with pytest.raises(BrokenInvariant, match="epoch 1, at least 2"):
        after(make.open(), make.open(1, 2), make.batch(2, make.span(), epoch=1))
    with pytest.raises(BrokenInvariant, match="epoch 1, at least 2"):
        after(make.open(), make.open(1, 1))


def test_bytes_twice_are_refused(make):
    """A span before the committed offset would be lines twice; the checkpoint stays as it was."""
    checkpoint = after(make.open(), make.batch(1, make.span(end=10)))
    before = list(checkpoint.dump())
    twice = make.batch(2, make.span("new.log"), make.span(start=9, end=20))
    with pytest.raises(BrokenInvariant, match=r"ns_pod/app.log generation 0 from 9 to 20, 10 is committed"):
        checkpoint.apply(twice)
    assert list(checkpoint.dump()) == before


def test_another_shards_record_is_refused(make):
    """A checkpoint speaks of one shard of one volume."""
    with pytest.raises(BrokenInvariant, match="volume other shard 0"):
        after(make.open(volume="other"))


def test_span_of_an_unknown_origin_is_refused(make):
    """A record whose spans point nowhere cannot be applied."""
    with pytest.raises(BrokenInvariant, match="no origin 3"):
        after(make.open(), make.batch(1, make.span(origin=3)))


def test_retire_keeps_what_must_not_repeat(make):
    """A retired source loses its files, and keeps revision and the next generation."""
    checkpoint = after(make.open(), make.batch(1, make.span(generation=4), make.span("b", generation=1)))
    checkpoint.note_source(replace(checkpoint.sources["ns_pod"], revision=3))
    checkpoint.retire("ns_pod")
    assert checkpoint.files == {}
    assert checkpoint.files_of("ns_pod") == []
    left = checkpoint.sources["ns_pod"]
    assert (left.retired, left.generation_floor, left.revision, left.objects) == (True, 5, 3, ())


def test_retired_source_comes_back(make):
    """New bytes under the same name make it a living source, whose floor never sinks."""
    checkpoint = after(make.open(), make.batch(1, make.span(generation=4)))
    checkpoint.retire("ns_pod")
    checkpoint.apply(make.batch(2, make.span(generation=5)))
    assert not checkpoint.sources["ns_pod"].retired
    assert len(checkpoint.sources["ns_pod"].objects) == 1
    checkpoint.retire("ns_pod")
    checkpoint.retire("ns_pod")
    assert checkpoint.sources["ns_pod"].generation_floor == 6


def test_retiring_the_unknown_leaves_no_trace():
    """A directory without a byte that is gone again needs no memory."""
    checkpoint = Checkpoint("v", 0)
    checkpoint.retire("never")
    assert checkpoint.sources == {}


def test_files_of_a_source(make):
    """Only that source's files, by an index that a load makes again."""
    spans = (make.span("b.log"), make.span("a.log"), make.span("c.log", origin=1))
    checkpoint = after(make.open(), make.batch(1, *spans, sources=("one", "two")))
    assert {at.file.path for at in checkpoint.files_of("one")} == {"a.log", "b.log"}
    loaded = Checkpoint.load(checkpoint.dump())
    assert {at.file.path for at in loaded.files_of("one")} == {"a.log", "b.log"}
    assert loaded.files_of("three") == []


def test_snapshot_reads_as_json_lines(make):
    """A header, then each source with its files, sorted by source, path and generation: for grep and jq."""
    spans = (
        make.span("b.log"),
        make.span("a.log", generation=1, end=12),
        make.span("a.log"),
        make.span(origin=1),
    )
    checkpoint = after(make.open(), make.batch(1, *spans, sources=("two", "one")))
    header, *rest = [json.loads(line) for line in checkpoint.dump(journal=17)]
    assert (header["format"], header["volume"], header["shard"], header["journal"]) == (1, "v", 0, 17)
    assert (header["sequence"], header["epoch"], header["sources"], header["files"]) == (2, 1, 2, 4)
    assert header["unfinished"]["sequence"] == 1
    assert [(line["kind"], line["source"], line.get("path"), line.get("generation")) for line in rest] == [
        ("source", "one", None, None),
        ("file", "one", "app.log", 0),
        ("source", "two", None, None),
        ("file", "two", "a.log", 0),
        ("file", "two", "a.log", 1),
        ("file", "two", "b.log", 0),
    ]
    assert rest[4]["offset"] == 12


def test_damaged_line_is_refused_with_its_number(make):
    """One changed byte in any line is found, and the line named."""
    lines = list(after(make.open(), make.batch(1, make.span())).dump())
    for number, line in enumerate(lines):
        changed = [*lines[:number], line.replace(b"ns_pod", b"ns_pox"), *lines[number + 1 :]]
        with pytest.raises(StateDamaged, match=rf"^checkpoint:{number + 1}: .*joblog checkpoints rebuild"):
            Checkpoint.load(changed)


def test_missing_end_is_refused(make):
    """A snapshot that stops between two lines is not taken for a smaller one."""
    lines = list(after(make.open(), make.batch(1, make.span(), make.span("b"))).dump())
    for kept in range(len(lines)):
        with pytest.raises(StateDamaged):
            Checkpoint.load(lines[:kept])


def test_newer_format_is_refused(make):
    """What a newer version wrote is left alone, even if its checksums look different."""
    header, *_ = after(make.open()).dump()
    newer = header.replace(b'"format":1', b'"format":2')
    with pytest.raises(StateError, match="format 2 is newer than this joblog knows") as caught:
        Checkpoint.load([newer])
    assert not isinstance(caught.value, StateDamaged)


names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=8)


@st.composite
def histories(draw):
    """A checkpoint after some valid records, notes and retirements, over hostile names."""
    make = Make()
    checkpoint = after(make.open())
    for _ in range(draw(st.integers(0, 6))):
        sequence, epoch = checkpoint.sequence, checkpoint.epoch
        step = draw(
            st.sampled_from(["batch", "batch", "batch", "open", "void", "completed", "note", "retire"])
        )
        sources = tuple(draw(st.lists(names, min_size=1, max_size=3, unique=True)))
        if step == "batch":
            spans, reached = [], {}
            for _ in range(draw(st.integers(1, 4))):
                origin = draw(st.integers(0, len(sources) - 1))
                file = FileId(sources[origin], draw(names), draw(st.integers(0, 2)))
                known = checkpoint.files.get(file)
                start = reached.get(file, known.offset if known else 0) + draw(st.sampled_from([0, 0, 9]))
                reached[file] = start + draw(st.integers(0, 1 << 40))
                inode = draw(st.integers(0, 2**64 - 1))
                rows = 0 if reached[file] == start else draw(st.integers(1, 3))
                spans.append(
                    make.span(
                        file.path,
                        start,
                        reached[file],
                        generation=file.generation,
                        origin=origin,
                        rows=rows,
                        line_feeds=draw(st.integers(0, rows)),
                        inode=inode,
                    )
                )
            checkpoint.apply(make.batch(sequence, *spans, epoch=epoch, sources=sources))
        elif step == "open":
            checkpoint.apply(make.open(sequence, epoch + 1))
        elif step == "void":
            voids = checkpoint.unfinished.sequence if checkpoint.unfinished else None
            checkpoint.apply(make.void(sequence, voids, (make.loss(0, 5, source=sources[0]),), epoch=epoch))
        elif step == "completed":
            checkpoint.completed(sequence - 1)
        elif step == "note":
            known = checkpoint.sources.get(sources[0]) or SourceCheckpoint(sources[0], Origin(sources[0]))
            checkpoint.note_source(
                replace(known, revision=known.revision + 1, finished_by="tombstone", tombstone=draw(names))
            )
        else:
            checkpoint.retire(sources[0])
    return checkpoint


@given(histories())
def test_dump_and_load_are_inverse(checkpoint):
    """Whatever happened to a shard, its snapshot gives back the same checkpoint."""
    loaded = Checkpoint.load(checkpoint.dump())
    assert (loaded.volume, loaded.shard) == (checkpoint.volume, checkpoint.shard)
    assert (loaded.sequence, loaded.epoch) == (checkpoint.sequence, checkpoint.epoch)
    assert loaded.unfinished == checkpoint.unfinished
    assert loaded.files == checkpoint.files
    assert loaded.sources == checkpoint.sources
    assert same(loaded, checkpoint)


@given(histories())
def test_bytes_and_holes_and_offset_agree(checkpoint):
    """No byte of a file is both committed and in a hole, and none lies behind its offset."""
    for at in checkpoint.files.values():
        holes = sum(end - start for start, end in at.holes)
        assert at.bytes + holes <= at.offset
