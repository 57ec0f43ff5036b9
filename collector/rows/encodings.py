"""How Parquet columns are written of which nothing is known before: as the rows of a group suggest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from collector.rows.block import Block
from collector.rows.runs import Run
from collector.rows.schema import BLOOM_COLUMNS

SAMPLED, LEAST_SAMPLE_ROWS = 16, 256
"""A sixteenth of the first rows is looked at: to look at all would take as long as it saves."""

LEAST_REPEATS = 4
"""A value that stands so often in the sample, on average, is written once in a dictionary."""

LONGEST_CONSTANT = 200
"""Characters."""

FEW_VALUES = 2
"""Minimum and maximum name them all."""

BLOOM_FALSE_POSITIVES = 0.01
"""A filter takes ten bits a value then."""

Encodings = tuple[list[str], dict[str, str]]
"""Columns with a dictionary, and the encoding of others that have one of their own; the rest is plain."""


def encodings(rows: pa.Table, names: Sequence[str]) -> Encodings:
    """Of the columns `names`. Decision 0009 has the measurements.

    What repeats little in the sample repeats little in the whole, and a dictionary that grows too large is
    given up by the writer: so this decides over size and time, never over what is read.
    """
    dictionaries, others = [], {}
    sampled = max(LEAST_SAMPLE_ROWS, len(rows) // SAMPLED)
    for name in names:
        sample = rows.column(name).slice(0, sampled)
        if pa.types.is_boolean(sample.type) or sample.null_count == len(sample):
            continue
        if _repeats(sample):
            dictionaries.append(name)
        elif pa.types.is_integer(sample.type) or pa.types.is_timestamp(sample.type):
            others[name] = "DELTA_BINARY_PACKED"
    return dictionaries, others


def _repeats(sample: pa.ChunkedArray) -> bool:
    """Nearly always an eighth of it tells already: nearly all or nearly none of its values are different."""
    few = sample.slice(0, len(sample) // 8)
    distinct = pc.count_distinct(few).as_py()
    if len(few) < LEAST_SAMPLE_ROWS or len(few) < 16 * distinct < 15 * len(few):
        few, distinct = sample, pc.count_distinct(sample).as_py()
    return bool(distinct * LEAST_REPEATS <= len(few))


def constants(rows: pa.Table, names: Iterable[str]) -> dict[str, Sequence[Run]]:
    """Of the text columns `names`, those that say one thing in all rows, or nothing in any: as one run."""
    found = {name: _one_run(rows.column(name)) for name in names}
    return {name: runs for name, runs in found.items() if runs}


def _one_run(column: pa.ChunkedArray) -> Sequence[Run]:
    """Empty where rows differ, or what they say is too long for a footer, which has it too."""
    if not pa.types.is_string(column.type) or not len(column):
        return ()
    if column.null_count == len(column):
        return [(None, len(column))]
    text = column[0].as_py()
    if column.null_count or column[-1].as_py() != text or len(text) > LONGEST_CONSTANT:
        return ()
    is_only = all(_is_only(text.encode(), chunk) for chunk in column.chunks)
    return [(text, len(column))] if is_only else ()


def _is_only(text: bytes, chunk: pa.StringArray) -> bool:
    """The same lengths, and behind the bytes of one row the same again."""
    block, size = Block.of(chunk), len(text)
    data = block.data
    if (block.bounds[1:] - block.bounds[:-1] != size).any() or data[:size].tobytes() != text[: len(data)]:
        return False
    return bool((data[size:] == data[: max(0, len(data) - size)]).all())


def needs_bloom_filter(name: str, values: Collection[object]) -> bool:
    """Whether a column with these values gets one."""
    return name in BLOOM_COLUMNS and len(set(values) - {None}) > FEW_VALUES


def bloom_filters(rows: pa.Table) -> dict[str, dict[str, float]]:
    """For which columns, with how many values."""
    dictionaries = {
        name: rows.column(name).chunk(0).dictionary.to_pylist()
        for name in BLOOM_COLUMNS
        if name in rows.schema.names and len(rows)
    }
    return {
        name: {"ndv": len(values), "fpp": BLOOM_FALSE_POSITIVES}
        for name, values in dictionaries.items()
        if needs_bloom_filter(name, values)
    }
