"""Columns that are written without a look at their rows: every reader gets the rows."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.rows import packed
from collector.rows.block import Block, gathered
from collector.rows.body import Body
from collector.rows.chunk import Chunk, all_there
from collector.rows.footer import RowGroups
from collector.rows.packed import numbers_chunk, rows_for_room, text_chunk, truths_chunk

COMPRESSIONS = st.sampled_from(["zstd", "gzip", "none"])
TEXTS = st.lists(
    st.one_of(st.text(max_size=60), st.sampled_from(["", "x" * 700, "\u00e9" * 9])), max_size=300
)
COUNTS = (1, 2, 3, 32, 33, 34, 65, 97, 128, 129, 130, 160, 161, 162, 193, 225, 256, 257, 258, 1000)
"""Rows for which blocks and miniblocks of deltas are full, nearly full, and one more."""


def blocks_of(column: pa.ChunkedArray) -> list[Block]:
    return [Block.of(chunk) for chunk in column.chunks]


def roomy(texts: list[str], twice: int) -> pa.StringArray:
    """The texts, with the first ones before them once more."""
    block = Block.of(pa.array(texts, pa.string()))
    return gathered(block, block.bounds[:-1], block.bounds[1:], twice).view(pa.string())


def file_of(field: pa.Field, *chunks: Chunk) -> bytes:
    """A file of one column, a row group for each chunk, without any that Arrow made."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.schema([field]).empty_table(), sink)
    body = Body()
    made = RowGroups(body)
    for chunk in chunks:
        made.add(None, {0: chunk})
    made.finish(memoryview(sink.getvalue()))
    return bytes(body.view())


def read_by_arrow(file: bytes) -> list[object]:
    """With all checksums, and what the footer says of sizes."""
    parquet = pq.ParquetFile(pa.BufferReader(file), page_checksum_verification=True)
    for number in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(number)
        assert group.total_byte_size == group.column(0).total_uncompressed_size
        assert group.num_rows == group.column(0).num_values == parquet.read_row_group(number).num_rows
    return parquet.read()["each"].to_pylist()


def read_by_duckdb(folder: Path, file: bytes) -> list[object]:
    path = folder / "file.parquet"
    path.write_bytes(file)
    query = f"SELECT each FROM read_parquet('{path}', file_row_number = true) ORDER BY file_row_number"  # noqa: S608
    return [each for (each,) in duckdb.execute(query).fetchall()]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_texts_are_read_as_they_were(data, tmp_path_factory):
    """In several arrays, some of them empty or parts of others; on pages of any size."""
    texts = data.draw(TEXTS.filter(bool))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(texts)), max_size=4)))
    whole = pa.array(["before", *texts])
    bounds = [1, *(1 + cut for cut in cuts), 1 + len(texts)]
    column = pa.chunked_array([whole.slice(a, b - a) for a, b in pairwise(bounds)])
    compression = data.draw(COMPRESSIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "PAGE_BYTES", data.draw(st.sampled_from([1, 50, 500, 1 << 20])))
        chunk = text_chunk("each", blocks_of(column), compression)
    file = file_of(pa.field("each", pa.string()), chunk, chunk)
    assert read_by_arrow(file) == texts * 2
    assert read_by_duckdb(tmp_path_factory.mktemp("packed"), file) == texts * 2


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("width", [0, 1, 2, 4])
def test_lengths_of_any_number_and_width(count, width, tmp_path):
    """Deltas of no byte, of one, of two, of four."""
    longest = {0: 0, 1: 90, 2: 20_000, 4: 200_000}[width]
    texts = ["x" * (longest if row % 50 == 1 else row % 7 if width else 5) for row in range(count)]
    blocks = blocks_of(pa.chunked_array([texts]))
    file = file_of(pa.field("each", pa.string()), text_chunk("each", blocks, "zstd"))
    assert read_by_arrow(file) == texts
    assert read_by_duckdb(tmp_path, file) == texts


