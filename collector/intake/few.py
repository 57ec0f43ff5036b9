"""A mapping that mostly holds one thing: for a hundred thousand sources, a dict each would be too much."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from types import MappingProxyType
from typing import Any, Generic, TypeVar, overload

V = TypeVar("V")
T = TypeVar("T")


class Few(MutableMapping[str, V], Generic[V]):
    """As a dict, whose first thing is held without one. Order is that of a dict."""

    __slots__ = ("_key", "_value")

    def __init__(self, things: Mapping[str, V] = MappingProxyType({})) -> None:
        self._key: str | None = None
        """Of the only thing there is."""
        self._value: Any = None
        """What has the key; a dict of all, once there was more than one."""
        if len(things) > 1:
            self._value = dict(things)
        else:
            for key, value in things.items():
                self[key] = value

    def _all(self) -> dict[str, V]:
        if self._key is not None:
            return {self._key: self._value}
        several: dict[str, V] | None = self._value
        return {} if several is None else several

    def __len__(self) -> int:
        return 1 if self._key is not None else len(self._value or ())

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
        if self._key is None and self._value is not None:
            several: dict[str, V] = self._value
            return several.get(key, default)
        found: V | T | None = self._value if key == self._key else default
        return found

    def __getitem__(self, key: str) -> V:
        found: V = self._value if key == self._key else self._all()[key]
        return found

    def __setitem__(self, key: str, value: V) -> None:
        if self._key is None and self._value is not None:
            self._value[key] = value
        elif self._key is None or key == self._key:
            self._key, self._value = key, value
        else:
            self._key, self._value = None, {self._key: self._value, key: value}

    def __delitem__(self, key: str) -> None:
        if key == self._key:
            self._key = self._value = None
        else:
            del self._all()[key]
