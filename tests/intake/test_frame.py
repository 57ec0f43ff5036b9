"""Framing against a plain reference: where lines start and end, and which bytes are left for later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.intake.frame import frame
from collector.model import Lines

Row = tuple[int, bytes, bool]
"""Offset in its file, bytes without the line feed, whether one follows."""

BYTES = [b"\n", b"a", b"bb\n", b"\r\n", b"\0", "é".encode(), "€".encode(), "𝄞\n".encode(), b"\x80", b"\xff"]
text = st.lists(st.sampled_from(BYTES), max_size=40).map(b"".join) | st.binary(max_size=60)
limits = st.integers(4, 12)


def cut_before(data: bytes, end: int) -> int:
    """`end`, or before the UTF-8 sequence that it would cut in two."""
    for back in range(4):
        if data[end - back] & 0xC0 != 0x80:
            return end - back
    return end


def pieces(line: bytes, limit: int) -> list[bytes]:
    """A line without its line feed, in pieces of at most `limit` bytes; the last one may be empty only if the
    line is.
    """
    found = []
    while len(line) > limit:
        end = cut_before(line, limit)
        found.append(line[:end])
        line = line[end:]
    return [*found, line]


def reference(data: bytes, limit: int, *, final: bool) -> tuple[list[Row], int]:
    """The rows of one read, and how many of its bytes they take."""
    rows: list[Row] = []
    *whole, rest = data.split(b"\n")
    offset = 0
    for line in whole:
        *heads, last = pieces(line, limit)
        for head in heads:
            rows.append((offset, head, False))
            offset += len(head)
        rows.append((offset, last, True))
        offset += len(last) + 1
    *heads, last = pieces(rest, limit)
    for head in heads:
        rows.append((offset, head, False))
        offset += len(head)
    if final and last:
        rows.append((offset, last, False))
        offset += len(last)
    return rows, offset


def frame_all(reads: Sequence[bytes], finals: Sequence[bool], limit: int) -> Lines:
    """Frames the reads as they lie in an arena that still holds older bytes behind them."""
    arena = np.frombuffer(b"".join(reads) + b"x\n\x80\n", np.uint8)
    lengths = np.array([len(read) for read in reads], np.int64)
    at = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    return frame(arena, at, lengths, np.array(finals, np.bool_), limit)


def rows_of(reads: Sequence[bytes], lines: Lines) -> list[list[Row]]:
    """The rows of each read, by what the lines say."""
    arena, found = b"".join(reads), []
    first = start = 0
    for read, count in zip(reads, lines.row_counts.tolist(), strict=True):
        rows = []
        for row in range(first, first + count):
            begin, end = int(lines.starts[row]), int(lines.ends[row])
            rows.append((begin - start, arena[begin:end], bool(lines.eol[row])))
        found.append(rows)
        first += count
        start += len(read)
    assert first == len(lines.starts)
    return found


@given(reads=st.lists(st.tuples(text, st.booleans()), min_size=1, max_size=6), limit=limits)
@example(reads=[(b"", False), (b"", True), (b"a\n", False), (b"", False)], limit=4)
@example(reads=[(b"ab", False), (b"\ncd", True), (b"\n", False)], limit=4)
@example(reads=[(b"", False)], limit=4)
def test_any_reads_in_one_arena(reads, limit):
    """Each read is framed as the reference frames it alone, whatever lies beside it in the arena."""
    data, finals = [read for read, _ in reads], [final for _, final in reads]
    lines = frame_all(data, finals, limit)
    expected = [reference(read, limit, final=final) for read, final in reads]
    assert rows_of(data, lines) == [rows for rows, _ in expected]
    assert lines.consumed.tolist() == [consumed for _, consumed in expected]


@given(data=text, limit=limits)
def test_rows_give_the_bytes_back(data, limit):
    """The rows' bytes, each with its line feed where it had one, are the read, byte for byte."""
    (rows,) = rows_of([data], frame_all([data], [True], limit))
    assert b"".join(line + b"\n" * eol for _, line, eol in rows) == data


@given(data=text, limit=limits)
def test_offsets_are_back_to_back(data, limit):
    """Each row begins where the one before ended, its line feed included, and none is longer than allowed."""
    (rows,) = rows_of([data], frame_all([data], [True], limit))
    at = 0
    for offset, line, eol in rows:
        assert offset == at
        assert len(line) <= limit
        assert line or eol
        at += len(line) + eol
    assert at == len(data)


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40), limit=limits)
def test_no_piece_splits_a_character(text, limit):
    """The pieces of a long line of UTF-8 are UTF-8 each."""
    data = text.encode() + b"\n"
    (rows,) = rows_of([data], frame_all([data], [False], limit))
    assert "".join(line.decode() for _, line, _ in rows) == text
    assert [eol for _, _, eol in rows] == [False] * (len(rows) - 1) + [True]


@given(data=text, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_any_sequence_of_reads_gives_the_same_lines(data, cuts):
    """Read in any steps, each beginning where the rows of the one before ended, a file has the same rows as
    read at once.
    """
    limit = 1 << 10
    at, rows = 0, []
    for end in sorted(min(cut, len(data)) for cut in cuts):
        if end > at:
            lines = frame_all([data[at:end]], [False], limit)
            (found,) = rows_of([data[at:end]], lines)
            rows += [(at + offset, line, eol) for offset, line, eol in found]
            at += int(lines.consumed[0])
    (found,) = rows_of([data[at:]], frame_all([data[at:]], [True], limit))
    rows += [(at + offset, line, eol) for offset, line, eol in found]
    assert rows == reference(data, limit, final=True)[0]


@given(data=text, cuts=st.lists(st.integers(0, 60), max_size=6), limit=limits)
def test_long_lines_too_are_cut_at_the_same_places(data, cuts, limit):
    """Where a read ends makes no difference to where a long line is cut, as long as it is read on from the
    end of a row.
    """
    at, rows = 0, []
    for end in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        if end > at:
            lines = frame_all([data[at:end]], [end == len(data)], limit)
            (found,) = rows_of([data[at:end]], lines)
            rows += [(at + offset, line, eol) for offset, line, eol in found]
            at += int(lines.consumed[0])
    assert rows == reference(data, limit, final=True)[0]


@pytest.mark.parametrize("length", [9, 10, 11, 20, 21])
def test_a_line_at_the_limit(length):
    """A line of just `max_line_bytes` is one row; one byte more makes two."""
    data = b"x" * length + b"\n"
    (rows,) = rows_of([data], frame_all([data], [False], 10))
    assert [len(line) for _, line, _ in rows] == [10] * ((length - 1) // 10) + [(length - 1) % 10 + 1]
    assert [eol for _, _, eol in rows] == [False] * (len(rows) - 1) + [True]


def test_a_long_line_without_its_end_yet():
    """What is longer than a row goes out as pieces at once; the rest waits for its line feed."""
    lines = frame_all([b"x" * 25], [False], 10)
    assert lines.ends.tolist() == [10, 20]
    assert not lines.eol.any()
    assert lines.consumed.tolist() == [20]


def test_a_hundred_thousand_short_lines():
    """Many rows, empty ones among them."""
    data = b"".join(b"x" * (number % 7) + b"\n" for number in range(100_000))
    lines = frame_all([data], [False], 1 << 20)
    assert len(lines.starts) == 100_000
    assert lines.eol.all()
    assert (lines.ends - lines.starts).tolist() == [number % 7 for number in range(100_000)]
    assert lines.consumed.tolist() == [len(data)]
