"""Values: compared by what they hold, hashable, and read-only for whoever keeps to their types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

METHODS = ("__eq__", "__hash__", "__repr__")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """A frozen dataclass for the type checker; the interpreter does not refuse changes.

    A dozen are made of each file, and where changes are refused each takes three times as long to make. And a
    start makes a hundred such classes, for which methods are compiled. So those by which values are compared,
    hashed and shown are compiled when one of the class is first asked for; then they are as in any dataclass.
    """
    cls.__doc__ = cls.__doc__ or cls.__name__  # else `dataclass` writes one, which takes as long as the rest
    made = dataclass(slots=True, repr=False, eq=False)(cls)
    missing = [name for name in METHODS if name not in vars(cls)]
    for name in missing:
        setattr(made, name, _made_when_asked(made, name, missing))
    return made


def _made_when_asked(cls: type[Any], name: str, missing: Sequence[str]) -> Callable[..., object]:
    """What stands for method `name` until one of the `missing` is called."""

    def method(*given: object) -> object:
        kept = [(each.name, object, field(compare=each.compare, repr=each.repr)) for each in fields(cls)]
        namespace = {"__doc__": cls.__doc__}
        twin = make_dataclass(cls.__name__, kept, namespace=namespace, init=False, unsafe_hash=True)
        for each in missing:
            setattr(cls, each, getattr(twin, each))
        return getattr(twin, name)(*given)

    return method
