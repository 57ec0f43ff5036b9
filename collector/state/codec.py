"""The lines of `checkpoint.jsonl` and `journal.jsonl`: one JSON object each, with its checksum.

The last key of each line is `crc`: CRC-32, eight hex digits, of the bytes of the line before `,"crc"`.
The formats are described in `docs/state-format.md`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar
from zlib import crc32

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from collector.adapters import adapter
from collector.errors import StateDamaged, StateError
from collector.model import (
    FORMAT,
    BatchRecord,
    OpenRecord,
    SourceCheckpoint,
    VoidRecord,
)
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
    record: Annotated[OpenRecord | BatchRecord | VoidRecord, Field(discriminator="kind")] | None = None
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
    return seal(to_json(header))  # what is written rarely needs no schema, which takes milliseconds to make


def encode_journal_header(header: JournalHeader) -> bytes:
    return seal(to_json(header))


def encode_source(source: SourceCheckpoint) -> bytes:
    return seal(_SOURCE_START + adapter(SourceCheckpoint).dump_json(source)[1:])


def encode_recorded(n: int, record: bytes) -> bytes:
    """Change `n`, which is a record, as it stands in the destination."""
    return seal(b'{"n":%d,"record":%b}' % (n, record))


def encode_change(change: Change) -> bytes:
    """Every other change."""
    if change.source is not None:
        what = b'"source":' + adapter(SourceCheckpoint).dump_json(change.source)
    elif change.retired is not None:
        what = b'"retired":' + to_json(change.retired)
    else:
        what = b'"completed":' + to_json(change.completed)
    return seal(b'{"n":%d,%b}' % (change.n, what))


def decode_snapshot_header(line: bytes, place: str) -> SnapshotHeader:
    return _decode_header(adapter(SnapshotHeader), line, place)


def decode_journal_header(line: bytes, place: str) -> JournalHeader:
    return _decode_header(adapter(JournalHeader), line, place)


def decode_change(line: bytes, place: str) -> Change:
    return decode(adapter(Change), line, place)


def is_source(line: bytes) -> bool:
    """Whether the line says something of a source, and not of a file."""
    return line.startswith(_SOURCE_START)


def decode_source(line: bytes, place: str) -> SourceCheckpoint:
    return decode(adapter(SourceCheckpoint), line, place)


def _decode_header(adapter: TypeAdapter[T], line: bytes, place: str) -> T:
    """A newer format may have other checksums too, so its version is looked at first."""
    try:
        loose = from_json(line)
    except ValueError:
        loose = None
    version = loose.get("format") if isinstance(loose, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise StateError(
            f"{place}: format {version} is newer than this joblog knows ({FORMAT})",
            hint=f"use a newer joblog; or {REBUILD_HINT}",
        )
    return decode(adapter, line, place)


def decode(adapter: TypeAdapter[T], line: bytes, place: str) -> T:
    """Raises StateDamaged with `place`."""
    if not intact(line):
        raise damaged(place, NOT_INTACT)
    try:
        return adapter.validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        raise damaged(place, f"{at}: {first['msg']}" if at else first["msg"]) from None


def damaged(place: str, why: str) -> StateDamaged:
    """`place` is file and line number."""
    return StateDamaged(f"{place}: {why}", hint=REBUILD_HINT)
