"""Values: compared by what they hold, hashable, and read-only for whoever keeps to their types."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """A frozen dataclass for the type checker. A dozen are made of each file, and where the interpreter is to
    refuse changes too, each takes three times as long to make.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
