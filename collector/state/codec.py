"""The lines of `checkpoint.jsonl` and `journal.jsonl`: one JSON object each, with its checksum.

The last key of each line is `crc`: CRC-32, eight hex digits, of the bytes of the line before `,"crc"`.
The formats are described in `docs/state-format.md`.
"""

from __future__ import annotations

from typing import Literal, TypeVar
from zlib import crc32

from msgspec import Raw, Struct

from collector.errors import StateDamaged, StateError
from collector.json_text import Unfit, decoded, encoded
from collector.model import FORMAT, BatchRecord, CommitRecord, SourceCheckpoint
from collector.records import Form, record_of
from collector.value import value

T = TypeVar("T")

REBUILD_HINT = "`joblog checkpoints rebuild` makes it again from the destination"
NOT_INTACT = "the checksum does not fit the line"
_SOURCE_START = b'{"kind":"source",'
_CRC_BYTES = len(b',"crc":"01234567"}\n')


@value
class SnapshotHeader:
    """First line of `checkpoint.jsonl`. `journal` is the last journal line that the snapshot holds;
    `sources` and `files` are how many lines of each kind follow.
    """

    volume: str
    shard: int
    sequence: int
    epoch: int
    journal: int
    sources: int
    files: int
    unfinished: BatchRecord | None
    kind: Literal["checkpoint"] = "checkpoint"
    format: int = FORMAT
    checks: Literal["crc32"] = "crc32"


@value
class JournalHeader:
    """First line of `journal.jsonl`. Its changes are numbered from `after` + 1 on."""

    volume: str
    shard: int
    after: int
    kind: Literal["journal"] = "journal"
    format: int = FORMAT
    checks: Literal["crc32"] = "crc32"


@value
class Change:
    """One further line of `journal.jsonl`: number `n`, and one of the others."""

    n: int
    record: CommitRecord | None = None
    completed: int | None = None
    source: SourceCheckpoint | None = None
    retired: str | None = None


class _ChangeLine(Struct):
    """A Change as it is read: of which kind its record is, that tells itself."""

    n: int
    record: Raw = Raw()
    completed: int | None = None
    source: SourceCheckpoint | None = None
    retired: str | None = None


def seal(body: bytes) -> bytes:
    """The line for a JSON object that has at least one key."""
    head = body[:-1]
    return b'%b,"crc":"%08x"}\n' % (head, crc32(head))


def intact(line: bytes) -> bool:
    """Whether the line is whole and its checksum right."""
    head = line[:-_CRC_BYTES]
    return line[-_CRC_BYTES:] == b',"crc":"%08x"}\n' % crc32(head)


def encode_snapshot_header(header: SnapshotHeader) -> bytes:
    return seal(encoded(header))


def encode_journal_header(header: JournalHeader) -> bytes:
    return seal(encoded(header))


def encode_source(source: SourceCheckpoint) -> bytes:
    return seal(_SOURCE_START + encoded(source)[1:])


def encode_recorded(n: int, record: bytes) -> bytes:
    """Change `n`, which is a record, as it stands in the destination."""
    return seal(b'{"n":%d,"record":%b}' % (n, record))


def encode_change(change: Change) -> bytes:
    """Every other change."""
    if change.source is not None:
        what = b'"source":' + encoded(change.source)
    elif change.retired is not None:
        what = b'"retired":' + encoded(change.retired)
    else:
        what = b'"completed":' + encoded(change.completed)
    return seal(b'{"n":%d,%b}' % (change.n, what))


def decode_snapshot_header(line: bytes, place: str) -> SnapshotHeader:
    return _decode_header(SnapshotHeader, line, place)


def decode_journal_header(line: bytes, place: str) -> JournalHeader:
    return _decode_header(JournalHeader, line, place)


def decode_change(line: bytes, place: str) -> Change:
    """Raises StateDamaged with `place`."""
    read = decode(_ChangeLine, line, place)
    return Change(read.n, _record(bytes(read.record), place), read.completed, read.source, read.retired)


def _record(body: bytes, place: str) -> CommitRecord | None:
    if body in {b"", b"null"}:
        return None
    try:
        return record_of(decoded(Form, body).kind, body)
    except Unfit as error:
        at = f"record.{error.place}" if error.place else "record"
        raise damaged(place, f"{at}: {error.why}") from None


def is_source(line: bytes) -> bool:
    """Whether the line says something of a source, and not of a file."""
    return line.startswith(_SOURCE_START)


def decode_source(line: bytes, place: str) -> SourceCheckpoint:
    return decode(SourceCheckpoint, line, place)


def _decode_header(of: type[T], line: bytes, place: str) -> T:
    """A newer format may have other checksums too, so its version is looked at first."""
    try:
        form = decoded(Form, line)
    except Unfit:
        form = Form()
    if form.is_newer:
        raise StateError(
            f"{place}: format {form.format} is newer than this joblog knows ({FORMAT})",
            hint=f"use a newer joblog; or {REBUILD_HINT}",
        )
    return decode(of, line, place)


def decode(of: type[T], line: bytes, place: str) -> T:
    """Raises StateDamaged with `place`."""
    if not intact(line):
        raise damaged(place, NOT_INTACT)
    try:
        return decoded(of, line)
    except Unfit as error:
        raise damaged(place, str(error)) from None


def damaged(place: str, why: str) -> StateDamaged:
    """`place` is file and line number."""
    return StateDamaged(f"{place}: {why}", hint=REBUILD_HINT)
