"""Text → typed values. Arrow converts whole columns; what it refuses is decided value by value.

Both agree on what they both accept. Empty text and `-` are no value: null, and no fault.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.model import FieldType
from collector.rows.schema import EPOCH, MICROSECOND, PARSED_TYPES, UTC_MICROSECONDS

FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The years 1 to 9999: others cannot be read by most programs."""

NO_VALUE = pa.array(["", "-"])

_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}

Converted = tuple[pa.Array, NDArray[np.bool_]]
"""Values, and which of them could not be converted; those are null."""


def convert(text: pa.StringArray, kind: FieldType) -> Converted:
    """Text as values of `kind`."""
    if kind == "string":
        return text, np.zeros(len(text), np.bool_)
    whole, one = _CONVERSIONS[kind]
    values = _tried(whole, text)
    if values is None:
        text = without_nothing(text)
        values = _tried(whole, text)
    if values is None:
        return one_by_one(text, one, PARSED_TYPES[kind])
    return values, np.zeros(len(text), np.bool_)


def without_nothing(text: pa.StringArray) -> pa.StringArray:
    """With null for what says that there is no value."""
    return pc.if_else(pc.is_in(text, NO_VALUE), pa.scalar(None, pa.string()), text)


def one_by_one(values: pa.Array, one: Callable[[Any], Any], kind: pa.DataType) -> Converted:
    """Each distinct value once; `one` raises ValueError for what cannot be converted."""
    known: dict[Any, Any] = {None: None}
    plain = values.to_pylist()
    failing = set()
    for value in dict.fromkeys(plain):
        if value is not None:
            try:
                known[value] = one(value)
            except (ValueError, OverflowError):
                known[value] = None
                failing.add(value)
    failed = np.array([value in failing for value in plain], np.bool_)
    return pa.array([known[value] for value in plain], _plain(kind)).cast(kind), failed


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def _tried(whole: Callable[[pa.StringArray], pa.Array | None], text: pa.StringArray) -> pa.Array | None:
    try:
        return whole(text)
    except pa.ArrowInvalid:
        return None


def _integers(text: pa.StringArray) -> pa.Array | None:
    values = text.cast(pa.int64())
    return None if _has_letters(text) else values  # Arrow reads 0x1F


def _has_letters(text: pa.StringArray) -> bool:
    whole = text.buffers()[2]
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    if whole is None or offsets[-1] == offsets[0]:
        return False
    data = np.frombuffer(whole, np.uint8)[offsets[0] : offsets[-1]]
    return int(data.max()) > ord("9")


def integer(text: str) -> int:
    value = int(text) if _INTEGER.fullmatch(text) else None
    if value is None or not -(1 << 63) <= value < 1 << 63:
        raise ValueError
    return value


def _floats(text: pa.StringArray) -> pa.Array | None:
    values = text.cast(pa.float64())
    return values if pc.all(pc.is_finite(values)).as_py() in (True, None) else None


def finite(text: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError
    return value


def _booleans(text: pa.StringArray) -> pa.Array:
    return text.cast(pa.bool_())


def boolean(text: str) -> bool:
    truth = _TRUTH.get(text.lower())
    if truth is None:
        raise ValueError
    return truth


def _timestamps(text: pa.StringArray) -> pa.Array | None:
    """ISO 8601 of one kind: all with a zone, or none."""
    for kind in (UTC_MICROSECONDS, pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.timestamp("ns")):
        values = _tried(partial(_cast, kind), text)
        if values is not None:
            return in_range(_microseconds(values))
    return None


def _cast(kind: pa.DataType, text: pa.StringArray) -> pa.Array:
    return text.cast(kind)


def _microseconds(values: pa.Array) -> pa.Array:
    if values.type.unit == "ns":
        cut = values.cast(pa.int64()).fill_null(0).to_numpy()
        return pa.array(cut // 1000, mask=np.asarray(values.is_null()))
    return values.cast(pa.int64())


def in_range(microseconds: pa.Array) -> pa.Array | None:
    """As timestamps; None where one is out of range."""
    lowest, highest = pc.min_max(microseconds).as_py().values()
    if lowest is not None and (lowest < FIRST_US or highest > LAST_US):
        return None
    return microseconds.cast(pa.timestamp("us")).cast(UTC_MICROSECONDS)


def iso8601_us(text: str) -> int:
    """Microseconds since the epoch; a time without a zone is in UTC."""
    return datetime_us(datetime.fromisoformat(text))


def datetime_us(at: datetime) -> int:
    offset = at.utcoffset() or timedelta(0)
    return checked_us((at.replace(tzinfo=UTC) - EPOCH - offset) // MICROSECOND)


def checked_us(microseconds: int) -> int:
    if not FIRST_US <= microseconds <= LAST_US:
        raise ValueError
    return microseconds


_CONVERSIONS: dict[str, tuple[Callable[[pa.StringArray], pa.Array | None], Callable[[str], Any]]] = {
    "int64": (_integers, integer),
    "float64": (_floats, finite),
    "bool": (_booleans, boolean),
    "timestamp": (_timestamps, iso8601_us),
}
