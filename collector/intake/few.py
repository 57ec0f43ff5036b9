"""A mapping that mostly holds one thing: for a hundred thousand sources, a dict each would be too much."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from types import MappingProxyType
from typing import Generic, TypeVar, cast, overload

V = TypeVar("V")
T = TypeVar("T")


class Few(MutableMapping[str, V], Generic[V]):
    """As a dict, whose first thing is held without one. Order is that of a dict."""

    __slots__ = ("_key", "_more", "_value")

    def __init__(self, things: Mapping[str, V] = MappingProxyType({})) -> None:
        self._key: str | None = None
        self._value: V | None = None
        self._more = dict(things) if len(things) > 1 else None
        """All, once there was more than one."""
        if self._more is None:
            self.update(things)

    def __len__(self) -> int:
        return len(self._more) if self._more is not None else self._key is not None

    def __iter__(self) -> Iterator[str]:
        if self._more is not None:
            return iter(self._more)
        return iter(() if self._key is None else (self._key,))

    def values(self) -> ValuesView[V]:
        return self._more.values() if self._more is not None else super().values()

    def items(self) -> ItemsView[str, V]:
        return self._more.items() if self._more is not None else super().items()

    @overload
    def get(self, key: str, /) -> V | None: ...
    @overload
    def get(self, key: str, /, default: V | T) -> V | T: ...
    def get(self, key: str, /, default: V | T | None = None) -> V | T | None:
        if self._more is not None:
            return self._more.get(key, default)
        return self._value if key == self._key else default

    def __getitem__(self, key: str) -> V:
        if self._more is not None:
            return self._more[key]
        if key != self._key:
            raise KeyError(key)
        return cast("V", self._value)

    def __setitem__(self, key: str, value: V) -> None:
        if self._more is not None:
            self._more[key] = value
        elif self._key is None or self._key == key:
            self._key, self._value = key, value
        else:
            self._more = {self._key: cast("V", self._value), key: value}
            self._key = self._value = None

    def __delitem__(self, key: str) -> None:
        if self._more is not None:
            del self._more[key]
        elif key == self._key:
            self._key = self._value = None
        else:
            raise KeyError(key)
