"""Receipts as values: what they say of a source, and when two of them say the same."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from collector.errors import BrokenInvariant
from collector.model import FileId, Origin, ReceiptLoss, SourceCheckpoint
from collector.state import receipt
from collector.state.checkpoint import Checkpoint


def built(checkpoint, **given):
    made = receipt.build(checkpoint, "ns_pod", finished_by="tombstone", **given)
    return replace(made, tombstone="0")


@pytest.fixture
def checkpoint(make) -> Checkpoint:
    found = Checkpoint("v", 0)
    found.apply(make.open())
    spans = (
        make.span("b.log", end=10, rows=3, line_feeds=2),
        make.span("a.log", end=10, rows=3),
        make.span("a.log", 50, 55, rows=1),
        make.span("a.log", end=4, generation=1),
    )
    found.apply(make.batch(1, *spans, losses=(make.loss(90, 95, path="b.log"),)))
    return found


def test_receipt_says_whose_and_when(checkpoint, make):
    """Identity, revision, cause, objects and times come from the source."""
    made = built(checkpoint)
    assert (made.volume, made.source, made.namespace, made.job, made.pod) == (
        "v",
        "ns_pod",
        "ns",
        "job",
        "pod",
    )
    assert (made.revision, made.finished_by, made.tombstone, made.format) == (1, "tombstone", "0", 1)
    assert made.objects == checkpoint.sources["ns_pod"].objects
    assert made.first_observed_at == made.last_observed_at == make.noon
    assert made.losses == (ReceiptLoss("b.log", 0, 90, 95, "deleted"),)


def test_receipt_lists_files_in_order(checkpoint):
    """Files are sorted; bytes leave holes out; an unterminated end is one more line."""
    a = checkpoint.files[FileId("ns_pod", "a.log", 0)]
    checkpoint.files.put(replace(a, evidence=replace(a.evidence, prefix_sha256="a" * 64)))
    made = built(checkpoint)
    files = [
        (file.path, file.generation, file.bytes, file.lines, file.sha256, file.holes) for file in made.files
    ]
    assert files == [
        ("a.log", 0, 15, 4, "a" * 64, ((10, 50),)),
        ("a.log", 1, 4, 1, None, ()),
        ("b.log", 0, 10, 3, None, ()),
    ]


def test_empty_files_appear(checkpoint):
    """A file without a byte is proof too: of nothing, with the SHA-256 of nothing."""
    made = built(checkpoint, empty_files=[("c.log", 0), ("a.log", 0)])
    assert [file.path for file in made.files] == ["a.log", "a.log", "b.log", "c.log"]
    assert (made.files[0].bytes, made.files[3].bytes, made.files[3].lines) == (15, 0, 0)
    assert made.files[3].sha256 == sha256(b"").hexdigest()


def test_source_with_nothing_in_it():
    """A Job that wrote nothing gets its receipt as well, once its source is noted."""
    checkpoint = Checkpoint("v", 0)
    with pytest.raises(BrokenInvariant, match="nothing is known"):
        built(checkpoint)
    checkpoint.note_source(
        SourceCheckpoint("ns_pod", Origin("ns_pod", matched=True, namespace="ns", pod="pod"))
    )
    made = built(checkpoint, empty_files=[("out", 0)])
    assert (made.pod, [file.path for file in made.files], made.objects) == ("pod", ["out"], ())
    assert made.first_observed_at is None


def test_next_revision(checkpoint):
    """Late bytes give a further receipt, numbered after the last."""
    checkpoint.note_source(replace(checkpoint.sources["ns_pod"], revision=4))
    assert built(checkpoint).revision == 5


def test_what_stands_is_enough_if_it_proves_as_much(checkpoint):
    """Whatever its number, and though the new one knows less: no hash, no empty file, no tombstone. One with
    another file, length, hash or object is not enough.
    """
    made = built(checkpoint)
    first = made.files[0]
    forgetful = replace(first, sha256=None), *made.files[1:]
    assert receipt.says_the_same(made, replace(made, revision=7))
    assert receipt.says_the_same(made, replace(made, finished_by="idle", tombstone=None))
    assert receipt.says_the_same(made, replace(made, files=forgetful))
    assert not receipt.says_the_same(made, replace(made, files=made.files[1:]))
    assert not receipt.says_the_same(made, replace(made, objects=()))
    for other in (replace(first, sha256="0" * 64), replace(first, bytes=first.bytes + 1)):
        assert not receipt.says_the_same(made, replace(made, files=(other, *made.files[1:])))


def test_order_of_events_does_not_show(make):
    """Whoever finds the same facts in another order writes the same receipt."""

    def after(*spans):
        checkpoint = Checkpoint("v", 0)
        checkpoint.apply(make.open())
        checkpoint.apply(make.batch(1, *spans))
        return built(checkpoint, empty_files=[("x", 0), ("y", 0)])

    assert after(make.span("a"), make.span("b")) == after(make.span("b"), make.span("a"))
