"""A Parquet object knows itself: no changed bit goes unnoticed, and readers see nothing of it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from xxhash import xxh3_128_hexdigest

from collector.object_hash import KEY, ZEROS, fits_hash, write_hash

HOSTILE = f"\x18\x0f{KEY}\x18 {ZEROS.decode()}"
"""Looks like the entry, as the least and the greatest of a column."""


@pytest.fixture(params=["plain", HOSTILE])
def written(request) -> bytes:
    """An object of a few hundred bytes with its hash."""
    sink = pa.BufferOutputStream()
    table = pa.table({"path": [request.param] * 3})
    with pq.ParquetWriter(sink, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({KEY: ZEROS})
    body = bytearray(sink.getvalue())
    write_hash(memoryview(body))
    return bytes(body)


def test_each_changed_bit_is_found(written: bytes) -> None:
    assert fits_hash(written)
    for at in range(len(written)):
        for bit in range(8):
            body = bytearray(written)
            body[at] ^= 1 << bit
            assert not fits_hash(body), (at, bit)


def test_anybody_can_check_it(written: bytes) -> None:
    """By the value that readers give, and the object with zeros in its place."""
    value = pq.read_metadata(pa.BufferReader(written)).metadata[KEY.encode()]
    assert written.count(value) == 1
    assert xxh3_128_hexdigest(written.replace(value, ZEROS)) == value.decode()


@pytest.mark.parametrize("body", [b"", b"PAR1", b"\xff" * 100, b"PAR1" + b"\0" * 8 + b"PAR1"])
def test_what_has_no_hash_does_not_fit(body: bytes) -> None:
    assert not fits_hash(body)


def test_what_was_cut_or_grew_does_not_fit(written: bytes) -> None:
    assert not any(fits_hash(written[:end]) for end in range(len(written)))
    assert not fits_hash(written + b"\0")
