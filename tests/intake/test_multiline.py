"""Records of several lines against a plain reference, however a file is read; and where patterns match."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from collector.errors import UsageError
from collector.intake.framing import framing
from collector.intake.starts import Starts, starts_of
from collector.model import BatchSettings, Lines

LIMIT = 40
START = r"^\d\d-"
Row = tuple[int, bytes, bool]

PARTS = [
    b"12-",
    b"34-a\n",
    b"\n",
    b"\tat x\n",
    b"1",
    b"\xff\n",
    "é€\n".encode(),
    b"y" * 35,
    b"z" * 90 + b"\n",
]
content = st.lists(st.sampled_from(PARTS), max_size=30).map(b"".join)


def framed(start: str):
    return framing(BatchSettings("subpath", "parquet", "zstd", LIMIT, multiline=start))


def pieces(line: bytes, limit: int) -> list[bytes]:
    found = []
    while len(line) > limit:
        end = next((limit - back for back in range(4) if line[limit - back] & 0xC0 != 0x80), limit)
        found.append(line[:end])
        line = line[end:]
    return [*found, line]


def reference(data: bytes, start: str, limit: int) -> list[Row]:
    """The rows of a whole file, one line after the other."""
    rows: list[list] = []
    offset, opened = 0, False
    for line in re.findall(rb"[^\n]*\n|[^\n]+", data):
        body = line.removesuffix(b"\n")
        *heads, last = pieces(body, limit)
        for number, piece in enumerate([*heads, last]):
            begins = number == 0 and re.match(start.encode(), piece) is not None
            eol = number == len(heads) and line.endswith(b"\n")
            if not piece and not eol:
                continue
            if opened and not begins and offset + len(piece) - rows[-1][0] <= limit:
                rows[-1][1] += b"\n" * rows[-1][2] + piece
                rows[-1][2] = eol
            else:
                rows.append([offset, piece, eol])
            opened = True
            offset += len(piece) + eol
    return [(at, text, eol) for at, text, eol in rows]


def rows_of(data: bytes, lines: Lines, base: int) -> list[Row]:
    places = zip(lines.starts.tolist(), lines.ends.tolist(), lines.eol.tolist(), strict=True)
    return [(base + start, data[start:end], eol) for start, end, eol in places]


def read_in_steps(data: bytes, start: str, shares: list[int]) -> list[Row]:
    """As a reader does: a share at a time, more where nothing was taken, and the end as it is."""
    rows, position, frame = [], 0, framed(start)
    while position < len(data):
        share, final = shares.pop(0) if shares else len(data), False
        while True:
            read = data[position : position + share]
            final = not shares and position + share >= len(data)
            arena = np.frombuffer(read + b"99-\n", np.uint8)
            lines = frame(arena, np.zeros(1, np.int64), np.array([len(read)]), np.array([final]), LIMIT)
            consumed = int(lines.consumed[0])
            rows += rows_of(read, lines, position)
            assert lines.line_feeds is None or int(lines.line_feeds[0]) == read[:consumed].count(b"\n")
            if consumed or position + share >= len(data):
                break
            assert share <= 2 * LIMIT + 8192, "a reader has no more to offer"
            share *= 2
        position += consumed
    return rows


@given(content, st.lists(st.integers(1, 60), max_size=8))
@hypothesis_settings(max_examples=150, deadline=None)
def test_any_way_of_reading_gives_the_rows_of_the_whole(data: bytes, shares: list[int]):
    """Random shares of a file give the rows that a plain loop over its lines gives, and all its bytes."""
    rows = read_in_steps(data, START, shares)
    assert rows == reference(data, START, LIMIT)
    assert b"".join(text + b"\n" * eol for _, text, eol in rows) == data


@given(st.lists(content, min_size=1, max_size=5), st.lists(st.booleans(), min_size=5, max_size=5))
@hypothesis_settings(max_examples=80, deadline=None)
def test_reads_of_one_arena_do_not_touch(reads: list[bytes], finals: list[bool]):
    """Each read of an arena gives what it gives alone."""
    frame = framed(START)
    lengths = np.array([len(read) for read in reads], np.int64)
    at = np.cumsum(lengths) - lengths
    arena = np.frombuffer(b"".join(reads) + b"12-\n", np.uint8)
    lines = frame(arena, at, lengths, np.array(finals[: len(reads)]), LIMIT)
    together = rows_of(arena.tobytes(), lines, 0)
    for number, (read, final, begin) in enumerate(zip(reads, finals, at.tolist(), strict=False)):
        one = frame(
            np.frombuffer(read, np.uint8),
            np.zeros(1, np.int64),
            lengths[number : number + 1],
            np.array([final]),
            LIMIT,
        )
        count = int(lines.row_counts[number])
        assert [(start - begin, text, eol) for start, text, eol in together[:count]] == rows_of(read, one, 0)
        assert int(lines.consumed[number]) == int(one.consumed[0])
        together = together[count:]


@given(content, st.lists(st.integers(1, 60), min_size=1, max_size=8))
@hypothesis_settings(max_examples=80, deadline=None)
def test_what_was_taken_gives_the_same_rows_again(data: bytes, shares: list[int]):
    """The bytes that one read took, framed alone and to their end, are the same rows: as after a crash."""
    frame, position = framed(START), 0
    for share in shares:
        read = data[position : position + share]
        if not read:
            break
        place, length = np.zeros(1, np.int64), np.array([len(read)])
        lines = frame(np.frombuffer(read, np.uint8), place, length, np.array([False]), LIMIT)
        taken = read[: int(lines.consumed[0])]
        if taken:
            again = frame(
                np.frombuffer(taken, np.uint8), place, np.array([len(taken)]), np.array([True]), LIMIT
            )
            assert rows_of(taken, again, 0) == rows_of(read, lines, 0)
        position += len(taken)


PATTERNS = [
    r"^\d{4}-\d\d-\d\d",
    r"\d{4}-\d\d",
    r"^\[",
    r"^\S",
    r"^[^\s]",
    r"^[A-Z][a-z]{2} \d",
    r"^(?:\d\d|\[)",
    r"^(a|b)c",
    r"^\d+ ",
    r"^\d+",
    r"^\d{1,3}",
    r"^(\d+)-",
    r"^(\d)(\w)x",
    r"^.{3}x",
    r"(?i)^err",
    r"^\w+$",
    r"(?!\s)\S+",
    r"^(?=\d)",
    r"^[^a]\d",
    r"^a*b",
    "^【\\d",
    r"\Ax",
    r"^\D\W",
    r"^x\b",
    r"(?s)^..",
    r"(?x) ^ a b",
    r"^a++b",
    r"^" + "x" * 70,
    r"^x{3}(?:y)",
    r"^(?>ab)c",
    r"^\x41",
    r"^a|^b",
]
lines_of = st.lists(
    st.text("ab xyA1-[\t【09", max_size=9).map(str.encode) | st.binary(max_size=6) | st.just(b"x" * 75),
    max_size=12,
).map(lambda some: [line.replace(b"\n", b"") for line in some])


@pytest.mark.parametrize("pattern", PATTERNS)
@given(lines_of)
@hypothesis_settings(max_examples=20, deadline=None)
def test_patterns_match_as_re_does(pattern: str, some: list[bytes]):
    """For each kind of pattern, and each line, also the last one without a line feed: as `re.match` of it."""
    data = b"\n".join([*some, b"2024"])
    ends = np.cumsum([len(line) + 1 for line in [*some, b"2024"]]) - 1
    starts = np.concatenate([[0], ends[:-1] + 1])
    arena = np.frombuffer(data + b"-01-01x", np.uint8)
    expected = [re.match(pattern.encode(), line) is not None for line in [*some, b"2024"]]
    assert starts_of(pattern).match(arena, starts, ends).tolist() == expected


@pytest.mark.parametrize("pattern", [r"^\d{4}-\d\d-\d\d", r"^\[", r"^\S", r"^\d+", r"^([A-Z])\w{2} \d\d?"])
def test_common_patterns_need_no_engine(pattern: str):
    """They are compared in columns alone."""
    assert Starts(pattern).is_exact
    assert Starts(pattern).tables


@pytest.mark.parametrize("pattern", ["(", "[éa]", "é+", "[^é]", "a{99999999999}", "^", "x*", r"\p", "\ud800"])
def test_what_is_no_pattern(pattern: str):
    """What `re` refuses, what would cut a character of several bytes, and what every line matches."""
    with pytest.raises(UsageError):
        Starts(pattern)


def test_cuts_of_too_long_records_lie_between_lines():
    """A record over the limit comes in pieces of whole lines; each of them ends in its line feed."""
    data = b"12-first\n" + b"".join(b"\tat line %d\n" % number for number in range(9)) + b"13-next\n"
    rows = read_in_steps(data, START, [])
    assert [text.count(b"\n") for _, text, _ in rows] == [2, 2, 2, 0, 0]
    assert all(eol for _, _, eol in rows)
