"""The headers that nearly all CRI lines have, read as words of eight bytes, all at once.

containerd writes `2016-10-06T00:17:09.669794202Z stdout F `, or fewer digits, for Go leaves out zeros at the
end of a second; CRI-O has an offset: `2016-10-06T00:17:09.669794202+00:00 stdout F `.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.intake.cri_time import Mask, minute, minutes_of, offset

USUAL_BYTES = 40
"""Of a header with nine digits: five words."""

OFFSET_BYTES = 5
"""So much longer it is with an offset."""

FEW_MINUTES, FEW_OFFSETS = 8, 8
"""So few are looked up one by one."""

MINUTE_US = 60_000_000


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
_ZEROS, _ZULUS, _FIVE = _word(b"0" * 5), _word(b"Z" * 8), _word(b"\xff" * 5)
_ENDS_ZULU, _ENDS_OFFSET = _word(b"\0\0\0\0\0Z s"), b" s"
_LOWEST_BITS, _HIGHEST_BITS = _word(b"\x01" * 8), _word(b"\x80" * 8)
_ONE, _TEN = np.uint64(1), np.uint64(10)

Positions = NDArray[np.int64]
Words = NDArray[np.uint64]
"""[USUAL_BYTES // 8, lines]: the first bytes of lines, word by word."""


class Usual(NamedTuple):
    """One element a line. All but `well` mean nothing where that is false; `message` is where it begins."""

    well: Mask
    time_us: NDArray[np.int64]
    is_error: Mask
    partial: Mask
    message: Positions


def usual(arena: NDArray[np.uint8], starts: Positions, ends: Positions) -> Usual:
    """Headers with nine digits, in UTC."""
    return _read(_words(arena, starts), starts + USUAL_BYTES, ends)


def shorter(arena: NDArray[np.uint8], starts: Positions, ends: Positions) -> Usual:
    """Headers with four to eight digits, as if zeros stood at their end."""
    words = _words(arena, starts)
    zone, tail = words[3], words[4]
    # The lowest bit of the marks is in the byte of the first Z, whatever stands behind it.
    marks = zone ^ _ZULUS
    marks = (marks - _LOWEST_BITS) & ~marks & _HIGHEST_BITS
    before = np.bitwise_count(marks ^ (marks - _ONE)).astype(np.uint64) - _BYTE
    fits = before < _FIVE_BYTES
    if not fits.any():
        return Usual(fits, starts, fits, fits, starts)
    before[~fits] = 0
    digits = (_ONE << before) - _ONE
    words[4] = (zone >> (before + _THREE_BYTES)) | (tail << (_FIVE_BYTES - before))
    words[3] = (zone & digits) | (_ZEROS & ~digits) | (zone >> before << _FIVE_BYTES)
    found = _read(words, starts + (USUAL_BYTES - 5) + (before // _BYTE).astype(np.int64), ends)
    return found._replace(well=found.well & fits)


def with_offset(arena: NDArray[np.uint8], starts: Positions, ends: Positions) -> Usual:
    """Headers with nine digits and an offset, where lines have a few: as if they were in UTC."""
    words, later = _words(arena, starts), _words(arena, starts + OFFSET_BYTES)
    zones, at = later[3], np.zeros(len(starts), np.int64)
    fits, rest = np.zeros(len(starts), np.bool_), np.arange(len(starts))
    for _ in range(FEW_OFFSETS):
        if not len(rest):
            break
        text = int(zones[rest[0]]).to_bytes(8, "little")
        same = zones[rest] == zones[rest[0]]
        minutes = offset(text.removesuffix(_ENDS_OFFSET))
        if minutes is not None:
            fits[rest[same]], at[rest[same]] = True, minutes * MINUTE_US
        rest = rest[~same]
    words[3] = (words[3] & _FIVE) | _ENDS_ZULU
    words[4] = later[4]
    found = _read(words, starts + (USUAL_BYTES + OFFSET_BYTES), ends)
    return found._replace(well=found.well & fits, time_us=found.time_us - at)


def _words(arena: NDArray[np.uint8], starts: Positions) -> Words:
    windows = np.ndarray((len(arena) - USUAL_BYTES + 1,), f"V{USUAL_BYTES}", buffer=arena, strides=(1,))
    return np.ascontiguousarray(windows[starts].view(np.uint64).reshape(len(starts), -1).T)


def _read(words: Words, message: Positions, ends: Positions) -> Usual:
    """`words` are used up."""
    date, hour, time, zone, tail = words
    time_us, well = _of_minute(time, zone)
    _add_minutes(time_us, well, date, hour)
    well &= message <= ends
    is_error, partial = tail == _ERROR, np.zeros_like(well)
    other = np.flatnonzero(~(is_error | (tail == _OUT)))
    if len(other):
        is_error[other] = tail[other] == _ERROR_PARTIAL
        partial[other] = is_error[other] | (tail[other] == _OUT_PARTIAL)
        well[other] &= partial[other]
    return Usual(well, time_us, is_error, partial, message)


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
        minutes, is_time = minutes_of(np.stack([date[firsts], hour[firsts]], axis=1).view(np.uint8).T)
        counts = np.diff(firsts, append=len(hour))
        time_us += np.repeat(minutes * MINUTE_US, counts)
        well &= np.repeat(is_time, counts)
        return
    for first, stop in pairwise([*firsts.tolist(), len(hour)]):
        since = minute(date[first].tobytes() + hour[first].tobytes())
        if since is None:
            well[first:stop] = False
        else:
            time_us[first:stop] += since * MINUTE_US
