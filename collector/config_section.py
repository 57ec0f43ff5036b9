"""How a section of the configuration is declared, and how it is read.

A section is a value whose fields are settings. Each setting has a reader: a function from what the file, a
variable or an option says to the setting's value; it raises ValueError in words for the user. Sections, lists
and mappings have readers too, which find all that is wrong inside, each fault with its key path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, field, fields
from functools import partial
from typing import Any, TypeVar, dataclass_transform

from collector.value import value

T = TypeVar("T")
D = TypeVar("D")
S = TypeVar("S", bound="Section")
Reader = Callable[[object], T]

KeyPath = tuple[str | int, ...]

_NONE: Any = MISSING

_TRUTHS = {
    **dict.fromkeys(("true", "yes", "on", "t", "y", "1"), True),
    **dict.fromkeys(("false", "no", "off", "f", "n", "0"), False),
}


class Faults(ValueError):
    """All that is wrong inside a value: what, with its key path from there."""

    def __init__(self, found: list[tuple[KeyPath, str]]) -> None:
        super().__init__("; ".join(what for _, what in found))
        self.found = found


def setting(
    read: Reader[T],
    *,
    key: str = "",
    default: D = _NONE,
    default_factory: Callable[[], D] = _NONE,
    missing: str = "is required",
) -> T | D:
    """A field of a section. `key` is its name in the file, where code says the name with its unit.

    `missing` is told where there is neither a value nor a default.
    """
    declared: Any = partial(field, default=default, default_factory=default_factory, kw_only=True)
    made: T | D = declared(metadata={"read": read, "key": key, "missing": missing})
    return made


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(setting,))
def section(cls: type[T]) -> type[T]:
    return value(cls)


@section
class Section:
    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise ValueError(f"{name} cannot be changed: the configuration is frozen")
        object.__setattr__(self, name, value)

    def faults(self) -> Iterator[str]:
        """What is wrong with the whole, where each setting alone is good."""
        return iter(())


def keys(cls: type[Section]) -> frozenset[str]:
    """The names of a section's settings in the file."""
    return frozenset(_key(each) for each in fields(cls))


def read_section(cls: type[S], values: object) -> S:
    """Raises Faults for what is wrong inside, ValueError where it is no section."""
    if not isinstance(values, dict):
        raise ValueError("should be settings, each as `key: value`")
    for unknown in values.keys() - keys(cls):
        raise Faults([((unknown,), "unknown key")])
    wanted = [each for each in fields(cls) if _key(each) in values or _is_required(each)]
    read = _each(((_key(each),), partial(_read_setting, each), values) for each in wanted)
    made = cls(**{each.name: good for each, good in zip(wanted, read, strict=True)})
    faults: list[tuple[KeyPath, str]] = [((), fault) for fault in made.faults()]
    if faults:
        raise Faults(faults)
    return made


def _key(declared: Field[Any]) -> str:
    return str(declared.metadata["key"]) or declared.name


def _is_required(declared: Field[Any]) -> bool:
    return declared.default is MISSING and declared.default_factory is MISSING


def _read_setting(declared: Field[Any], values: Mapping[str, object]) -> object:
    if _key(declared) not in values:
        raise ValueError(declared.metadata["missing"])
    return declared.metadata["read"](values[_key(declared)])


def _each(wanted: Iterable[tuple[KeyPath, Reader[Any], object]]) -> list[Any]:
    """What each reader makes of its value. Raises the faults of all of them together."""
    made: list[Any] = []
    faults: list[tuple[KeyPath, str]] = []
    for key, read, given in wanted:
        try:
            made.append(read(given))
        except Faults as inside:
            faults += [((*key, *rest), what) for rest, what in inside.found]
        except ValueError as error:
            faults.append((key, str(error)))
    if faults:
        raise Faults(faults)
    return made


def inner(cls: type[S]) -> Reader[S]:
    """Reads a section inside of another."""
    return partial(read_section, cls)


def listed(read: Reader[T]) -> Reader[tuple[T, ...]]:
    def read_all(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise ValueError("should be a list: [a, b]")
        return tuple(_each(((index,), read, item) for index, item in enumerate(value)))

    return read_all


def mapped(read_name: Reader[str], read: Reader[T]) -> Reader[Mapping[str, T]]:
    def read_all(value: object) -> Mapping[str, T]:
        if not isinstance(value, dict):
            raise ValueError("should be a mapping: {a: b}")
        wanted: list[tuple[KeyPath, Reader[Any], object]] = []
        for name, item in value.items():
            wanted += [((name, "[key]"), read_name, name), ((name,), read, item)]
        made = _each(wanted)
        return dict(zip(made[::2], made[1::2], strict=True))

    return read_all


def one_of(*words: T) -> Reader[T]:
    *others, last = map(repr, words)

    def read(value: object) -> T:
        for word in words:
            if value == word:
                return word
        raise ValueError(f"should be {', '.join(others)} or {last}")

    return read


def text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("should be text")
    return value


def truth(value: object) -> bool:
    known = _TRUTHS.get(str(value).lower())
    if known is None:
        raise ValueError("should be true or false")
    return known