def test_a_page_has_about_as_many_bytes_as_it_may():
    """Also where one array holds more than a page, where many hold less, and where one text does."""
    column = pa.chunked_array(
        [["y" * 1000] * 20_000, ["z" * 10] * 9, ["z" * 10] * 9, ["w" * (5 << 20)], [""]]
    )
    pages = text_chunk("each", blocks_of(column), "zstd").pages
    sizes = [page.plain_bytes >> 20 for page in pages]
    assert sizes == [3, 3, 3, 3, 3, 5, 0]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_room_changes_no_text(data):
    """Whether what comes before the texts is written where they are, or copied together with them: enough
    room, too little, none; one array on a page, or several. A page of one is the same to the byte.
    """
    parts = data.draw(st.lists(TEXTS.filter(bool), min_size=1, max_size=3))
    arrays = [roomy(texts, data.draw(st.integers(0, len(texts)))) for texts in parts]
    compression, page_bytes = data.draw(COMPRESSIONS), data.draw(st.sampled_from([50, 500, 1 << 20]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "PAGE_BYTES", page_bytes)
        plain = text_chunk("each", [Block.of(each) for each in arrays], compression)
        used = text_chunk("each", [Block.of(each, has_room=True) for each in arrays], compression)
    field = pa.field("each", pa.string())
    assert read_by_arrow(file_of(field, used)) == [text for texts in parts for text in texts]
    assert len(parts) > 1 or file_of(field, used) == file_of(field, plain)
    assert [each.to_pylist() for each in arrays] == parts


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1 << 30),
    rows=st.integers(packed.BLOCK, 20_000),
    longest=st.sampled_from([0, 1, 40, 127, 128, 500, 4_000, 70_000]),
    least=st.sampled_from([0, 30, 200]),
)
def test_the_rows_for_room_are_enough_and_few(seed, rows, longest, least):
    """What they hold is as much as a page has before its texts, whatever the lengths are."""
    lengths = np.random.default_rng(seed).integers(least, least + longest + 1, rows)
    twice = rows_for_room(lengths)
    assert twice <= rows // packed.MOST_ROOM_PART
    if twice:
        before = [all_there(rows), *(packed.deltas(lengths, widest=4) or ())]
        assert sum(map(len, before)) <= lengths[:twice].sum()


def test_there_is_room_where_texts_are_long_and_many():
    """And none where it would cost more than it saves."""
    line, arena = 190, 4 << 20
    lengths = np.random.default_rng(0).integers(line // 2, line * 3 // 2, arena // line)
    assert lengths[: rows_for_room(lengths)].sum() < 0.02 * arena
    assert rows_for_room(np.full(100, 4_000)) == 0
    assert rows_for_room(np.full(1 << 20, 2)) == 0


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_numbers_are_read_as_they_were(data, tmp_path_factory):
    """And least and greatest are known."""
    count = data.draw(st.sampled_from(COUNTS))
    step = data.draw(st.integers(-(2**40), 2**40))
    spread = data.draw(st.sampled_from([0, 1, 255, 256, 65_535]))
    steps = np.random.default_rng(count).integers(0, spread + 1, count)
    numbers = data.draw(st.integers(-(2**50), 2**50)) + np.cumsum(step + steps)
    chunk = numbers_chunk("each", numbers, data.draw(COMPRESSIONS))
    assert chunk is not None
    file = file_of(pa.field("each", pa.int64()), chunk)
    assert read_by_arrow(file) == numbers.tolist()
    assert read_by_duckdb(tmp_path_factory.mktemp("packed"), file) == numbers.tolist()
    known = pq.ParquetFile(pa.BufferReader(file)).metadata.row_group(0).column(0).statistics
    assert (known.min, known.max, known.null_count) == (numbers.min(), numbers.max(), 0)


@pytest.mark.parametrize("jump", [2**16 + 1, -(2**16), 2**40, 2**62])
def test_numbers_that_grow_unevenly_are_left_to_arrow(jump):
    assert numbers_chunk("each", np.array([0, 1, 2, 2 + jump, 3 + jump]), "zstd") is None


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_truths_are_read_as_they_were(count, compression, tmp_path):
    truths = np.arange(count) % 3 != 1
    file = file_of(pa.field("each", pa.bool_()), truths_chunk("each", truths, compression))
    assert read_by_arrow(file) == truths.tolist()
    assert read_by_duckdb(tmp_path, file) == truths.tolist()
