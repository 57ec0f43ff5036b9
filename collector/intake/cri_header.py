"""The headers of CRI log lines, all at once: `2016-10-06T00:17:09.669794202Z stdout F message`.

As the kubelet reads them: a time in RFC 3339 with up to nine digits of a second (Go leaves zeros at
its end out), `stdout` or `stderr`, tags of which the first is `P` (the line goes on in the next one of its
stream) or `F`, each with one space behind it. What looks otherwise is malformed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 48
"""The longest is 45 bytes: nine digits, an offset, one tag."""

LINES_AT_ONCE = 8192
"""Their headers stay in the cache."""

SHORTEST_TIME, LONGEST_TIME = 20, 35
SPACE, COLON, DOT, DASH, PLUS, ZULU, LINE_FEED = b" :.-+Z\n"
SECOND_US, MINUTE_US = 1_000_000, 60_000_000
DAYS_TO_1970 = 719_468  # from 0000-03-01
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

USUAL_BYTES = 40
"""Most headers are `YYYY-MM-DDThh:mm:ss.nnnnnnnnnZ stdout F ` or as long: five words of eight bytes."""

_MINUTE = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)")
FEW_MINUTES, KNOWN_MINUTES = 8, 64
"""So few are looked up one by one."""


def _word(text: bytes) -> np.uint64:
    """Up to eight bytes as the number that they are in memory."""
    return np.uint64(int.from_bytes(text, "little"))


_TIME, _ZONE = _word(b":00.0000"), _word(b"00000Z s")
_TIME_BITS = _word(b"\xff\xf0\xf0\xff\xf0\xf0\xf0\xf0")
_ZONE_BITS = _word(b"\xf0\xf0\xf0\xf0\xf0\xff\xff\xff")
"""Which bits of these two are the same in every time."""

_TIME_ROOM, _ZONE_ROOM = _word(b"\0\x0a\6\0\6\6\6\6"), _word(b"\6\6\6\6\6\0\0\0")
"""With so much more a digit above 9 shows in those bits, and a first one of seconds above 5."""

_OUT, _ERROR = _word(b"tdout F "), _word(b"tderr F ")
_OUT_PARTIAL, _ERROR_PARTIAL = _word(b"tdout P "), _word(b"tderr P ")
_BYTE, _TWO_BYTES, _THREE_BYTES, _FOUR_BYTES, _FIVE_BYTES, _SIX_BYTES = map(np.uint64, range(8, 56, 8))
_PAIR, _PAIRS = _word(b"\xff" * 2), _word(b"\xff\0\0\0\xff\0\0\0")
_HUNDREDS, _ONES = np.uint64(100 + (1_000_000 << 32)), np.uint64(1 + (10_000 << 32))
_ZEROS, _ZULUS = _word(b"0" * 5), _word(b"Z" * 8)
_LOWEST_BITS, _HIGHEST_BITS = _word(b"\x01" * 8), _word(b"\x80" * 8)
_ONE, _TEN = np.uint64(1), np.uint64(10)

_DIGITS_AT = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15])
_SIGNS_AT, _SIGNS = np.array([4, 7, 10, 13]), np.frombuffer(b"--T:", np.uint8).reshape(-1, 1)
_LEAST = np.array([0, 0, 1, 1, 0, 0], np.uint8).reshape(-1, 1)
_MOST = np.array([99, 99, 12, 31, 23, 59], np.uint8).reshape(-1, 1)
"""Century, year, month, day, hour, minute."""

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
    within = int(np.searchsorted(starts, len(arena) - USUAL_BYTES, side="right"))
    for first in range(0, within, LINES_AT_ONCE):
        few = slice(first, min(first + LINES_AT_ONCE, within))
        _usual(found, few, _words(arena, starts[few]), starts[few] + USUAL_BYTES, ends[few])
    rest = np.flatnonzero(found.malformed[:within])
    for first in range(0, len(rest), LINES_AT_ONCE):
        _shorter(found, arena, ends, rest[first : first + LINES_AT_ONCE])
    rest = np.flatnonzero(found.malformed)
    if len(rest):
        columns = _columns(arena, starts[rest], ends[rest])
        lengths = SHORTEST_TIME + np.argmax(columns[SHORTEST_TIME : LONGEST_TIME + 1] == SPACE, axis=0)
        for length in np.flatnonzero(np.bincount(lengths, minlength=LONGEST_TIME + 1)).tolist():
            some = np.flatnonzero(lengths == length)
            _read(found, arena, ends, rows=rest[some], columns=columns[:, some], length=length)
    return found


def _words(arena: NDArray[np.uint8], starts: Positions) -> NDArray[np.uint64]:
    """[USUAL_BYTES // 8, lines]: the first bytes of lines, word by word."""
    windows = np.ndarray((len(arena) - USUAL_BYTES + 1,), f"V{USUAL_BYTES}", buffer=arena, strides=(1,))
    return np.ascontiguousarray(windows[starts].view(np.uint64).reshape(len(starts), -1).T)


def _usual(
    found: Headers,
    rows: slice | Positions,
    words: NDArray[np.uint64],
    message: Positions,
    ends: Positions,
) -> None:
    """Reads the headers `words` of the lines `rows`, whose messages begin at `message`. Those that are
    otherwise than nearly all stay malformed, and are read again one way or the other.
    """
    date, hour, time, zone, tail = words
    time_us, well = _of_minute(time, zone)
    _add_minutes(time_us, well, date, hour)
    well &= message <= ends
    is_error, partial = tail == _ERROR, np.zeros_like(well)
    other = np.flatnonzero(~(is_error | (tail == _OUT)))
    if len(other):
        of_error = tail[other] == _ERROR_PARTIAL
        goes_on = of_error | (tail[other] == _OUT_PARTIAL)
        is_error[other], partial[other] = of_error, goes_on & well[other]
        well[other] &= goes_on
    found.time_us[rows] = time_us
    found.stream[rows] = is_error
    found.partial[rows] = partial
    found.message[rows] = np.where(well, message, found.message[rows])
    found.malformed[rows] = ~well


def _shorter(found: Headers, arena: NDArray[np.uint8], ends: Positions, rows: Positions) -> None:
    """Reads headers with four to eight digits behind the dot, as if zeros stood at their end."""
    words = _words(arena, found.message[rows])
    # The lowest bit of the marks is in the byte of the first Z, whatever stands behind it.
    marks = words[3] ^ _ZULUS
    marks = (marks - _LOWEST_BITS) & ~marks & _HIGHEST_BITS
    before = np.bitwise_count(marks ^ (marks - _ONE)).astype(np.uint64) - _BYTE
    some = np.flatnonzero(before < _FIVE_BYTES)
    if not len(some):
        return
    rows, words, before = rows[some], words[:, some], before[some]
    zone, tail, digits = words[3], words[4], (_ONE << before) - _ONE
    words[4] = (zone >> (before + _THREE_BYTES)) | (tail << (_FIVE_BYTES - before))
    words[3] = (zone & digits) | (_ZEROS & ~digits) | (zone >> before << _FIVE_BYTES)
    message = found.message[rows] + (USUAL_BYTES - 5) + (before // _BYTE).astype(np.int64)
    _usual(found, rows, words, message, ends[rows])


def _of_minute(time: NDArray[np.uint64], zone: NDArray[np.uint64]) -> tuple[NDArray[np.int64], Mask]:
    """Microseconds, from `:ss.nnnn` and `nnnnnZ s`; and where those are well. Both are used up.

    Eight digits are one number of 64 bits, the first in its lowest byte: pairs are added up, then fours,
    then all.
    """
    time ^= _TIME
    wrong = time + _TIME_ROOM
    wrong |= time
    wrong &= _TIME_BITS
    zone ^= _ZONE
    other = zone + _ZONE_ROOM
    other |= zone
    other &= _ZONE_BITS
    wrong |= other
    word = time >> _BYTE
    word &= _PAIR
    time >>= _FOUR_BYTES
    time <<= _TWO_BYTES
    word |= time
    zone <<= _SIX_BYTES
    word |= zone
    tens = np.multiply(word, _TEN, out=other)
    word >>= _BYTE
    word += tens
    low = np.bitwise_and(word, _PAIRS, out=other)
    low *= _HUNDREDS
    word >>= _TWO_BYTES
    word &= _PAIRS
    word *= _ONES
    word += low
    word >>= _FOUR_BYTES
    return word.view(np.int64), wrong == 0


def _add_minutes(
    time_us: NDArray[np.int64], well: Mask, date: NDArray[np.uint64], hour: NDArray[np.uint64]
) -> None:
    """Adds what `2016-10-` and `06T00:17` are since the epoch; not `well` where they are no time. Neighbours
    have most often the same: it is read where it changes.
    """
    other = hour[1:] != hour[:-1]
    other |= date[1:] != date[:-1]
    firsts = np.append(0, np.flatnonzero(other) + 1)
    if len(firsts) > FEW_MINUTES:
        minutes, is_time = _minutes_of(np.stack([date[firsts], hour[firsts]], axis=1).view(np.uint8).T)
        counts = np.diff(firsts, append=len(hour))
        time_us += np.repeat(minutes * MINUTE_US, counts)
        well &= np.repeat(is_time, counts)
        return
    for first, stop in pairwise([*firsts.tolist(), len(hour)]):
        minute = _minute(int(date[first]), int(hour[first]))
        if minute is None:
            well[first:stop] = False
        else:
            time_us[first:stop] += minute * MINUTE_US


@lru_cache(maxsize=KNOWN_MINUTES)
def _minute(date: int, hour: int) -> int | None:
    """Minutes since the epoch; None for what is no time."""
    found = _MINUTE.fullmatch(date.to_bytes(8, "little") + hour.to_bytes(8, "little"))
    if found is None:
        return None
    year, month, day, hours, minutes = map(int, found.groups())
    try:
        moment = datetime(year, month, day, hours, minutes, tzinfo=UTC)
    except ValueError:
        return None
    return (moment - EPOCH) // timedelta(minutes=1)


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


def _minutes_of(columns: Columns) -> tuple[NDArray[np.int64], Mask]:
    """Minutes since the epoch, of `2016-10-06T00:17`; and for which lines that is a time."""
    digits = columns[_DIGITS_AT] - np.uint8(ord("0"))
    well = (digits <= 9).all(axis=0) & (columns[_SIGNS_AT] == _SIGNS).all(axis=0)
    pairs = digits[0::2] * np.uint8(10) + digits[1::2]
    well &= ((pairs >= _LEAST) & (pairs <= _MOST)).all(axis=0)
    century, year, month, day, hour, minute = pairs.astype(np.int64)
    year += century * 100
    well &= (year > 0) & (day <= _days_of(year, month))
    return (_days(year, month, day) * 24 + hour) * 60 + minute, well


def _time(columns: Columns, length: int) -> tuple[NDArray[np.int64], Mask]:
    """Microseconds since the epoch, further digits cut off; and for which lines that is a time."""
    minutes, well = _minutes_of(columns)
    digits = columns - np.uint8(ord("0"))
    second = _number(digits, well, 17, 2)
    well &= (columns[16] == COLON) & (second < 60)
    seconds = minutes * 60 + second
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
    return np.asarray(lengths.take(month, mode="clip") + (is_leap & (month == 2)), np.int64)


def _days(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970, for the Gregorian calendar; years begin in March, so that the leap day is the last."""
    year = year - (month <= 2)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return np.asarray(year * 365 + year // 4 - year // 100 + year // 400 + of_year - DAYS_TO_1970, np.int64)
