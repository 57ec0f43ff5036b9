"""What must hold of an export of the model, whatever its owners did."""

from __future__ import annotations

from protocol_owner import lines_of

from collector.model import BatchRecord, CommitRecord, OpenRecord, VoidRecord
from collector.records import DATA, commits_prefix, decode_record

RECORDS = commits_prefix("v", 0)


def split(bodies: dict[str, bytes]) -> tuple[list[CommitRecord], dict[str, list[int]]]:
    """The records in order, and the lines of each object."""
    records = [decode_record(bodies[key], key) for key in sorted(bodies) if key.startswith(RECORDS)]
    objects = {k: [int(line) for line in body.split()] for k, body in bodies.items() if k.startswith(DATA)}
    return records, objects


def kind(record: CommitRecord) -> str:
    if not isinstance(record, VoidRecord):
        return record.kind
    return "void of others" if record.voids is None else "partial void" if record.partial else "void"


def broken_export(bodies: dict[str, bytes]) -> str:
    """What must hold at every moment, for any reader."""
    records, objects = split(bodies)
    lines = [line for object_lines in objects.values() for line in object_lines]
    if len(lines) != len(set(lines)):
        return "a line is in two objects"
    if [record.sequence for record in records] != list(range(len(records))):
        return "the records have a gap"
    return broken_rows(records, objects) or broken_order(records)


def broken_rows(records: list[CommitRecord], objects: dict[str, list[int]]) -> str:
    """An object's rows are those that its record announced before, but for some that were declared void."""
    announced = {r.object_key: set(lines_of(r)) for r in records if isinstance(r, BatchRecord)}
    void = lost(records)
    for key, lines in objects.items():
        if key not in announced:
            return "an object has no record"
        if not announced[key] - void <= set(lines) <= announced[key]:
            return "an object holds other rows than its record says"
    return ""


def broken_order(records: list[CommitRecord]) -> str:
    """Only the newest owner writes: no record of an old one stands behind an open record."""
    newest = None
    for record in records:
        if isinstance(record, OpenRecord):
            if newest and record.epoch <= newest.epoch:
                return "an open record has no higher epoch"
            newest = record
        elif not newest or (record.epoch, record.instance) != (newest.epoch, newest.owner.instance):
            return "a fenced owner wrote a record"
    return ""


def missing_lines(bodies: dict[str, bytes], lines: int) -> str:
    records, objects = split(bodies)
    there = {line for object_lines in objects.values() for line in object_lines}
    return "" if there | lost(records) == set(range(lines)) else "a line is in no object and no void record"


def lost(records: list[CommitRecord]) -> set[int]:
    losses = [loss for record in records if isinstance(record, VoidRecord) for loss in record.losses]
    return {line for loss in losses for line in range(loss.start, loss.end)}
