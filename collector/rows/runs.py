"""Columns that hardly ever change within a row group: written as a few runs, however many rows there are. And
columns of two texts: written as a bit a row.

Most columns of metadata are such where files are large. Arrow makes a value for each row of them, and its
writer looks at each. What comes out here is what it would write, but for compression: a dictionary, and the
runs of definition levels and of indices, as
https://parquet.apache.org/docs/file-format/data-pages/encodings/ and parquet.thrift describe them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.rows.chunk import (
    BYTE_ARRAY_TYPE,
    INT32_TYPE,
    INT64_TYPE,
    PLAIN,
    RLE,
    RLE_DICTIONARY,
    Chunk,
    Page,
    all_there,
    data_page,
    dictionary_page,
    levels,
    plain,
    run_lengths,
    statistics,
)

Said = str | int | None
"""What rows say in a column: a text, a number, or a time in microseconds since 1970."""

Run = tuple[Said, int]
"""What so many rows in a row say."""

MOST_PACKED = 63
"""Bytes of packed bits in a row, as other writers have them."""


def runs_chunk(field: pa.Field, runs: Sequence[Run]) -> Chunk:
    """A column that may have nulls, of texts, int32 or microseconds. No run is empty, and there is one."""
    rows = sum(count for _, count in runs)
    numbers = {said: number for number, said in enumerate(dict.fromkeys(s for s, _ in runs if s is not None))}
    there = levels(run_lengths(((0 if said is None else 1, count) for said, count in runs), 1))
    nulls = sum(count for said, count in runs if said is None)
    width = max(1, (len(numbers) - 1).bit_length())
    indices = run_lengths(((numbers[said], count) for said, count in runs if said is not None), width)
    return _chunk(field, list(numbers), rows, nulls, (there, bytes([width]) + indices))


def bits_chunk(field: pa.Field, texts: tuple[str, str], codes: NDArray[np.int8]) -> Chunk:
    """A column of two texts that may have nulls: of each row `texts[code]`, null where that is negative."""
    there = codes >= 0
    said = codes if there.all() else codes[there]
    used = [number for number in (0, 1) if (said == number).any()]
    known = all_there(len(codes)) if said is codes else levels(_packed(there))
    indices = _packed(said != 0) if len(used) > 1 else run_lengths([(0, len(said))], 1)
    values = [texts[number] for number in used]
    return _chunk(field, values, len(codes), len(codes) - len(said), (known, bytes([1]) + indices))


def _chunk(
    field: pa.Field,
    values: Sequence[str | int],
    rows: int,
    nulls: int,
    page_of: tuple[bytes, bytes],
) -> Chunk:
    """`page_of` are levels, and indices of the values behind their width in bits."""
    stored_as = _physical_type(field.type)
    known = statistics(stored_as, values, nulls)
    there, indices = page_of
    if not values:
        return Chunk(
            field.name, stored_as, rows, None, (data_page(rows, PLAIN, [there]),), (PLAIN, RLE), known
        )
    return Chunk(
        name=field.name,
        physical_type=stored_as,
        rows=rows,
        dictionary=_dictionary(stored_as, values),
        data=(data_page(rows, RLE_DICTIONARY, [there + indices]),),
        encodings=(PLAIN, RLE, RLE_DICTIONARY),
        statistics=known,
    )


def _physical_type(kind: pa.DataType) -> int:
    if pa.types.is_int32(kind):
        return INT32_TYPE
    return INT64_TYPE if pa.types.is_timestamp(kind) else BYTE_ARRAY_TYPE


def _packed(bits: NDArray[np.bool_]) -> bytes:
    """The hybrid of run lengths and packed bits, of packed bits alone. A byte before so many of them is all
    that some readers know.
    """
    packed = np.packbits(bits, bitorder="little")
    whole, rest = np.split(packed, [len(packed) // MOST_PACKED * MOST_PACKED])
    full = np.insert(whole.reshape(-1, MOST_PACKED), 0, MOST_PACKED << 1 | 1, axis=1).tobytes()
    return full + (bytes([len(rest) << 1 | 1]) + rest.tobytes() if len(rest) else b"")


def _dictionary(stored_as: int, values: Sequence[str | int]) -> Page:
    stored = [plain(stored_as, each) for each in values]
    if stored_as == BYTE_ARRAY_TYPE:
        stored = [len(each).to_bytes(4, "little") + each for each in stored]
    return dictionary_page(len(values), b"".join(stored))
