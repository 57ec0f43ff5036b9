"""One line of `checkpoint.jsonl` that says how far a file is, and what is read from such a line.

Nearly all lines are as `encode_file` writes them, in plain ASCII: those are told by one pattern, in half the
time of a general reader. Every other one is read as JSON.
"""

from __future__ import annotations

import re
from typing import Literal

from collector.json_text import encoded
from collector.model import Evidence, FileCheckpoint, FileId
from collector.state.codec import decode, seal
from collector.value import value

TEXT = rb"[ !#-\[\]-~]*"
"""What stands in JSON as it is."""
HASH, LONG_HASH = rb"[0-9a-f]{32}", rb"[0-9a-f]{64}"
_NUMBER = rb"(0|[1-9][0-9]{0,19})"
_HEAD = (
    b'{"kind":"file","source":"%b","path":"%b","generation":%b,"name":"%b","offset":%b,"bytes":%b,'
    b'"line_feeds":%b,"terminated":%b,"evidence":{"device":%b,"inode":%b,"head_bytes":%b,"head_hash":"%b",'
    b'"tail_bytes":%b,"tail_hash":"%b","prefix_sha256":%b},"holes":[]'
)
_TEXTS, _HASHES = (b"(%b)" % TEXT, b"(%b)" % HASH)
_PLAIN = re.compile(
    _HEAD.replace(b"{", rb"\{").replace(b"}", rb"\}").replace(b"[]", rb"\[\]")
    % (
        *(_TEXTS, _TEXTS, _NUMBER, _TEXTS, _NUMBER, _NUMBER, _NUMBER, b"(true|false)", _NUMBER, _NUMBER),
        *(_NUMBER, _HASHES, _NUMBER, _HASHES, b'(?:null|"(%b)")' % LONG_HASH),
    )
    + rb',"crc":"[0-9a-f]{8}"\}\n'
)
_WRITTEN = re.sub(
    rb"(generation|offset|bytes|line_feeds|device|inode)\":%b", rb'\1":%d', _HEAD
)  # numbers as numbers
Fields = tuple[bytes, ...]
"""Of a plain line: source, path, generation, name, offset, bytes, line_feeds, terminated, device, inode,
head_bytes, head_hash, tail_bytes, tail_hash, prefix_sha256 (None where that is null).
"""


@value
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
    return seal(encoded(line))


def plain_fields(line: bytes) -> Fields | None:
    """What stands in a line as `encode_file` writes most; None for every other one. The checksum is not
    looked at.
    """
    found = _PLAIN.fullmatch(line)
    return None if found is None else found.groups()


def plain_line(*fields: bytes | int) -> bytes:
    """The line of such fields, the numbers as numbers, the last one as JSON."""
    return seal(_WRITTEN % fields + b"}")


def decode_file(line: bytes, place: str) -> FileCheckpoint:
    """Any line, however it is written. Raises StateDamaged with `place`."""
    at = decode(_FileLine, line, place)
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
