"""The headers of CRI log lines, all at once: `2016-10-06T00:17:09.669794202Z stdout F message`.

As the kubelet reads them: a time in RFC 3339 with up to nine digits of a second (Go leaves zeros at
its end out), `stdout` or `stderr`, tags of which the first is `P` (the line goes on in the next one of its
stream) or `F`, each with one space behind it. What looks otherwise is malformed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collector.intake.cri_time import Mask, minutes_of
from collector.intake.cri_words import Usual, shorter, usual, with_offset

HEADER_BYTES = 48
"""The longest is 45 bytes: nine digits, an offset, one tag."""

LINES_AT_ONCE = 8192
"""Their headers stay in the cache."""

SHORTEST_TIME, LONGEST_TIME = 20, 35
SPACE, COLON, DOT, DASH, PLUS, ZULU, LINE_FEED = b" :.-+Z\n"
SECOND_US = 1_000_000

Positions = NDArray[np.int64]
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
    within = int(np.searchsorted(starts, len(arena) - HEADER_BYTES, side="right"))
    for first in range(0, within, LINES_AT_ONCE):
        some = slice(first, min(first + LINES_AT_ONCE, within))
        _put(found, some, usual(arena, starts[some], ends[some]))
    for read in (shorter, with_offset):
        rest = np.flatnonzero(found.malformed[:within])
        for first in range(0, len(rest), LINES_AT_ONCE):
            few = rest[first : first + LINES_AT_ONCE]
            _put(found, few, read(arena, starts[few], ends[few]))
    _read_others(found, arena, starts, ends)
    return found


def _put(found: Headers, rows: slice | Positions, read: Usual) -> None:
    found.time_us[rows] = read.time_us
    found.stream[rows] = read.is_error
    found.partial[rows] = read.partial & read.well
    found.message[rows] = np.where(read.well, read.message, found.message[rows])
    found.malformed[rows] = ~read.well


def _read_others(found: Headers, arena: NDArray[np.uint8], starts: Positions, ends: Positions) -> None:
    """Reads what is malformed so far by all that a header may be."""
    rest = np.flatnonzero(found.malformed)
    if not len(rest):
        return
    columns = _columns(arena, starts[rest], ends[rest])
    lengths = SHORTEST_TIME + np.argmax(columns[SHORTEST_TIME : LONGEST_TIME + 1] == SPACE, axis=0)
    for length in np.flatnonzero(np.bincount(lengths, minlength=LONGEST_TIME + 1)).tolist():
        some = np.flatnonzero(lengths == length)
        _read(found, arena, ends, rows=rest[some], columns=columns[:, some], length=length)


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


def _time(columns: Columns, length: int) -> tuple[NDArray[np.int64], Mask]:
    """Microseconds since the epoch, further digits cut off; and for which lines that is a time."""
    minutes, well = minutes_of(columns)
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
