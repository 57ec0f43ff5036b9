"""The commit protocol on a real Ceph RGW whose disk hangs in the middle of a claim."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from collector.errors import StoreUnavailable
from collector.model import BatchRecord, BatchSettings, Owner
from collector.records import object_key, record_key
from collector.sink.destination import bucket_of, open_store, split
from collector.sink.ledger import Ledger
from collector.sink.s3 import S3Store

pytestmark = pytest.mark.e2e

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
SETTINGS = BatchSettings(layout="subpath", format="ndjson", compression="none", max_line_bytes=1024)


def ledger_on(store, instance: str) -> Ledger:
    owner = Owner(instance, "host", 1, "1.0")
    return Ledger(store, volume="v", shard=0, owner=owner, clock=lambda: NOW, emit=lambda event: None)


def empty_batch(sequence: int, epoch: int) -> BatchRecord:
    return BatchRecord(
        volume="v",
        shard=0,
        sequence=sequence,
        epoch=epoch,
        instance="A",
        sealed_at=NOW,
        object_key=object_key("v", 0, sequence, NOW, SETTINGS),
        object_bytes=4,
        rows=0,
        bytes=0,
        settings=SETTINGS,
        origins=(),
        spans=(),
    )


def test_a_claim_that_timed_out_lands_later(ceph, ceph_url):
    """The record takes effect after the disk resumed; claimed again, it is met as one's own, and used."""
    patient = open_store(ceph_url)
    found = bucket_of(split(ceph_url))
    bucket = type(found)(found.name, found.prefix, found.endpoint_url, path_style=True, read_seconds=1)
    patient.put_new("warm", b"")
    ledger = ledger_on(S3Store(bucket, url=ceph_url), "A")
    ledger.take(seen=0)
    ceph.fault("pause-osd")
    try:
        with pytest.raises(StoreUnavailable):
            ledger.claim(empty_batch)
    finally:
        ceph.fault("resume-osd")
    deadline = time.monotonic() + 30
    while patient.size_bytes(record_key("v", 0, 1)) is None:
        assert time.monotonic() < deadline, "the put did not land in time"
        time.sleep(0.05)
    record = ledger.claim(empty_batch)
    assert ledger.put_object(record, b"rows")
    successor = ledger_on(patient, "B").take(seen=0)
    assert [each.kind for each in successor.records] == ["open", "batch"]
    assert successor.unfinished is None
    assert patient.conditional
