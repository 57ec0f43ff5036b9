"""The headers of CRI log lines, all at once: `2016-10-06T00:17:09.669794202Z stdout F message`.

As the kubelet reads them: a time in RFC 3339 with up to nine digits of a second (Go leaves zeros at
its end out), `stdout` or `stderr`, tags of which the first is `P` (the line goes on in the next one of its
stream) or `F`, each with one space behind it. What looks otherwise is malformed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 48
"""The longest is 45 bytes: nine digits, an offset, one tag."""

LINES_AT_ONCE = 8192
"""Their headers stay in the cache."""

SHORTEST_TIME, LONGEST_TIME, MOST_USUAL_TIME = 20, 35, 30
SPACE, COLON, DOT, DASH, PLUS, ZULU, LINE_FEED = b" :.-+Z\n"
SECOND_US = 1_000_000
DAYS_TO_1970 = 719_468  # from 0000-03-01


def _word(text: bytes) -> np.uint64:
    """Up to eight bytes as the number that they are in memory."""
    return np.uint64(int.from_bytes(text, "little"))


_STDOUT, _STDERR, _FULL, _PARTIAL = map(_word, (b"Z stdout", b"Z stderr", b" F ", b" P "))
_TAG_BITS, _HIGH_BITS, _ZEROS, _SIX = map(_word, (b"\xff" * 3, b"\xf0" * 8, b"0" * 8, b"\x06" * 8))
_PAIRS = _word(b"\xff\0\0\0\xff\0\0\0")
_HUNDREDS, _ONES = np.uint64(100 + (1_000_000 << 32)), np.uint64(1 + (10_000 << 32))
_KEPT_BITS = np.array([_word(b"\xff" * min(digits, 8)) for digits in range(10)])
"""Of a word of digits, those of the first so many."""

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]
Columns = NDArray[np.uint8]
"""[HEADER_BYTES, lines]: the first bytes of each line, byte by byte."""


@dataclass(frozen=True, slots=True, eq=False)
class Headers:
    """One element a line. `message` is where the message begins; the line's start, where `malformed`."""

    time_us: NDArray[np.int64]
    stream: NDArray[np.int8]
    partial: Mask
    message: Positions
    malformed: Mask


def headers(arena: NDArray[np.uint8], starts: Positions, ends: Positions) -> Headers:
    lines = len(starts)
    found = Headers(
        np.zeros(lines, np.int64),
        np.zeros(lines, np.int8),
        np.zeros(lines, np.bool_),
        starts.copy(),
        np.ones(lines, np.bool_),
    )
    for first in range(0, lines, LINES_AT_ONCE):
        _usual(found, arena, ends, first, min(first + LINES_AT_ONCE, lines))
    rest = np.flatnonzero(found.malformed)
    if len(rest):
        columns = _columns(arena, starts[rest], ends[rest])
        lengths = SHORTEST_TIME + np.argmax(columns[SHORTEST_TIME : LONGEST_TIME + 1] == SPACE, axis=0)
        for length in np.flatnonzero(np.bincount(lengths, minlength=LONGEST_TIME + 1)).tolist():
            some = np.flatnonzero(lengths == length)
            _read(found, arena, ends, rows=rest[some], columns=columns[:, some], length=length)
    return found


def _usual(found: Headers, arena: NDArray[np.uint8], ends: Positions, first: int, stop: int) -> None:
    """Reads the headers of the lines [first, stop) as nearly all of them are: a fraction of a second, UTC,
    one tag. Those that are otherwise stay malformed, and are read again one way or the other.
    """
    starts = found.message[first:stop]
    within = starts <= len(arena) - HEADER_BYTES
    if not within.all():
        stop = first + int(np.argmin(within))  # starts ascend
        starts = starts[: stop - first]
    if not len(starts):
        return
    heads = _windows(arena, "V32")[starts].view(np.uint8).reshape(-1, 32)
    length = np.full(len(heads), MOST_USUAL_TIME)
    other = np.flatnonzero(heads[:, MOST_USUAL_TIME] != SPACE)
    length[other] = SHORTEST_TIME + np.argmax(heads[other, SHORTEST_TIME:] == SPACE, axis=1)
    fraction_us, well = _microseconds(heads, length - SHORTEST_TIME - 1)
    seconds, is_time = _seconds(heads)
    tails = _windows(arena, "V16")[starts + length - 1].view(np.uint64).reshape(-1, 2)
    stream, tag = tails[:, 0], tails[:, 1] & _TAG_BITS
    is_error, partial = stream == _STDERR, tag == _PARTIAL
    message = starts + length + 10
    well &= is_time & (is_error | (stream == _STDOUT)) & (partial | (tag == _FULL))
    well &= message <= ends[first:stop]
    found.time_us[first:stop] = np.where(well, seconds * SECOND_US + fraction_us, 0)
    found.stream[first:stop] = is_error & well
    found.partial[first:stop] = partial & well
    found.message[first:stop] = np.where(well, message, starts)
    found.malformed[first:stop] = ~well


