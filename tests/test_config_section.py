"""Sections: what they read, that all faults inside are found, and that what was read stays."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from collector.config_section import (
    Faults,
    Section,
    inner,
    keys,
    listed,
    mapped,
    one_of,
    read_section,
    section,
    setting,
    text,
    truth,
)


@section
class Point(Section):
    x_cells: str = setting(text, key="x")
    y: str = setting(text, default="0", missing="never told")

    def faults(self) -> Iterator[str]:
        if self.x_cells == self.y:
            yield "x should not be y"


@section
class Drawing(Section):
    points: tuple[Point, ...] = setting(listed(inner(Point)), default=())
    colours: Mapping[str, str] = setting(mapped(one_of("red", "blue"), text), default_factory=dict)
    name: str = setting(text, missing="give it a name")
    start: Point | None = setting(inner(Point), default=None)


def faults(values: object) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(Faults) as caught:
        read_section(Drawing, values)
    return caught.value.found


def test_settings_are_read_by_their_names_in_the_file():
    """What is not given has its default; sections, lists and mappings are read all the way down."""
    values = {"name": "n", "points": [{"x": "1"}, {"x": "2", "y": "3"}], "colours": {"red": "dark"}}
    drawing = read_section(Drawing, values)
    assert drawing == Drawing(
        name="n", points=(Point(x_cells="1"), Point(x_cells="2", y="3")), colours={"red": "dark"}
    )
    assert keys(Point) == {"x", "y"}


def test_all_faults_inside_are_found_with_their_key_paths():
    """In the order of the settings, those of inner sections among them."""
    assert faults(
        {
            "points": [{"x": "1", "y": []}, "here", {}, {"x": "1", "y": "1"}],
            "colours": {"green": None, "red": "dark"},
            "start": {"x": None},
        }
    ) == [
        (("points", 0, "y"), "should be text"),
        (("points", 1), "should be settings, each as `key: value`"),
        (("points", 2, "x"), "is required"),
        (("points", 3), "x should not be y"),
        (("colours", "green", "[key]"), "should be 'red' or 'blue'"),
        (("colours", "green"), "should be text"),
        (("name",), "give it a name"),
        (("start", "x"), "should be text"),
    ]


def test_the_whole_is_looked_at_when_its_settings_are_good():
    """One fault is told of one mistake."""
    assert faults({"name": "n", "start": {"x": "0"}}) == [(("start",), "x should not be y")]
    assert faults({"name": "n", "start": {"x": "0", "y": None}}) == [(("start", "y"), "should be text")]


def test_what_has_another_shape_is_one_fault():
    """A text is no list, though it could be walked through like one."""
    assert faults({"name": "n", "points": "ab", "colours": ["red"]}) == [
        (("points",), "should be a list: [a, b]"),
        (("colours",), "should be a mapping: {a: b}"),
    ]


def test_no_key_is_passed_over():
    """Nor is the name that code has for a setting a key."""
    assert faults({"name": "n", "start": {"x": "1", "x_cells": "1"}}) == [
        (("start", "x_cells"), "unknown key")
    ]


@pytest.mark.parametrize(
    ("words", "meant"), [("true True YES on t y 1", True), ("false FALSE no Off f n 0", False)]
)
def test_words_for_truth(words, meant):
    """Those of YAML, in any case, and the digits."""
    assert {truth(word) for word in words.split()} == {meant}


@pytest.mark.parametrize("value", ["", "maybe", "2", "1.0", " true", [], {}, None])
def test_what_is_neither_true_nor_false(value):
    """There is no guessing."""
    with pytest.raises(ValueError, match="should be true or false"):
        truth(value)


def test_a_section_is_changed_only_in_a_copy():
    """The copy is as frozen as the original."""
    point = replace(Point(x_cells="1"), y="2")
    assert (point.x_cells, point.y) == ("1", "2")
    with pytest.raises(ValueError, match="frozen"):
        point.y = "3"
