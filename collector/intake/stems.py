"""What a rotation calls the files that it moves: the start of a name stays."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar


class Named(Protocol):
    @property
    def name(self) -> str: ...


V = TypeVar("V", bound=Named)


def stem_of(name: str) -> str:
    """What a rotation keeps of a file's name: without its last suffix."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and not stem.endswith("/") and stem and "/" not in suffix else name


def may_follow(name: str, original: str) -> bool:
    """Whether a rotation that keeps the stem may make `name` of `original`: names never get shorter by it."""
    return name != original and len(name) >= len(original)


class Stems(Generic[V]):
    """Files by the stem of their raw name; where several have one, there by the name."""

    __slots__ = ("_by_stem", "_lengths")

    def __init__(self, files: Mapping[str, V]) -> None:
        self._by_stem: dict[str, V | dict[str, V]] = {}
        self._lengths: list[int] = []
        """Those that a stem has or had, in order."""
        for name, file in files.items():
            self.put(name, file)

    def put(self, name: str, file: V) -> None:
        """What had this name has it no more; all others are called so by now."""
        stem = stem_of(name)
        among = self._by_stem.get(stem)
        if isinstance(among, dict):
            among[name] = file
        elif among is None or among.name == name:
            self._by_stem[stem] = file
        else:
            self._by_stem[stem] = {among.name: among, name: file}
        if len(stem) not in self._lengths:
            insort(self._lengths, len(stem))

    def take(self, name: str) -> None:
        stem = stem_of(name)
        among = self._by_stem[stem]
        if isinstance(among, dict):
            del among[name]
        if not isinstance(among, dict) or not among:
            del self._by_stem[stem]

    def namesakes(self, name: str) -> Iterator[V]:
        """The files after which a rotation may have called another one `name`."""
        start = name.rfind("/") + 1
        for length in self._lengths:
            among = self._by_stem.get(name[:length]) if start < length <= len(name) else None
            if isinstance(among, dict):
                yield from (file for original, file in among.items() if may_follow(name, original))
            elif among is not None and may_follow(name, among.name):
                yield among