def _windows(arena: NDArray[np.uint8], kind: str) -> NDArray[np.void]:
    """All stretches of so many bytes, by where they begin."""
    return np.ndarray((len(arena) - np.dtype(kind).itemsize + 1,), kind, buffer=arena, strides=(1,))


def _microseconds(heads: NDArray[np.uint8], digits: Positions) -> tuple[NDArray[np.int64], Mask]:
    """Of a fraction of one to nine digits; and where there is one. Eight digits are one number of 64 bits,
    the first in its lowest byte: pairs are added up, then fours, then all.
    """
    word = np.ascontiguousarray(heads[:, 20:28]).view(np.uint64).ravel()
    kept = _KEPT_BITS.take(digits, mode="clip")
    word = (word & kept) | (_ZEROS & ~kept)
    well = (heads[:, 19] == DOT) & (digits >= 1) & (digits <= 9)
    well &= ((word & _HIGH_BITS) == _ZEROS) & (((word + _SIX) & _HIGH_BITS) == _ZEROS)
    well &= (digits < 9) | (heads[:, 28] - np.uint8(ord("0")) <= 9)
    word -= _ZEROS
    word = word * np.uint64(10) + (word >> np.uint64(8))
    low, high = word & _PAIRS, (word >> np.uint64(16)) & _PAIRS
    eight = (low * _HUNDREDS + high * _ONES) >> np.uint64(32)
    return (eight // np.uint64(100)).view(np.int64), well


def _seconds(heads: NDArray[np.uint8]) -> tuple[NDArray[np.int64], Mask]:
    """Since the epoch. Neighbours have most of them in common: only where they change are they read."""
    words = heads.view(np.uint64)
    same = words[1:, 0] == words[:-1, 0]
    same &= words[1:, 1] == words[:-1, 1]
    same &= ((words[1:, 2] ^ words[:-1, 2]) & _TAG_BITS) == 0
    changes = np.flatnonzero(np.concatenate([[True], ~same]))
    counts = np.diff(changes, append=len(heads))
    seconds, well = _moment(np.ascontiguousarray(heads[changes].T))
    return np.repeat(seconds, counts), np.repeat(well, counts)


def _columns(arena: NDArray[np.uint8], starts: Positions, ends: Positions) -> Columns:
    """Bytes that are not the line's are line feeds."""
    size = len(arena)
    if size < HEADER_BYTES:
        arena = np.concatenate([arena, np.zeros(HEADER_BYTES - size, np.uint8)])
        size = HEADER_BYTES
    windows = np.ndarray((size - HEADER_BYTES + 1,), f"V{HEADER_BYTES}", buffer=arena, strides=(1,))
    begin = np.minimum(starts, size - HEADER_BYTES)
    heads = windows[begin].view(np.uint8).reshape(-1, HEADER_BYTES)
    for row in np.flatnonzero(begin != starts).tolist():  # fewer than a header has bytes
        heads[row] = np.roll(heads[row], begin[row] - starts[row])
    for row in np.flatnonzero(ends - starts < HEADER_BYTES).tolist() if len(arena) else ():
        heads[row, ends[row] - starts[row] :] = LINE_FEED
    return np.ascontiguousarray(heads.T)


def _read(
    found: Headers,
    arena: NDArray[np.uint8],
    ends: Positions,
    *,
    rows: Positions,
    columns: Columns,
    length: int,
) -> None:
    """Reads the headers of the lines `rows`, whose time has this length."""
    time_us, well = _time(columns, length)
    at = length + 1
    is_error = (columns[at + 3] == ord("e")) & (columns[at + 4] == ord("r")) & (columns[at + 5] == ord("r"))
    is_out = (columns[at + 3] == ord("o")) & (columns[at + 4] == ord("u")) & (columns[at + 5] == ord("t"))
    well &= (columns[length] == SPACE) & _are(columns, at, b"std") & (is_error | is_out)
    partial, after = columns[at + 7] == ord("P"), columns[at + 8]
    well &= (columns[at + 6] == SPACE) & (partial | (columns[at + 7] == ord("F")))
    message = found.message[rows] + at + 9
    bare = after == LINE_FEED  # an empty message, and somebody cut the space off
    message -= bare
    well &= (after == SPACE) | (after == COLON) | (bare & (message == ends[rows]))
    for row in np.flatnonzero(well & (after == COLON)).tolist():  # further tags: none is known yet
        start, end = int(message[row]) - 1, int(ends[rows[row]])
        space = bytes(arena[start:end]).find(b" ")
        well[row] &= space >= 0
        message[row] = start + space + 1
    good = rows[well]
    found.time_us[good] = time_us[well]
    found.stream[good] = is_error[well]
    found.partial[good] = partial[well]
    found.message[good] = message[well]
    found.malformed[good] = False


def _are(columns: Columns, at: int, text: bytes) -> Mask:
    well = np.ones(columns.shape[1], np.bool_)
    for place, byte in enumerate(text, start=at):
        well &= columns[place] == byte
    return well


def _moment(columns: Columns) -> tuple[NDArray[np.int64], Mask]:
    """Seconds since the epoch, of `2016-10-06T00:17:09`; and for which lines that is a time."""
    well = np.ones(columns.shape[1], np.bool_)
    for place, byte in zip((4, 7, 10, 13, 16), b"--T::", strict=True):
        well &= columns[place] == byte
    digits = columns - np.uint8(ord("0"))
    year = _number(digits, well, 0, 4)
    month, day = _number(digits, well, 5, 2), _number(digits, well, 8, 2)
    hour, minute, second = (_number(digits, well, place, 2) for place in (11, 14, 17))
    well &= (hour < 24) & (minute < 60) & (second < 60) & (day > 0) & (month > 0) & (month < 13) & (year > 0)
    well &= day <= _days_of(year, month)
    return _days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second, well


def _time(columns: Columns, length: int) -> tuple[NDArray[np.int64], Mask]:
    """Microseconds since the epoch, further digits cut off; and for which lines that is a time."""
    seconds, well = _moment(columns)
    digits = columns - np.uint8(ord("0"))
    is_zulu = columns[length - 1] == ZULU
    offset = np.zeros_like(seconds)
    fraction_us = np.zeros_like(seconds)
    zoned = length - 6
    if not is_zulu.all():
        well &= is_zulu | _is_offset(columns, digits, offset, zoned)
    for zone_at, mask in ((length - 1, is_zulu), (zoned, ~is_zulu)):
        if mask.any():
            wrong = ~_fraction(columns, digits, fraction_us, mask, zone_at)
            well &= ~(mask & wrong)
    return (seconds - np.where(is_zulu, 0, offset)) * SECOND_US + fraction_us, well


def _fraction(
    columns: Columns, digits: Columns, fraction_us: NDArray[np.int64], mask: Mask, zone_at: int
) -> Mask:
    """Adds the digits between second and zone where `mask` is; returns where they are right."""
    well: Mask = np.full(columns.shape[1], zone_at == 19 or 20 < zone_at <= 29, np.bool_)
    if zone_at <= 20:
        return well
    well &= columns[19] == DOT
    total = np.zeros_like(fraction_us)
    for place in range(20, zone_at):
        well &= digits[place] <= 9
        if place < 26:
            total += digits[place].astype(np.int64) * 10 ** (25 - place)
    fraction_us += np.where(mask, total, 0)
    return well


def _is_offset(columns: Columns, digits: Columns, offset: NDArray[np.int64], at: int) -> Mask:
    """Reads `+02:00` at a place into seconds; returns where it is one."""
    if at < 19:
        return np.zeros(columns.shape[1], np.bool_)
    sign = columns[at]
    well: Mask = ((sign == PLUS) | (sign == DASH)) & (columns[at + 3] == COLON)
    hours, minutes = _number(digits, well, at + 1, 2), _number(digits, well, at + 4, 2)
    well &= (hours < 24) & (minutes < 60)
    offset += np.where(sign == DASH, -1, 1) * (hours * 3600 + minutes * 60)
    return well


def _number(digits: Columns, well: Mask, at: int, width: int) -> NDArray[np.int64]:
    number = np.zeros(digits.shape[1], np.int64)
    for place in range(at, at + width):
        well &= digits[place] <= 9
        number = number * 10 + digits[place]
    return number


def _days_of(year: NDArray[np.int64], month: NDArray[np.int64]) -> NDArray[np.int64]:
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    lengths = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)
    return np.asarray(lengths[np.clip(month, 0, 12)] + (is_leap & (month == 2)), np.int64)


def _days(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970, for the Gregorian calendar; years begin in March, so that the leap day is the last."""
    year = year - (month <= 2)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return np.asarray(year * 365 + year // 4 - year // 100 + year // 400 + of_year - DAYS_TO_1970, np.int64)
