"""A mapping that mostly holds one thing: for a hundred thousand sources, a dict each would be too much."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from types import MappingProxyType
from typing import Generic, TypeVar, cast, overload

V = TypeVar("V")
T = TypeVar("T")


class Few(MutableMapping[str, V], Generic[V]):
    """As a dict, whose first thing is held without one. Order is that of a dict."""

    __slots__ = ("_key", "_value")

    def __init__(self, things: Mapping[str, V] = MappingProxyType({})) -> None:
        self._key: str | None = None
        """Of the only thing there is."""
        self._value: V | dict[str, V] | None = None
        """What has the key; all, once there was more than one."""
        if len(things) > 1:
            self._value = dict(things)
        else:
            for key, value in things.items():
                self[key] = value

    def _all(self) -> dict[str, V]:
        if self._key is not None:
            return {self._key: cast("V", self._value)}
        return {} if self._value is None else cast("dict[str, V]", self._value)

    def __len__(self) -> int:
        return 1 if self._key is not None else len(self._all())

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def values(self) -> ValuesView[V]:
        return self._all().values()

    def items(self) -> ItemsView[str, V]:
        return self._all().items()

    @overload
    def get(self, key: str, /) -> V | None: ...
    @overload
    def get(self, key: str, /, default: V | T) -> V | T: ...
    def get(self, key: str, /, default: V | T | None = None) -> V | T | None:
        if key == self._key:
            return cast("V", self._value)
        return default if self._key is not None else self._all().get(key, default)

    def __getitem__(self, key: str) -> V:
        return cast("V", self._value) if key == self._key else self._all()[key]

    def __setitem__(self, key: str, value: V) -> None:
        if key == self._key or (self._key is None and self._value is None):
            self._key, self._value = key, value
        else:
            self._key, self._value = None, self._all()
            self._value[key] = value

    def __delitem__(self, key: str) -> None:
        if key == self._key:
            self._key = self._value = None
        else:
            del self._all()[key]
