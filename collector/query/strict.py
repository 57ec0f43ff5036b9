"""Keys of a record or receipt that its format does not know: nobody who reads it would notice them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from pydantic_core import from_json


def unknown_keys(body: bytes, canonical: bytes) -> list[str]:
    """Where `body` says more than `canonical`, what was understood of it: `spans.0.colour`, say."""
    return list(_further(from_json(body), from_json(canonical), ""))


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
