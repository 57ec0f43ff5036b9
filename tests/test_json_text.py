"""JSON text: always the same bytes for a value, and a refusal with its place for whatever is no value."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.json_text import NotJson, Unfit, decoded, encoded, indented
from collector.model import Microseconds
from collector.value import value

WEST = timezone(timedelta(hours=-3, minutes=-30))


@value
class Part:
    start: int
    reads: tuple[tuple[int, Microseconds], ...] = ()
    whole: bool = True


@value
class Whole:
    name: str
    parts: tuple[Part, ...] = ()
    at: datetime | None = None
    kind: Literal["open", "void"] = "open"
    counts: dict[str, int] | None = None


texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["\0\x1f\x7f\x80", '\\"/\b\f\n\r\t', "\u2028"]
)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3),
)


@given(trees, st.integers(1, 2))
def test_text_is_as_any_other_writer_has_it(tree: object, spaces: int):
    """Only what must be escaped is; whether on one line or indented, and however empty a list is."""
    whole = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
    assert encoded(tree) == whole.encode()
    assert indented(tree, spaces) == json.dumps(tree, ensure_ascii=False, indent=spaces).encode()


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00Z"),
        (datetime(2026, 3, 1, 12, 0, 0, 120_000, tzinfo=UTC), "2026-03-01T12:00:00.120000Z"),
        (datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "0001-01-01T00:00:00.000001Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
        (datetime(2026, 3, 1, 12, tzinfo=WEST), "2026-03-01T12:00:00-03:30"),
        (datetime(2026, 3, 1, 12), "2026-03-01T12:00:00"),  # noqa: DTZ001 - written by hand, say
    ],
)
def test_times_are_written_in_one_way(at: datetime, text: str):
    """Microseconds where there are some, all six; `Z` for UTC. And they are read again."""
    assert encoded(at) == b'"%b"' % text.encode()
    assert decoded(datetime, encoded(at)) == at


@given(st.floats(0, 1e15))
def test_seconds_are_written_so_that_they_are_read_again(seconds: float):
    """With all their digits, and always as a float."""
    assert decoded(float, encoded(seconds)) == seconds
    assert b"." in encoded(seconds) or b"e" in encoded(seconds)


def test_what_is_not_known_is_left_out():
    """A key of a later version is no damage; of a key that is there twice, the last counts."""
    text = b' {"name": "a", "colour": {"name": [1e999, {}]}, "name": "b", "parts": [{"start": 1}]}\n'
    assert decoded(Whole, text) == Whole("b", (Part(1),))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "Object missing required field `name`"),
        (b'{"name": 1}', "name: Expected `str`, got `int`"),
        (b'{"name": null}', "name: Expected `str`, got `null`"),
        (b'{"name": "a", "name": 1}', "name: Expected `str`, got `int`"),
        (b'{"name": "a", "parts": [{"start": 1}, {}]}', "parts.1: Object missing required field `start`"),
        (b'{"name": "a", "parts": [{"start": true}]}', "parts.0.start: Expected `int`, got `bool`"),
        (b'{"name": "a", "parts": [{"start": "1"}]}', "parts.0.start: Expected `int`, got `str`"),
        (b'{"name": "a", "parts": [{"start": 1.0}]}', "parts.0.start: Expected `int`, got `float`"),
        (
            b'{"name": "a", "parts": [{"start": 1%b}]}' % (b"0" * 5000),
            "parts.0.start: Integer value out of range",
        ),
        (b'{"name": "a", "parts": [{"start": 1, "whole": 1}]}', "parts.0.whole: Expected `bool`, got `int`"),
        (
            b'{"name": "a", "parts": [{"start": 1, "reads": [[]]}]}',
            "parts.0.reads.0: Expected `array` of length 2",
        ),
        (
            b'{"name": "a", "parts": [{"start": 1, "reads": [[1, 253402300800000000]]}]}',
            "parts.0.reads.0.1: Expected `int` <= 253402300799999999",
        ),
        (
            b'{"name": "a", "parts": [{"start": 1, "reads": [[1, -62135596800000001]]}]}',
            "parts.0.reads.0.1: Expected `int` >= -62135596800000000",
        ),
        (b'{"name": "a", "kind": "shut"}', "kind: Invalid enum value 'shut'"),
        (b'{"name": "a", "kind": " - at `$.name`"}', "kind: Invalid enum value ' - at `$.name`'"),
        (b'{"name": "a", "counts": {"b": "1"}}', "counts.*: Expected `int`, got `str`"),
        (b'{"name": "a", "at": "2026-02-30T00:00:00Z"}', "at: Invalid RFC3339 encoded datetime"),
        (b'{"name": "a", "at": "2026-03-01"}', "at: Invalid RFC3339 encoded datetime"),
        (b'{"name": "a", "at": 1772366400}', "at: Expected `datetime | null`, got `int`"),
    ],
    ids=lambda part: repr(part)[:60],
)
def test_what_is_no_such_value_is_refused_with_its_place(text: bytes, says: str):
    """Nothing is turned into what it should be: a number is no text, a truth no number."""
    with pytest.raises(Unfit, match=f"^{re.escape(says)}$") as refused:
        decoded(Whole, text)
    assert not isinstance(refused.value, NotJson)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "truncated"),
        (b'{"name": "a"', "truncated"),
        (b'{"name": "a"} {}', "trailing characters"),
        (b'{"name": "a"}\0', "trailing characters"),
        (b'\xef\xbb\xbf{"name": "a"}', "invalid character"),
        (b'{"name": "a", "colour": NaN}', "invalid character"),
        (b'{"name": "a", "colour": 01}', "invalid number"),
        (b'{"name": "a\n"}', "invalid character"),
        (b'{"name": "\\ud800"}', "truncated"),
        (b'{"name": "\\ud800 is half a pair"}', "surrogate"),
        (b'{"name": "\xff"}', "invalid UTF-8"),
        (b'{"name": "a", "colour": "\xed\xa0\x80"}', "invalid UTF-8"),
        (b'{"name": "a", "\xff": 1}', "invalid UTF-8"),
        (b'{"name": "a", "colour": %b' % (b"[" * 100_000), "nested too deeply"),
        (b'{"name": "a", "colour": %b' % (b'{"a":' * 100_000), "nested too deeply"),
    ],
    ids=lambda part: repr(part)[:40],
)
def test_what_is_no_json_is_refused(text: bytes, says: str):
    """Also where only what nobody asked for is wrong."""
    with pytest.raises(NotJson, match=f"^not valid JSON: .*{says}"):
        decoded(Whole, text)
