"""Values: what a dataclass promises, and how little is made before somebody asks."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.json_text import decoded, encoded
from collector.value import METHODS, value


@value
class Place:
    name: ClassVar[str] = "place"
    path: str
    offset: int = 0
    _seen: list[int] = field(default_factory=list, repr=False, compare=False)


@value
class Marked(Place):
    mark: str = "?"


@value
class Nothing:
    """Has no field."""


@value
class Spelled:
    text: str

    def __repr__(self) -> str:
        return f"<{self.text}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spelled) and self.text.lower() == other.text.lower()

    def __hash__(self) -> int:
        return hash(self.text.lower())


class Further(Place):
    """No value of its own, but one of `Place`."""


@dataclass(frozen=True)
class Frozen:
    path: str
    offset: int = 0
    mark: tuple[int, ...] = ()


@value
class Light:
    path: str
    offset: int = 0
    mark: tuple[int, ...] = ()


HELD = st.tuples(st.text(max_size=2), st.integers(0, 2), st.lists(st.integers(0, 2), max_size=2).map(tuple))


@given(HELD, HELD)
def test_values_compare_hash_and_show_as_frozen_dataclasses(one: Any, other: Any):
    """The methods that are made later are those that a frozen dataclass has from the start."""
    assert (Light(*one) == Light(*other)) == (Frozen(*one) == Frozen(*other))
    assert hash(Light(*one)) == hash(Frozen(*one))
    assert repr(Light(*one)) == repr(Frozen(*one)).replace("Frozen", "Light")


@pytest.mark.parametrize("first", METHODS)
def test_whichever_is_asked_first_all_are_there(first: str):
    """The first question is answered like all later ones, and leaves no method to be made."""

    @value
    class Fresh:
        path: str

    one, same = Fresh("a"), Fresh("a")
    asked = {"__eq__": lambda: one == same, "__hash__": lambda: hash(one), "__repr__": lambda: repr(one)}
    waiting = [vars(Fresh)[name] for name in METHODS]
    answer = asked[first]()
    made = [vars(Fresh)[name] for name in METHODS]
    assert not set(waiting) & set(made)
    assert answer == asked[first]()
    assert made == [vars(Fresh)[name] for name in METHODS]
    assert one == same
    assert hash(one) == hash(same)


def test_values_of_another_class_are_other_values():
    """A class derived from a value holds more, and is never the same; nor is what holds just the same."""
    assert Place("a") != Marked("a")
    assert Marked("a", mark="x") == Marked("a", mark="x")
    assert Marked("a", mark="x") != Marked("a", mark="y")
    assert Place("a").__eq__("a") is NotImplemented
    assert Nothing() == Nothing()
    assert {Nothing(): 1}[Nothing()] == 1
    assert repr(Nothing()) == "Nothing()"


def test_a_class_that_is_no_value_itself_compares_as_what_it_is_derived_from():
    """What is made later is made where it belongs, whoever asks first."""
    assert Further("a") == Further("a")
    assert hash(Further("a")) == hash(Further("a", 0))
    assert repr(Further("a")) == "Further(path='a', offset=0)"


def test_a_field_may_be_left_out_of_what_is_compared_and_shown():
    """`field(compare=False, repr=False)` means what it means for a dataclass."""
    assert Place("a", _seen=[1]) == Place("a", _seen=[2])
    assert hash(Place("a", _seen=[1])) == hash(Place("a", _seen=[2]))
    assert repr(Place("a", _seen=[1])) == "Place(path='a', offset=0)"


def test_methods_that_a_class_writes_itself_stay():
    """Only what is missing is made."""
    assert repr(Spelled("A")) == "<A>"
    assert Spelled("A") == Spelled("a")
    assert hash(Spelled("A")) == hash(Spelled("a"))


def test_values_are_dataclasses():
    """Whoever works with dataclasses works with values: `replace`, `fields`, `match`, `copy`, `pickle`."""
    one = Marked("a", 3, mark="x")
    assert replace(one, offset=4) == Marked("a", 4, mark="x")
    assert [each.name for each in fields(one)] == ["path", "offset", "_seen", "mark"]
    assert copy.deepcopy(one) == one
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - what was just written
    match one:
        case Marked(path, offset):
            assert (path, offset) == ("a", 3)
    with pytest.raises(AttributeError):
        one.further = 1  # type: ignore[attr-defined]  # there are slots
    with pytest.raises(FrozenInstanceError):
        Frozen("a").path = "b"  # type: ignore[misc]  # what a value spares


def test_values_are_written_as_json_and_read():
    """Records and status are values, and are JSON outside."""
    one = Light("a", 1, (2, 3))
    assert decoded(Light, encoded(one)) == one
    assert encoded(one) == b'{"path":"a","offset":1,"mark":[2,3]}'
