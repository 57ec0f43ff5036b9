"""One line of `checkpoint.jsonl` that says how far a file is, and what is read from such a line.

Nearly all lines are as `encode_file` writes them, in plain ASCII: those are told by one pattern, at a tenth
of what a general reader takes. Every other one is read as JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from collector.model import Evidence, FileCheckpoint, FileId
from collector.state.codec import decode, seal

_TEXT = rb'"([ !#-\[\]-~]*)"'
_NUMBER = rb"(0|[1-9][0-9]{0,19})"
_PLAIN = re.compile(
    rb'\{"kind":"file","source":%(text)b,"path":%(text)b,"generation":%(number)b,"name":%(text)b,'
    rb'"offset":%(number)b,"bytes":%(number)b,"line_feeds":%(number)b,"terminated":(true|false),'
    rb'"evidence":\{"device":%(number)b,"inode":%(number)b,"head_bytes":%(number)b,"head_hash":%(text)b,'
    rb'"tail_bytes":%(number)b,"tail_hash":%(text)b,"prefix_sha256":(?:null|%(text)b)\},'
    rb'"holes":\[\],"crc":"[0-9a-f]{8}"\}\n' % {b"text": _TEXT, b"number": _NUMBER}
)


@dataclass(frozen=True, slots=True)
class _FileLine:
    """A FileCheckpoint, flat, so that `jq 'select(.source == "…") | .offset'` works."""

    kind: Literal["file"]
    source: str
    path: str
    generation: int
    name: str
    offset: int
    bytes: int
    line_feeds: int
    terminated: bool
    evidence: Evidence
    holes: tuple[tuple[int, int], ...]


_file_line = TypeAdapter(_FileLine)


def encode_file(at: FileCheckpoint) -> bytes:
    file = at.file
    line = _FileLine(
        kind="file",
        source=file.source,
        path=file.path,
        generation=file.generation,
        name=at.name,
        offset=at.offset,
        bytes=at.bytes,
        line_feeds=at.line_feeds,
        terminated=at.terminated,
        evidence=at.evidence,
        holes=at.holes,
    )
    return seal(_file_line.dump_json(line))


def plain_place(line: bytes) -> tuple[bytes, bytes, int] | None:
    """Source, path and generation of a line as `encode_file` writes most; None for every other one. The
    checksum is not looked at.
    """
    found = _PLAIN.fullmatch(line)
    return None if found is None else (found[1], found[2], int(found[3]))


def decode_file(line: bytes, place: str) -> FileCheckpoint:
    """Raises StateDamaged with `place`. A plain line's checksum is not looked at."""
    found = _PLAIN.fullmatch(line)
    return _general(line, place) if found is None else _plain(found, found[1].decode("ascii"))


def decode_plain(line: bytes, source: str) -> FileCheckpoint:
    """Of a line of which `plain_place` told that it is plain; its source is known."""
    found = _PLAIN.fullmatch(line)
    assert found is not None  # noqa: S101 - see above
    return _plain(found, source)


def _plain(found: re.Match[bytes], source: str) -> FileCheckpoint:
    _, path, generation, name, offset, size, line_feeds, terminated, *evidence = found.groups()
    device, inode, head_bytes, head_hash, tail_bytes, tail_hash, prefix = evidence
    path_text = path.decode("ascii")
    return FileCheckpoint(
        file=FileId(source, path_text, int(generation)),
        name=path_text if name == path else name.decode("ascii"),
        offset=int(offset),
        bytes=int(size),
        line_feeds=int(line_feeds),
        terminated=terminated == b"true",
        evidence=Evidence(
            device=int(device),
            inode=int(inode),
            head_bytes=int(head_bytes),
            head_hash=head_hash.decode("ascii"),
            tail_bytes=int(tail_bytes),
            tail_hash=tail_hash.decode("ascii"),
            prefix_sha256=None if prefix is None else prefix.decode("ascii"),
        ),
    )


def _general(line: bytes, place: str) -> FileCheckpoint:
    at = decode(_file_line, line, place)
    return FileCheckpoint(
        file=FileId(at.source, at.path, at.generation),
        name=at.name,
        offset=at.offset,
        bytes=at.bytes,
        line_feeds=at.line_feeds,
        terminated=at.terminated,
        evidence=at.evidence,
        holes=at.holes,
    )
