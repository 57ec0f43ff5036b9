"""A file's checkpoint in few bytes: a shard may know a hundred thousand files, of which a few change.

What nearly all files are fits: no holes, names in plain ASCII, hashes of the usual length. Everything else
is kept as it is.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from functools import lru_cache
from struct import Struct, error
from sys import intern

from collector.model import Evidence, FileCheckpoint, FileId, ReceiptFile
from collector.state.file_line import TEXT, Fields, plain_line

_FIXED = Struct("<BHIQQQQQHH16s")
"""Flags, length of the path, generation, offset, bytes, line feeds, device, inode, head and tail bytes, the
head's hash. After it the tail's where that is another, the prefix's where there is one, path and name.
"""
_PLACE = Struct("<BHI")
"""Its start."""
_TERMINATED, _OWN_TAIL, _HAS_PREFIX, _OWN_NAME = 1, 2, 4, 8
_PLAIN_TEXT = re.compile(TEXT.decode())
_HASH_DIGITS, _LONG_HASH_DIGITS = 32, 64


def pack(at: FileCheckpoint) -> bytes | None:
    """None where it does not fit."""
    file, evidence = at.file, at.evidence
    path, name, prefix = file.path, at.name, evidence.prefix_sha256
    hashes = _hashes(evidence.head_hash, evidence.tail_hash, prefix)
    if at.holes or hashes is None or not _PLAIN_TEXT.fullmatch(path if name == path else path + name):
        return None
    numbers = (
        file.generation,
        at.offset,
        at.bytes,
        at.line_feeds,
        evidence.device,
        evidence.inode,
        evidence.head_bytes,
        evidence.tail_bytes,
    )
    return _packed(numbers, hashes, path.encode(), name.encode(), terminated=at.terminated)


def _hashes(head: str, tail: str, prefix: str | None) -> bytes | None:
    """One after the other; None where they are no hashes as they are written here."""
    digits = head + tail + (prefix or "")
    is_long = prefix is None or len(prefix) == _LONG_HASH_DIGITS
    if not (len(head) == len(tail) == _HASH_DIGITS and is_long):
        return None
    try:
        hashes = bytes.fromhex(digits)
    except ValueError:
        return None
    return hashes if hashes.hex() == digits else None  # it reads more than it writes


def pack_line(fields: Fields) -> bytes | None:
    """The same of a plain line."""
    _, path, generation, name, offset, size, line_feeds, terminated, *evidence = fields
    device, inode, head_bytes, head_hash, tail_bytes, tail_hash, prefix = evidence
    numbers = (generation, offset, size, line_feeds, device, inode, head_bytes, tail_bytes)
    hashes = unhexlify(head_hash + tail_hash + (prefix or b""))
    return _packed(tuple(map(int, numbers)), hashes, path, name, terminated=terminated == b"true")


def _packed(
    numbers: tuple[int, ...], hashes: bytes, path: bytes, name: bytes, *, terminated: bool
) -> bytes | None:
    head, tail, prefix = hashes[:16], hashes[16:32], hashes[32:]
    flags = _TERMINATED * terminated | _HAS_PREFIX * bool(prefix)
    if tail == head:
        tail = b""
    else:
        flags |= _OWN_TAIL
    if name == path:
        name = b""
    else:
        flags |= _OWN_NAME
    try:
        return _FIXED.pack(flags, len(path), *numbers, head) + tail + prefix + path + name
    except error:
        return None  # a number that is too large


def place(packed: bytes) -> tuple[bytes, int]:
    """Path and generation."""
    flags, length, generation = _PLACE.unpack_from(packed)
    start = _path_start(flags)
    return packed[start : start + length], generation


def unpack(packed: bytes, source: str) -> FileCheckpoint:
    terminated, path, name, numbers, head, tail, prefix = _parts(packed)
    generation, offset, size, line_feeds, device, inode, head_bytes, tail_bytes = numbers
    head_hash = head.hex()
    path_text = intern(path.decode())  # the same in thousands of sources
    return FileCheckpoint(
        file=FileId(source, path_text, generation),
        name=path_text if name == path else name.decode(),
        offset=offset,
        bytes=size,
        line_feeds=line_feeds,
        terminated=terminated,
        evidence=Evidence(
            device=_kept(device),
            inode=inode,
            head_bytes=head_bytes,
            head_hash=head_hash,
            tail_bytes=tail_bytes,
            tail_hash=head_hash if tail == head else tail.hex(),
            prefix_sha256=prefix.hex() if prefix else None,
        ),
    )


def receipt_file(packed: bytes) -> ReceiptFile:
    """What a receipt says of the file: less than a checkpoint does, and so it is made in half of the time."""
    terminated, path, _, (generation, _, size, line_feeds, *_), _, _, prefix = _parts(packed)
    lines = line_feeds + (1 if size and not terminated else 0)
    return ReceiptFile(intern(path.decode()), generation, size, lines, prefix.hex() if prefix else None)


def line_of(packed: bytes, source: bytes) -> bytes:
    """The plain line of a file of this source, whose name is plain text."""
    terminated, path, name, numbers, head, tail, prefix = _parts(packed)
    generation, offset, size, line_feeds, device, inode, head_bytes, tail_bytes = numbers
    return plain_line(
        source,
        path,
        generation,
        name,
        offset,
        size,
        line_feeds,
        b"true" if terminated else b"false",
        device,
        inode,
        head_bytes,
        head.hex().encode(),
        tail_bytes,
        tail.hex().encode(),
        b'"%b"' % prefix.hex().encode() if prefix else b"null",
    )


@lru_cache(64)
def _kept(device: int) -> int:
    """The same number for all files of a device."""
    return device


def _parts(packed: bytes) -> tuple[bool, bytes, bytes, tuple[int, ...], bytes, bytes, bytes]:
    """Whether it is terminated; path, name; numbers in the order of a line; hashes."""
    flags, length, *numbers, head = _FIXED.unpack_from(packed)
    start = _path_start(flags)
    path = packed[start : start + length]
    name = packed[start + length :] if flags & _OWN_NAME else path
    tail = packed[_FIXED.size : _FIXED.size + 16] if flags & _OWN_TAIL else head
    prefix = packed[start - 32 : start] if flags & _HAS_PREFIX else b""
    return bool(flags & _TERMINATED), path, name, tuple(numbers), head, tail, prefix


def _path_start(flags: int) -> int:
    return _FIXED.size + (16 if flags & _OWN_TAIL else 0) + (32 if flags & _HAS_PREFIX else 0)
