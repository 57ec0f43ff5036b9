"""Durations and sizes as people write them: `500ms`, `15m`; `64MiB`, `10MB`; or a bare number."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {
    **{"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40},
}
_NUMBER_AND_UNIT = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")


def duration_seconds(value: object) -> float:
    """Seconds. Raises ValueError, in words for the user, for what is no duration."""
    return _measure(value, _SECONDS, "a duration such as 500ms, 1s, 15m, 24h, or seconds")


def size_bytes(value: object) -> int:
    """Bytes. Raises ValueError, in words for the user, for what is no size."""
    measured = _measure(value, _BYTES, "a size such as 64MiB, 10MB, or bytes")
    return int(measured)


def _measure(value: object, units: Mapping[str, float], wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"should be {wanted}")
    match = _NUMBER_AND_UNIT.fullmatch(str(value).strip())
    if match is None or match[2] not in units:
        raise ValueError(f"should be {wanted}")
    return float(match[1]) * units[match[2]]
