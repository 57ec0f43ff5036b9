"""The memory of an object: a file to write once."""

from __future__ import annotations

import gc
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from collector.rows.body import STEP_BYTES, Body


@given(st.lists(st.one_of(st.binary(max_size=50), st.integers(0, 3 * STEP_BYTES)), max_size=6))
def test_it_holds_what_was_written(pieces):
    """Pieces of any size come out as one, however often the memory had to grow."""
    written = [piece if isinstance(piece, bytes) else bytes([piece % 251]) * piece for piece in pieces]
    body = Body()
    assert [body.write(piece) for piece in written] == [len(piece) for piece in written]
    assert body.tell() == body.size == sum(map(len, written))
    body.close()
    assert body.view() == b"".join(written)


def test_its_memory_goes_back_at_once():
    """With the last view the pages are the system's again: no allocator keeps them."""

    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    gc.collect()
    before = resident_bytes()
    body = Body()
    for _ in range(64):
        body.write(b"x" * STEP_BYTES)
    view = body.view()
    del body
    assert resident_bytes() - before > 60 * STEP_BYTES
    del view
    assert resident_bytes() - before < 4 * STEP_BYTES
