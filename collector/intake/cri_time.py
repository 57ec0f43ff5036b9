"""Times of logs: minutes since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAYS_TO_1970 = 719_468  # from 0000-03-01
KNOWN = 64

_MINUTE = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)")
_OFFSET = re.compile(rb"([+-])(\d\d):(\d\d)")
_DIGITS_AT = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15])
_SIGNS_AT, _SIGNS = np.array([4, 7, 10, 13]), np.frombuffer(b"--T:", np.uint8).reshape(-1, 1)
_LEAST = np.array([0, 0, 1, 1, 0, 0], np.uint8).reshape(-1, 1)
_MOST = np.array([99, 99, 12, 31, 23, 59], np.uint8).reshape(-1, 1)
"""Century, year, month, day, hour, minute."""


@lru_cache(maxsize=KNOWN)
def minute(text: bytes) -> int | None:
    """Minutes since the epoch, of `2016-10-06T00:17`; None for what is no time."""
    found = _MINUTE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hours, minutes = map(int, found.groups())
    try:
        moment = datetime(year, month, day, hours, minutes, tzinfo=UTC)
    except ValueError:
        return None
    return (moment - EPOCH) // timedelta(minutes=1)


@lru_cache(maxsize=KNOWN)
def offset(text: bytes) -> int | None:
    """Minutes, of `+02:00`; None for what is no offset."""
    found = _OFFSET.fullmatch(text)
    if found is None:
        return None
    hours, minutes = int(found[2]), int(found[3])
    if hours > 23 or minutes > 59:
        return None
    return (-1 if found[1] == b"-" else 1) * (hours * 60 + minutes)


def minutes_of(columns: NDArray[np.uint8]) -> tuple[NDArray[np.int64], Mask]:
    """As `minute`, of many: [bytes, texts]; and of which texts that is one."""
    digits = columns[_DIGITS_AT] - np.uint8(ord("0"))
    well = (digits <= 9).all(axis=0) & (columns[_SIGNS_AT] == _SIGNS).all(axis=0)
    pairs = digits[0::2] * np.uint8(10) + digits[1::2]
    well &= ((pairs >= _LEAST) & (pairs <= _MOST)).all(axis=0)
    century, year, month, day, hour, minute = pairs.astype(np.int64)
    year += century * 100
    well &= (year > 0) & (day <= _days_of(year, month))
    return (_days(year, month, day) * 24 + hour) * 60 + minute, well


def _days_of(year: NDArray[np.int64], month: NDArray[np.int64]) -> NDArray[np.int64]:
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    lengths = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)
    return np.asarray(lengths.take(month, mode="clip") + (is_leap & (month == 2)), np.int64)


def _days(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970, for the Gregorian calendar; years begin in March, so that the leap day is the last."""
    year = year - (month <= 2)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return np.asarray(year * 365 + year // 4 - year // 100 + year // 400 + of_year - DAYS_TO_1970, np.int64)
