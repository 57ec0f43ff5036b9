"""Bytes that are neither rows nor for other programs to read, compressed: snapshots of checkpoints."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from collector.errors import ExportDamaged

CODEC = "zstd"


def compress(lines: Iterable[bytes]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, CODEC) as stream:
        for line in lines:
            stream.write(line)
    return bytes(sink.getvalue())


def decompress(body: bytes, place: str) -> bytes:
    """Raises ExportDamaged with `place` for what was not compressed so, or is cut."""
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), CODEC) as stream:
            return bytes(stream.read())
    except OSError as error:
        raise ExportDamaged(
            f"{place} cannot be decompressed", hint="remove it: the records are enough"
        ) from error
