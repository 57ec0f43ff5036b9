"""Texts and numbers → the `time` column, by a format of `strptime` or one of the named ones.

Formats whose parts have fixed widths are read as a matrix of digits, a row a line. What does not look right
there is left to `datetime.strptime`, which decides what is a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.rows.block import Block
from collector.rows.parse.convert import (
    FIRST_US,
    LAST_US,
    Converted,
    checked_us,
    convert,
    datetime_us,
    finite,
    integer,
    one_by_one,
    without_nothing,
)
from collector.rows.schema import UTC_MICROSECONDS
from collector.value import value

Numbers = NDArray[np.int64]

EPOCHS = {"epoch": 1_000_000.0, "epoch_ms": 1_000.0, "epoch_us": 1.0, "epoch_ns": 0.001}
"""Microseconds in one."""

MONTHS = np.array(
    [int.from_bytes(name, "big") for name in b"jan feb mar apr may jun jul aug sep oct nov dec".split()]
)
DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
DAY_SECONDS = 86_400

_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "b": 3, "z": 5, "f": 0}
_PART = re.compile(r"%([A-Za-z%])|([^%])", re.DOTALL)


def time_reader(how: str) -> Callable[[pa.Array], Converted]:
    """What makes times (timestamp[us, UTC]) of a column of texts, or of numbers for the `epoch` formats."""
    if how in EPOCHS:
        return partial(_epoch, how)
    if how == "iso8601":
        return partial(convert, kind="timestamp")
    return partial(_strptime, how, _layout(how))


def _epoch(how: str, values: pa.Array) -> Converted:
    if pa.types.is_string(values.type):
        numbers, failed = convert(values, "int64")
        if failed.any():
            return one_by_one(without_nothing(values), partial(_epoch_us, how), UTC_MICROSECONDS)
        values = numbers
    return _of_numbers(how, values)


def _of_numbers(how: str, values: pa.Array) -> Converted:
    """Of a column of integers or of floats."""
    there = np.asarray(values.is_valid())
    plain = values.fill_null(0).to_numpy(zero_copy_only=False)
    if pa.types.is_integer(values.type):
        microseconds, fits = _whole(how, plain)
    else:
        scaled = np.rint(plain * EPOCHS[how])
        fits = (scaled >= FIRST_US) & (scaled <= LAST_US)
        microseconds = np.where(fits, scaled, 0).astype(np.int64)
    return _times(microseconds, fits, there)


def _whole(how: str, plain: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
    if how == "epoch_ns":
        return plain // 1000, np.ones(len(plain), np.bool_)
    factor = int(EPOCHS[how])
    fits = (plain >= -(-FIRST_US // factor)) & (plain <= LAST_US // factor)
    return np.where(fits, plain, 0) * factor, fits


def _epoch_us(how: str, text: str) -> int:
    try:
        value = integer(text)
    except ValueError:
        return checked_us(round(finite(text) * EPOCHS[how]))
    return checked_us(value // 1000 if how == "epoch_ns" else value * int(EPOCHS[how]))


def _times(microseconds: Numbers, fits: NDArray[np.bool_], there: NDArray[np.bool_]) -> Converted:
    values = (
        pa.array(microseconds, mask=~(fits & there)) if not (fits & there).all() else pa.array(microseconds)
    )
    return values.cast(UTC_MICROSECONDS), there & ~fits


@value
class _Piece:
    """A directive of strptime, or (empty) a literal character."""

    directive: str
    literal: int = 0


def _layout(how: str) -> tuple[_Piece, ...] | None:
    """None where a part has no fixed width."""
    pieces = []
    for directive, literal in _PART.findall(how):
        if directive and directive not in _WIDTHS and directive != "%":
            return None
        text = literal or ("%" if directive == "%" else "")
        if text and ord(text) > 127:
            return None
        pieces.append(_Piece("" if text else directive, ord(text) if text else 0))
    names = [piece.directive for piece in pieces if piece.directive]
    dated = {"Y", "d"} <= set(names) and ("m" in names) != ("b" in names)
    return tuple(pieces) if dated and len(names) == len(set(names)) else None


def _strptime_us(how: str, text: str) -> int:
    return datetime_us(datetime.strptime(text, how))  # noqa: DTZ007 - a time without a zone is in UTC


def _strptime(how: str, layout: tuple[_Piece, ...] | None, text: pa.StringArray) -> Converted:
    slow = partial(one_by_one, one=partial(_strptime_us, how), kind=UTC_MICROSECONDS)
    if layout is None or not len(text):
        return slow(without_nothing(text))
    lengths = pc.binary_length(text).fill_null(0).to_numpy(zero_copy_only=False)
    there = np.flatnonzero(lengths)
    width = int(lengths[there[0]]) if len(there) else 0
    chosen = lengths == width
    microseconds = np.zeros(len(text), np.int64)
    known = np.zeros(len(text), np.bool_)
    if width:
        rows = text if chosen.all() else text.filter(pa.array(chosen))
        matrix = Block.of(rows).data.reshape(-1, width)
        read = _read(layout, matrix)
        if read is not None:
            microseconds[chosen], known[chosen] = read
    if known.all():
        return pa.array(microseconds).cast(UTC_MICROSECONDS), ~known
    values, failed = slow(without_nothing(text.filter(pa.array(~known))))
    fast = pa.array(microseconds).cast(UTC_MICROSECONDS)
    every = np.zeros(len(text), np.bool_)
    every[~known] = failed
    return pc.replace_with_mask(fast, pa.array(~known), values), every


def _read(layout: Sequence[_Piece], matrix: NDArray[np.uint8]) -> tuple[Numbers, NDArray[np.bool_]] | None:
    """Microseconds since the epoch, and whether the row looks as the layout says. None: it cannot."""
    rest = matrix.shape[1] - sum(_WIDTHS[piece.directive] if piece.directive else 1 for piece in layout)
    has_fraction = any(piece.directive == "f" for piece in layout)
    if not (1 <= rest <= 6 if has_fraction else rest == 0):
        return None
    parts, at, fraction = [], 0, slice(0)
    for piece in layout:
        width = (_WIDTHS[piece.directive] or rest) if piece.directive else 1
        if piece.directive == "f":
            fraction = slice(at, at + width)
        else:
            parts.append((piece, slice(at, at + width)))
        at += width
    # Many rows stand in one second: it is read once.
    firsts, of = _runs(matrix, fraction)
    seconds, looks_right = _seconds(parts, matrix[firsts])
    microseconds, known = seconds.take(of) * 1_000_000, looks_right.take(of)
    if has_fraction:
        microseconds += _number(matrix[:, fraction], known) * 10 ** (6 - rest)
    return microseconds, known


def _runs(matrix: NDArray[np.uint8], without: slice) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows that differ from the one before, but for the columns `without`; and of each row, by which of them
    its run begins.
    """
    width = matrix.shape[1]
    flat = matrix.reshape(-1)
    differs = (flat[width:] != flat[:-width]).reshape(-1, width)
    differs[:, without] = False
    begins = np.zeros(len(matrix), np.bool_)
    begins[0] = True
    begins[np.flatnonzero(differs) // width + 1] = True
    return np.flatnonzero(begins), np.cumsum(begins) - 1


def _seconds(
    parts: Sequence[tuple[_Piece, slice]], matrix: NDArray[np.uint8]
) -> tuple[Numbers, NDArray[np.bool_]]:
    """Seconds since the epoch, by all parts but the fraction."""
    known = np.ones(len(matrix), np.bool_)
    values: dict[str, Numbers] = {}
    for piece, where in parts:
        part = matrix[:, where]
        if not piece.directive:
            known &= part[:, 0] == piece.literal
        elif piece.directive == "b":
            values["m"] = _month(part, known)
        elif piece.directive == "z":
            values["z"] = _zone(part, known)
        else:
            values[piece.directive] = _number(part, known)
    return _since_epoch(values, known)


def _number(part: NDArray[np.uint8], known: NDArray[np.bool_]) -> Numbers:
    value: Numbers = np.zeros(len(part), np.int64)
    for column in range(part.shape[1]):
        digit = part[:, column] - np.uint8(48)
        known &= digit <= 9
        value = value * 10 + digit
    return value


def _month(part: NDArray[np.uint8], known: NDArray[np.bool_]) -> Numbers:
    lower = (part | 0x20).astype(np.int64)
    code = lower[:, 0] << 16 | lower[:, 1] << 8 | lower[:, 2]
    order = np.argsort(MONTHS)
    index = np.minimum(np.searchsorted(MONTHS, code, sorter=order), 11)
    month = order[index]
    known &= MONTHS[month] == code
    return np.asarray(month + 1, np.int64)


def _zone(part: NDArray[np.uint8], known: NDArray[np.bool_]) -> Numbers:
    """Offset from UTC in minutes."""
    minus, plus = part[:, 0] == ord("-"), part[:, 0] == ord("+")
    known &= minus | plus
    hours, minutes = _number(part[:, 1:3], known), _number(part[:, 3:5], known)
    known &= (hours <= 23) & (minutes <= 59)
    offset: Numbers = np.where(minus, -1, 1) * (hours * 60 + minutes)
    return offset


def _since_epoch(values: dict[str, Numbers], known: NDArray[np.bool_]) -> tuple[Numbers, NDArray[np.bool_]]:
    year, month, day = values["Y"], values["m"], values["d"]
    nothing = np.zeros(len(known), np.int64)
    hour, minute, second = (values.get(name, nothing) for name in "HMS")
    known &= (year >= 1) & (month >= 1) & (month <= 12) & (hour <= 23) & (minute <= 59) & (second <= 59)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    longest = DAYS.take(month - 1, mode="clip") + (leap & (month == 2))
    known &= (day >= 1) & (day <= longest)
    # Days since 1970 of a proleptic Gregorian date: years that begin in March end in their leap day.
    early = month <= 2
    march_year, march_month = year - early, np.where(early, month + 9, month - 3)
    days = 365 * march_year + march_year // 4 - march_year // 100 + march_year // 400
    days += (153 * march_month + 2) // 5 + day - 1 - 719_468
    seconds = days * DAY_SECONDS + (hour * 60 + minute - values.get("z", nothing)) * 60 + second
    known &= (seconds >= FIRST_US // 1_000_000) & (seconds <= LAST_US // 1_000_000)
    return seconds, known
