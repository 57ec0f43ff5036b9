"""The section `parse`: what it makes of lines, and what is refused, with its place."""

from pathlib import Path

import pytest

from collector.config import load
from collector.errors import ConfigError
from collector.model import DelimiterSettings, ParseSettings, TimeSettings


def loaded(tmp_path: Path, parse: str, more: str = "", volume: str = ""):
    file = tmp_path / "joblog.yaml"
    file.write_text(f"to: /export\n{more}volumes:\n  - path: /logs\n{volume}    parse:\n      {parse}\n")
    return load(file, {}, {})


def settings(tmp_path: Path, parse: str) -> ParseSettings:
    return loaded(tmp_path, parse).volumes[0].parse.settings()


def test_a_regex_says_its_columns(tmp_path):
    """Named groups in their order, text where `types` says nothing; the time's own field is none."""
    found = settings(
        tmp_path,
        "{regex: '(?P<time>\\S+) (\\d) (?P<level>\\w+) (?P<took>\\d+)', types: {took: int64},"
        " time: {field: time, format: '%Y-%m-%d'}}",
    )
    assert found.columns == (("level", "string"), ("took", "int64"))
    assert (found.time, found.keep_message) == (TimeSettings("time", "%Y-%m-%d"), True)


def test_a_time_from_a_field_of_another_name_leaves_it_a_column(tmp_path):
    """Nothing that the pattern names is dropped."""
    found = settings(tmp_path, "{regex: '(?P<at>\\S+)', time: {field: at, format: iso8601}}")
    assert found.columns == (("at", "string"),)


def test_json_has_the_columns_of_types(tmp_path):
    """In the order of the file; a time needs no column."""
    found = settings(
        tmp_path,
        "{json: true, types: {b: int64, a: string}, time: {field: ts, format: epoch_ms}, keep_message: no}",
    )
    assert found == ParseSettings(
        (("b", "int64"), ("a", "string")), json=True, time=TimeSettings("ts", "epoch_ms"), keep_message=False
    )


def test_delimited_fields(tmp_path):
    """Separator, names and quote."""
    found = settings(
        tmp_path, """{delimiter: {separator: "\\t", fields: [a, b], quote: '"'}, types: {b: bool}}"""
    )
    assert found.delimiter == DelimiterSettings("\t", ("a", "b"), '"')
    assert found.columns == (("a", "string"), ("b", "bool"))


@pytest.mark.parametrize(
    ("parse", "place", "words"),
    [
        ("{}", ".parse", "just one of regex, json: true, and delimiter"),
        ("{regex: '(?P<a>x)', json: true}", ".parse", "just one of"),
        ("{regex: '(?P<a>x'}", ".parse.regex", "is no regular expression of Python: missing )"),
        ("{regex: '(?<a>x)'}", ".parse.regex", "write (?P<name>…)"),
        ("{regex: '(x)'}", ".parse.regex", "has no named group"),
        ("{regex: '(?P<message>x)'}", ".parse", "message is a column of the export: give it another name"),
        ("{regex: '(?P<Job>x)'}", ".parse", "Job is a column of the export"),
        ("{regex: '(?P<date>x)'}", ".parse", "date is a column of the export"),
        ("{regex: '(?P<time>x)'}", ".parse", "name it as time.field"),
        ("{regex: '(?P<a>x)(?P<A>x)'}", ".parse", "A is there twice"),
        ("{regex: '(?P<a>x)', types: {b: int64}}", ".parse", "types: b is no field: known are a"),
        ("{regex: '(?P<a>x)', types: {a: int32}}", ".parse.types.a", "int64"),
        (
            "{regex: '(?P<a>x)', time: {field: b, format: epoch}}",
            ".parse",
            "time: b is no field: known are a",
        ),
        (
            "{regex: '(?P<a>x)', time: {field: a, format: rfc822}}",
            ".parse.time.format",
            "strptime, or one of iso8601",
        ),
        ("{regex: '(?P<a>x)', time: {field: a, format: '%H:%M'}}", ".parse.time.format", "has no year"),
        ("{regex: '(?P<a>x)', time: {field: a, format: '%Y %Q'}}", ".parse.time.format", "has %Q"),
        ("{regex: '(?P<a>x)', time: {field: a}}", ".parse.time.format", "is required"),
        ("{json: true}", ".parse", "json needs types"),
        (
            "{json: true, types: {a: bool}, time: {field: a, format: epoch}}",
            ".parse",
            "cannot be read from a",
        ),
        ("{json: true, types: {time: int64}, time: {field: time, format: epoch}}", ".parse", "leave it out"),
        (
            "{delimiter: {separator: '::', fields: [a]}}",
            ".parse.delimiter.separator",
            "should be one character",
        ),
        ("{delimiter: {separator: ',', fields: []}}", ".parse.delimiter", "at least one"),
        (
            "{delimiter: {separator: ',', fields: [a], quote: ','}}",
            ".parse.delimiter",
            "not be the separator",
        ),
        ("{delimiter: {separator: ',', fields: [a, a]}}", ".parse", "a is there twice"),
        ("{regexp: '(?P<a>x)'}", ".parse.regexp", "did you mean regex?"),
        ("{delimiter: {separator: ',', field: [a]}}", ".parse.delimiter.field", "did you mean fields?"),
        ("{regex: '(?P<a>x)', keep_message: perhaps}", ".parse.keep_message", "perhaps"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path, parse, place, words):
    """File, line and key, and what to do."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, parse)
    first = next(line for line in str(caught.value).splitlines() if f"volumes[0]{place}: " in line)
    assert first.strip().startswith((f"{tmp_path}/joblog.yaml:5:", f"{tmp_path}/joblog.yaml:4:"))
    assert words in first


def test_raw_objects_have_no_columns_to_fill(tmp_path):
    """To parse into nothing is a mistake that is told."""
    with pytest.raises(ConfigError, match=r"volumes\[0\]\.parse: needs columns, and format: raw has none"):
        loaded(tmp_path, "{regex: '(?P<a>x)'}", more="format: raw\n")


def test_a_field_of_the_layout_is_taken(tmp_path):
    """Two columns of one name would be one too many."""
    with pytest.raises(ConfigError, match=r"volumes\[0\]\.parse: Team is a field of the layout too"):
        loaded(tmp_path, "{regex: '(?P<Team>x)'}", volume="    layout: '{team}_{pod}'\n")
