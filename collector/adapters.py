"""How values are written and read as JSON, made when it is first asked for: a start needs little of it."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")

_made: dict[type[Any], TypeAdapter[Any]] = {}


def adapter(of: type[T]) -> TypeAdapter[T]:
    """The same one each time: to make one takes milliseconds."""
    known = _made.get(of)
    if known is None:
        known = _made[of] = TypeAdapter(of)
    return known
