"""Which keys an export may have. The same for every store, so that an export can be copied between them."""

from __future__ import annotations

import re

from collector.errors import ExportDamaged

TEMPORARY = "_joblog/tmp/"
"""Where a local store writes what has no key yet. No key is below it, on any store."""

LONGEST_KEY_BYTES = 1024  # of S3: Amazon S3 User Guide, "Object key naming guidelines"
_NOT_IN_KEYS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # control characters, what is no UTF-8


def is_key(key: str) -> bool:
    """Whether `key` is relative and plain, so that it means one object, below the prefix."""
    return (
        _NOT_IN_KEYS.search(key) is None
        and not key.startswith(TEMPORARY)
        and not any(part in ("", ".", "..") for part in key.split("/"))
        and len(key.encode()) <= LONGEST_KEY_BYTES
    )


def checked_key(key: str) -> str:
    """Raises ExportDamaged: such a key is in no export, so it came out of a damaged or forged record."""
    if not is_key(key):
        raise ExportDamaged(f"{key[:200]!r} cannot be the key of an object", hint="see which record names it")
    return key
