"""The hash that a Parquet object has of itself.

Pages have checksums, which say nothing of what stands around them: headers, statistics and Bloom filters, by
which engines skip row groups, and the footer. So the footer has one more entry among its key-value metadata,
the XXH3 of the whole object, made while its own digits were zeros. It is the object's own, not the record's:
who has to make an object again may do so with another version of Arrow, and other bytes.
"""

from __future__ import annotations

from xxhash import xxh3_128

KEY = "joblog.xxh3_128"
ZEROS = b"0" * 32
"""The value until the hash is known."""

_TAIL_BYTES = 8
"""Behind the footer: its length in four bytes, and `PAR1`."""

# A KeyValue in Thrift's compact protocol: each of the two strings with header and length before it.
_ENTRY = b"\x18" + bytes([len(KEY)]) + KEY.encode() + b"\x18" + bytes([len(ZEROS)])


def write_hash(body: memoryview) -> None:
    """Puts its hash into an object whose footer has `KEY`, with `ZEROS`."""
    start, end = _digits(body)
    body[start:end] = _hash(body, start, end)


def fits_hash(body: bytes | memoryview) -> bool:
    """Whether each byte is as it was written. False for what has no hash."""
    start, end = _digits(body)
    return start < end and body[start:end] == _hash(body, start, end)


def _digits(body: bytes | memoryview) -> tuple[int, int]:
    """Where the digits stand; nowhere in particular if there are none."""
    length = int.from_bytes(body[-_TAIL_BYTES:][:4], "little")
    footer = bytes(body[-_TAIL_BYTES - length : -_TAIL_BYTES])
    # The last one: what comes before may have texts of the logs, and what follows has none.
    found = footer.rfind(_ENTRY)
    if found < 0:
        return 0, 0
    start = len(body) - _TAIL_BYTES - len(footer) + found + len(_ENTRY)
    return start, start + len(ZEROS)


def _hash(body: bytes | memoryview, start: int, end: int) -> bytes:
    found = xxh3_128(body[:start])
    found.update(ZEROS)
    found.update(body[end:])
    return found.hexdigest().encode()
