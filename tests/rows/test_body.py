"""The memory of an object: a file to write once."""

from __future__ import annotations

import gc
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from collector.rows.body import STEP_BYTES, Body, Memory


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


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


def filled(memory: Memory, byte: int, steps: int) -> Body:
    body = Body(memory)
    for _ in range(steps):
        body.write(bytes([byte]) * STEP_BYTES)
    return body


def test_memory_is_used_again_once_nobody_looks_at_it():
    """Not while a view is left, or a part of one: its bytes stay what they were."""
    memory = Memory(2)
    first = filled(memory, 1, 3).view()
    part = first[5:10]
    del first
    second = filled(memory, 2, 2).view()
    assert part == b"\1" * 5
    assert second == b"\2" * 2 * STEP_BYTES
    del part, second
    resident = resident_bytes()
    third, fourth = filled(memory, 3, 3).view(), filled(memory, 4, 2).view()
    assert resident_bytes() - resident < STEP_BYTES, "all of it was touched before"
    assert third == b"\3" * 3 * STEP_BYTES
    assert fourth == b"\4" * 2 * STEP_BYTES


def test_no_more_memory_is_kept_than_may_be():
    """What is above that, and all where it is cleared, goes back to the system with its last view."""
    gc.collect()
    before = resident_bytes()
    memory = Memory(1)
    views = [filled(memory, byte, 32).view() for byte in range(3)]
    views.clear()
    assert 30 * STEP_BYTES < resident_bytes() - before < 36 * STEP_BYTES
    memory.clear()
    assert resident_bytes() - before < 4 * STEP_BYTES


def test_what_is_being_written_is_nobody_elses():
    """Only what has ended is used again."""
    memory = Memory(2)
    bodies = [filled(memory, byte, 1) for byte in range(4)]
    assert [body.view()[0] for body in bodies] == [0, 1, 2, 3]
