"""CRI lines against a plain reference: headers, partial lines of two streams, and any way of reading."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from collector.intake.cri import ROOM_BYTES, frame_cri
from collector.intake.cri_header import LINES_AT_ONCE, headers
from collector.model import Lines

HEADER = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)"
    rb" (stdout|stderr) ([PF])(?::[^ ]*)?( |\Z)",
    re.ASCII,
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Parsed:
    time_us: int
    stream: int
    partial: bool
    message: bytes


@dataclass(frozen=True)
class Row:
    at: int
    message: bytes
    eol: bool
    time_us: int | None
    stream: int | None


def parsed(line: bytes) -> Parsed | None:
    """One line by a regular expression and `datetime`."""
    found = HEADER.match(line)
    if found is None:
        return None
    if not found[6] and (b":" in line[found.start(5) :]):
        return None
    second, fraction, zone, stream, tag, _ = found.groups()
    try:
        moment = datetime.strptime(second.decode() + "+0000", "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return None
    time_us = (moment - EPOCH) // timedelta(microseconds=1) + int((fraction or b"").ljust(6, b"0")[:6])
    if zone != b"Z":
        hours, minutes = int(zone[1:3]), int(zone[4:])
        if hours > 23 or minutes > 59:
            return None
        time_us -= (-1 if zone[:1] == b"-" else 1) * (hours * 3600 + minutes * 60) * 1_000_000
    return Parsed(time_us, stream == b"stderr", tag == b"P", line[found.end() :])


def reference(data: bytes, limit: int) -> list[Row]:
    """The rows of a whole file, where no row is open for longer than the bound."""
    rows: list[Row] = []
    opened: dict[int, tuple[int, bytes, int]] = {}
    for found in re.finditer(rb"[^\n]*\n|[^\n]+", data):
        line, eol = found[0].removesuffix(b"\n"), found[0].endswith(b"\n")
        header = parsed(line)
        if header is None:
            rows += cut(Row(found.start(), line, eol, None, None), found.start(), limit)
            continue
        begin, before, time_us = opened.pop(header.stream, (found.start(), b"", header.time_us))
        if begin != found.start() and len(before) + len(header.message) > limit:
            rows.append(Row(begin, before, False, time_us, header.stream))
            begin, before, time_us = found.start(), b"", header.time_us
        message = before + header.message
        if header.partial and eol and len(message) <= limit:
            opened[header.stream] = begin, message, time_us
            continue
        row = Row(begin, message, eol and not header.partial, time_us, header.stream)
        rows += cut(row, found.end() - eol - len(message), limit)
    rows += [Row(begin, message, False, at, stream) for stream, (begin, message, at) in opened.items()]
    return sorted(rows, key=lambda row: row.at)


def cut(row: Row, position: int, limit: int) -> list[Row]:
    """A row whose message, at `position`, is over the limit, in pieces."""
    found, at, message = [], row.at, row.message
    while len(message) > limit:
        end = next((limit - back for back in range(4) if message[limit - back] & 0xC0 != 0x80), limit)
        found.append(Row(at, message[:end], False, row.time_us, row.stream))
        message, position = message[end:], position + end
        at = position
    return [*found, Row(at, message, row.eol, row.time_us, row.stream)]


def rows_of(arena: bytes, lines: Lines, base: int = 0) -> list[Row]:
    decoded = lines.decoded
    assert decoded is not None
    text = arena if decoded.text is None else decoded.text.tobytes()
    said = zip(lines.starts.tolist(), (lines.ends + lines.eol).tolist(), lines.eol.tolist(), strict=True)
    assert all(text[start:end].endswith(b"\n") for start, end, eol in said if eol)
    return [
        Row(
            base + int(decoded.at[row]),
            text[lines.starts[row] : lines.ends[row]],
            bool(lines.eol[row]),
            None if decoded.malformed[row] else int(decoded.time_us[row]),
            None if decoded.malformed[row] else int(decoded.stream[row]),
        )
        for row in range(len(lines.starts))
    ]


def frame_one(data: bytes, final: bool, limit: int) -> Lines:
    arena = np.frombuffer(data + b"2016-10-06T00:17:09Z stdout F behind\n", np.uint8)
    return frame_cri(arena, np.zeros(1, np.int64), np.array([len(data)]), np.array([final]), limit)


def read_in_steps(data: bytes, shares: list[int], limit: int) -> list[Row]:
    """As a reader does: a share at a time, more where nothing was taken, and the end as it is."""
    rows, position = [], 0
    while position < len(data):
        share = shares.pop(0) if shares else len(data)
        while True:
            read = data[position : position + share]
            lines = frame_one(read, not shares and position + share >= len(data), limit)
            consumed = int(lines.consumed[0])
            found = rows_of(read, lines, position)
            rows += found
            feeds = int(np.count_nonzero(lines.eol)) if lines.line_feeds is None else int(lines.line_feeds[0])
            assert feeds == read[:consumed].count(b"\n")
            assert [row.at for row in found] == sorted({row.at for row in found})
            if consumed or position + share >= len(data):
                break
            assert share <= 2 * limit + 8192, "a reader has no more to offer"
            share *= 2
        position += consumed
    return rows


times = st.sampled_from(
    [
        b"2016-10-06T00:17:09.669794202Z",
        b"2016-10-06T00:17:09.6Z",
        b"2016-10-06T00:17:09Z",
        b"2024-02-29T23:59:59.999999999+02:00",
        b"1969-12-31T23:59:59.5-11:30",
        b"2026-11-22T09:00:00.123456+00:00",
    ]
)
messages = st.sampled_from(
    [b"", b"one", b"two words", "é€".encode(), b"\xff", b"x" * 30, b"y" * 90, "é".encode()[:1]]
)
cri_lines = st.builds(
    lambda time, stream, tag, message, feed: b"%s %s %s %s%s" % (time, stream, tag, message, feed),
    times,
    st.sampled_from([b"stdout", b"stderr"]),
    st.sampled_from([b"F", b"P", b"P", b"F:x:y", b"P:z"]),
    messages,
    st.just(b"\n"),
)
odd_lines = st.sampled_from(
    [
        b"\n",
        b"no header\n",
        b"2016-10-06T00:17:09Z stdout F\n",
        b"2016-10-06T00:17:09Z stdout P\n",
        b"2016-10-06T00:17:09Z stdout X a\n",
        b"2016-13-06T00:17:09Z stdout F a\n",
        b"2023-02-29T00:17:09Z stdout F a\n",
        b"2016-10-06T24:17:09Z stderr F a\n",
        b"2016-10-06T00:17:09.Z stdout F a\n",
        b"2016-10-06T00:17:09.1234567890Z stdout F a\n",
        b"2016-10-06T00:17:09Z stdout  F a\n",
        b"2016-10-06 00:17:09Z stdout F a\n",
        b"2016-10-06T00:17:09Z stdlog F a\n",
        b"2016-10-06T00:17:09+2:00 stdout F a\n",
        b"2016-10-06T00:17:09Z stdout F:tag\n",
        b"z" * 150 + b"\n",
        b"2016-10-06T00:17:09+24:00 stdout F a\n",
    ]
)
content = st.builds(
    lambda lines, end: b"".join(lines) + end,
    st.lists(cri_lines | odd_lines, max_size=14),
    st.sampled_from(
        [b"", b"2016", b"2016-10-06T00:17:09Z stdout F half", b"2016-10-06T00:17:09Z stderr P half"]
    ),
)


@given(
    st.lists(
        cri_lines | odd_lines | st.binary(max_size=50).map(lambda line: line.replace(b"\n", b" ")),
        max_size=12,
    )
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_headers_are_read_as_a_plain_reader_reads_them(some: list[bytes]):
    """Times to the microsecond, streams, tags, and where the message begins; and what is malformed."""
    lines = [line.removesuffix(b"\n") for line in some]
    ends = np.cumsum([len(line) + 1 for line in lines], dtype=np.int64) - 1
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)[: len(lines)]
    found = headers(np.frombuffer(b"".join(line + b"\n" for line in lines), np.uint8), starts, ends)
    for row, line in enumerate(lines):
        expected = parsed(line)
        assert bool(found.malformed[row]) == (expected is None)
        message = line[found.message[row] - starts[row] :]
        got = Parsed(int(found.time_us[row]), int(found.stream[row]), bool(found.partial[row]), message)
        assert expected is None or got == expected


USUAL = b"2016-10-06T00:17:09.%s%s %s %s %s"
usual_lines = st.builds(
    lambda digits, zone, stream, tag, message: USUAL % (digits.encode(), zone, stream, tag, message),
    st.text("0123456789", min_size=1, max_size=9) | st.text("0123456789", min_size=9, max_size=9),
    st.sampled_from([b"Z", b"Z", b"+00:00", b"-02:30", b"+24:00"]),
    st.sampled_from([b"stdout", b"stderr"]),
    st.sampled_from([b"F", b"P"]),
    st.sampled_from([b"", b"x", b"a longer message than the header is, by far"]),
)
changed_lines = st.builds(
    lambda line, at, byte: line[: at % len(line)] + bytes([byte]) + line[at % len(line) + 1 :],
    usual_lines,
    st.integers(0, 46),
    st.integers(0, 255).filter(lambda byte: byte != ord("\n")),
)


@given(st.lists(usual_lines | changed_lines, min_size=1, max_size=40))
@hypothesis_settings(max_examples=300, deadline=None)
def test_a_changed_byte_in_a_usual_header(lines: list[bytes]):
    """Headers as nearly all are, some with one wrong byte, among each other, are read as plainly."""
    ends = np.cumsum([len(line) + 1 for line in lines], dtype=np.int64) - 1
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    data = b"".join(line + b"\n" for line in lines) + b"x" * 50
    found = headers(np.frombuffer(data, np.uint8), starts, ends)
    for row, line in enumerate(lines):
        expected = parsed(line)
        assert bool(found.malformed[row]) == (expected is None)
        message = line[found.message[row] - starts[row] :]
        got = Parsed(int(found.time_us[row]), int(found.stream[row]), bool(found.partial[row]), message)
        assert expected is None or got == expected


def test_more_lines_than_are_read_at_once():
    """Times that ascend through seconds, minutes and days, each with the zeros at its end left out."""
    at, lines = datetime(2023, 12, 31, 23, 50, tzinfo=UTC), []
    for number in range(2 * LINES_AT_ONCE + 100):
        at += timedelta(microseconds=number * 7 % 100_000 * (1 if number % 500 else 10_000))
        lines.append((f"{at:%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z stdout F x", at))
    ends = np.cumsum([len(line) + 1 for line, _ in lines], dtype=np.int64) - 1
    starts = np.append(0, ends[:-1] + 1)
    found = headers(np.frombuffer("".join(f"{line}\n" for line, _ in lines).encode(), np.uint8), starts, ends)
    moments = [(moment - EPOCH) // timedelta(microseconds=1) for _, moment in lines]
    assert found.time_us.tolist() == moments
    assert (found.message == ends - 1).all()


def test_many_offsets():
    """Offsets of all hours in one file, as nobody writes them, are read all the same."""
    lines = [f"2016-10-06T12:00:00.000000001{hour:+03d}:00 stdout F x" for hour in range(-23, 24)]
    ends = np.cumsum([len(line) + 1 for line in lines], dtype=np.int64) - 1
    data = np.frombuffer("".join(f"{line}\n" for line in lines).encode() + b"x" * 50, np.uint8)
    found = headers(data, np.append(0, ends[:-1] + 1), ends)
    noon = datetime(2016, 10, 6, 12, tzinfo=UTC) - EPOCH
    assert found.time_us.tolist() == [
        (noon - timedelta(hours=hour)) // timedelta(microseconds=1) for hour in range(-23, 24)
    ]


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-1439, 1439))  # noqa: DTZ001 - made aware below
def test_each_day_of_the_calendar(moment: datetime, minutes: int):
    """Any time and offset is the moment that `datetime` says."""
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    time = f"{moment:%Y}".rjust(4, "0") + f"{moment:-%m-%dT%H:%M:%S.%f}"
    lines = [f"{time}{zone} stdout F x", f"{time}Z stdout F x"]
    ends = np.cumsum([len(line) + 1 for line in lines]) - 1
    data = np.frombuffer("\n".join(lines).encode() + b"\n" * 50, np.uint8)
    found = headers(data, np.append(0, ends[:-1] + 1), ends)
    utc = moment.replace(tzinfo=UTC)
    expected = [utc - timedelta(minutes=minutes), utc]
    assert not found.malformed.any()
    assert found.time_us.tolist() == [(each - EPOCH) // timedelta(microseconds=1) for each in expected]


@given(content, st.lists(st.integers(1, 200), max_size=8))
@hypothesis_settings(max_examples=150, deadline=None)
def test_any_way_of_reading_gives_the_rows_of_the_whole(data: bytes, shares: list[int]):
    """Random shares of a file give the rows that a plain loop over its lines gives, in their order."""
    assert read_in_steps(data, shares, 64) == reference(data, 64)


@given(content, st.lists(st.integers(1, 200), min_size=1, max_size=8))
@hypothesis_settings(max_examples=80, deadline=None)
def test_what_was_taken_gives_the_same_rows_again(data: bytes, shares: list[int]):
    """The bytes that one read took, framed alone and to their end, are the same rows: as after a crash."""
    position = 0
    for share in shares:
        read = data[position : position + share]
        if read:
            lines = frame_one(read, False, 64)
            taken = read[: int(lines.consumed[0])]
            assert not taken or rows_of(taken, frame_one(taken, True, 64)) == rows_of(read, lines)
            position += len(taken)


@given(st.lists(content, min_size=1, max_size=5), st.lists(st.booleans(), min_size=5, max_size=5))
@hypothesis_settings(max_examples=80, deadline=None)
def test_reads_of_one_arena_do_not_touch(reads: list[bytes], finals: list[bool]):
    """Each read of an arena gives what it gives alone."""
    lengths = np.array([len(read) for read in reads], np.int64)
    at = np.cumsum(lengths) - lengths
    arena = b"".join(reads)
    final = np.array(finals[: len(reads)])
    lines = frame_cri(np.frombuffer(arena + b"\n", np.uint8), at, lengths, final, 64)
    together = rows_of(arena, lines)
    for number, read in enumerate(reads):
        alone = frame_one(read, finals[number], 64)
        count = int(lines.row_counts[number])
        assert together[:count] == rows_of(read, alone, int(at[number]))
        assert int(lines.consumed[number]) == int(alone.consumed[0])
        feeds = [each.row_counts if each.line_feeds is None else each.line_feeds for each in (lines, alone)]
        assert lines.line_feeds is None or alone.line_feeds is None or feeds[0][number] == feeds[1][0]
        together = together[count:]


def part(stream: str, tag: str, message: bytes) -> bytes:
    return f"2016-10-06T00:17:09.5Z {stream} {tag} ".encode() + message + b"\n"


def test_partial_lines_as_containerd_writes_them():
    """A line of 40,000 bytes comes in parts of 16 KiB; parts of the other stream lie between them."""
    long, other = bytes(range(65, 91)) * 1539, b"e" * 20_000
    data = b"".join(
        [
            part("stdout", "P", long[:16384]),
            part("stderr", "P", other[:16384]),
            part("stdout", "P", long[16384:32768]),
            part("stderr", "F", other[16384:]),
            part("stdout", "F", long[32768:]),
        ]
    )
    rows = read_in_steps(data, [], 1 << 20)
    assert [(row.message, row.stream, row.eol) for row in rows] == [(long, 0, True), (other, 1, True)]
    assert [row.at for row in rows] == [0, len(part("stdout", "P", long[:16384]))]
    assert int(frame_one(data[:-1], False, 1 << 20).consumed[0]) == 0


def test_a_row_that_does_not_end():
    """A partial line that waits for its end over too many bytes of the other stream is taken as it is."""
    limit = 1024
    between = part("stderr", "F", b"e" * 200)
    data = part("stdout", "P", b"begin") + between * 40 + part("stdout", "F", b"end")
    rows = read_in_steps(data, [], limit)
    assert rows == read_in_steps(data, [500, 100, 3000, 700], limit)
    out = [(row.message, row.eol) for row in rows if row.stream == 0]
    assert out == [(b"begin", False), (b"end", True)]
    assert len(rows) == 42
    assert len(data) > limit + ROOM_BYTES


def test_a_line_longer_than_any_may_be():
    """What has no header any more is malformed, and all bytes of it are there."""
    data = part("stdout", "F", b"x" * 9000) + part("stdout", "F", b"next")
    rows = read_in_steps(data, [100], 1024)
    assert b"".join(row.message for row in rows[:-1]) == b"x" * 9000
    assert (rows[0].stream, rows[-2].stream, rows[-1].message) == (0, None, b"next")
    assert max(len(row.message) for row in rows) == 1024


@pytest.mark.parametrize("final", [True, False])
def test_nothing_at_all(final: bool):
    """No bytes make no rows."""
    assert rows_of(b"", frame_one(b"", final, 64)) == []
