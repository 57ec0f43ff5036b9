"""Keys of a record or receipt that its format does not know: nobody who reads it would notice them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from collector.json_text import Unfit, decoded


def unknown_keys(body: bytes, canonical: bytes) -> list[str]:
    """Where `body` says more than `canonical`, what was understood of it: `spans.0.colour`, say."""
    if body == canonical:  # as nearly all are, and to look at each key takes longer than to read the record
        return []
    try:
        found = decoded(dict[str, Any], body)
    except Unfit as error:
        return [str(error)]  # a number that is too large, say: what was understood has none
    return list(_further(found, decoded(dict[str, Any], canonical), ""))


def _further(found: object, known: object, place: str) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(known, dict):
        for key, value in found.items():
            if key in known:
                yield from _further(value, known[key], f"{place}{key}.")
            else:
                yield f"{place}{key}"
    elif isinstance(found, list) and isinstance(known, list):
        for index, (value, understood) in enumerate(zip_longest(found, known)):
            yield from _further(value, understood, f"{place}{index}.")
