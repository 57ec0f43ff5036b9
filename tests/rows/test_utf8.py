"""Messages: valid UTF-8 whatever the bytes, and the exact bytes beside it where it could not hold them."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.model import Lines
from collector.rows.utf8 import messages

VALID = "a\0é€😀\ufffd\ufffe\u2028\x7f"
ILL_FORMED = [
    b"\x80",  # a continuation alone
    b"\xc0\xaf",  # overlong
    b"\xe2\x82",  # cut short
    b"\xf0\x9f\x98",
    b"\xed\xa0\x80",  # a surrogate
    b"\xf4\x90\x80\x80",  # beyond U+10FFFF
    b"\xf8\x88\x80\x80\x80",
    b"\xff\xfe",
]

fragments = st.sampled_from([*ILL_FORMED, b"ok", b"\0", b"\r"]) | st.binary(max_size=6)
fragments |= st.text(VALID, max_size=4).map(str.encode)
rows = st.lists(fragments, max_size=6).map(lambda parts: b"".join(parts).replace(b"\n", b""))
gaps = st.sampled_from([b"\n", b"", b"\n\xff junk\n"])


def lay_out(pieces: list[tuple[bytes, bytes]]) -> tuple[np.ndarray, Lines]:
    """An arena that holds the rows, each followed by its gap, and where they lie in it."""
    arena, starts, ends = bytearray(), [], []
    for row, gap in pieces:
        starts.append(len(arena))
        arena += row
        ends.append(len(arena))
        arena += gap
    eol = np.array([gap[:1] == b"\n" for _, gap in pieces], np.bool_)
    nothing = np.zeros(0, np.int64)
    lines = Lines(np.array(starts, np.int64), np.array(ends, np.int64), eol, nothing, nothing)
    return np.frombuffer(arena, np.uint8), lines


def columns(pieces: list[tuple[bytes, bytes]]):
    arena, lines = lay_out(pieces)
    message, raw, repaired = messages(arena, lines)
    if len(arena):
        arena[:] = 0xFF
    message.validate(full=True)
    return message.to_pylist(), None if raw is None else raw.to_pylist(), repaired


@given(st.lists(st.tuples(rows, gaps), min_size=1, max_size=12))
@example([(b"\xe2", b""), (b"\x82\xac", b"\n")])
@example([(b"\xe2\x82", b"\n"), (b"", b"\n")])
def test_messages_are_what_python_decodes(pieces):
    """Each row alone, as `bytes.decode("utf-8", "replace")` has it; `raw` is where that changed it."""
    values = [row for row, _ in pieces]
    expected = [row.decode("utf-8", "replace") for row in values]
    exact = [None if text.encode() == row else row for text, row in zip(expected, values, strict=True)]
    message, raw, repaired = columns(pieces)
    assert message == expected
    assert (raw or [None] * len(values)) == exact
    assert repaired == sum(row is not None for row in exact)


@pytest.mark.parametrize("wrong", ILL_FORMED, ids=bytes.hex)
def test_one_wrong_row_leaves_its_neighbours_alone(wrong):
    """Only the row that is no UTF-8 has a `raw`, wherever the wrong bytes stand in it."""
    for row in (wrong, b"a" + wrong, wrong + b"b", b"a" + wrong + b"b"):
        message, raw, repaired = columns([(b"before", b"\n"), (row, b"\n"), (b"after", b"\n")])
        assert message == ["before", row.decode(errors="replace"), "after"]
        assert raw == [None, row, None]
        assert repaired == 1


def test_what_is_utf8_needs_no_raw():
    """NUL, carriage returns, noncharacters and a replacement character of the log's own are kept."""
    values = ["\0", "a\0b", "line\r", "\ufffd", "\ufffe", "😀", ""]
    message, raw, repaired = columns([(value.encode(), b"\n") for value in values])
    assert (message, raw, repaired) == (values, None, 0)


def test_a_sequence_across_two_pieces_is_wrong_in_both():
    """Pieces are rows: each is decoded for itself, even if they meet without a line feed."""
    message, raw, repaired = columns([(b"\xe2\x82", b""), (b"\xac", b"\n")])
    assert message == ["\ufffd", "\ufffd"]
    assert raw == [b"\xe2\x82", b"\xac"]
    assert repaired == 2
