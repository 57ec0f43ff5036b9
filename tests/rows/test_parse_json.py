"""Members of JSON lines become columns: as `json.loads` reads them, whoever reads them."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from collector.rows.parse.json_lines import JsonLines, value_of

FIELDS = (("s", "string"), ("n", "int64"), ("f", "float64"), ("b", "bool"), ("at", "timestamp"))

numbers = (
    st.integers(-(1 << 64), 1 << 64) | st.floats() | st.sampled_from([1e400, -0.0, 1 << 63, (1 << 63) - 1])
)
texts = st.text(max_size=6) | st.sampled_from(
    ["", "-", "12", "1.5", "true", "2026-11-22T10:00:00Z", "\ud800"]
)
leaves = st.none() | st.booleans() | numbers | texts
values = leaves | st.lists(leaves, max_size=2) | st.dictionaries(st.sampled_from("sxn"), leaves, max_size=2)
fitting = st.fixed_dictionaries(
    {},
    optional={
        "s": st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.none(),
        "n": st.integers(-(1 << 63), (1 << 63) - 1) | st.none(),
        "f": st.floats(allow_nan=False, allow_infinity=False) | st.none(),
        "b": st.booleans() | st.none(),
        "x": values,
    },
)
objects = fitting | st.dictionaries(st.sampled_from(["s", "n", "f", "b", "at", "x", "é"]), values, max_size=5)
broken = st.sampled_from(
    [
        "",
        "{}",
        "{",
        "}",
        "[]",
        "1",
        "null",
        '{"s":"a"} ',
        ' {"s":"a"}',
        '{"s":"a"}{"s":"b"}',
        '{"s":"a"},{"s":"b"}',
        '{"s":"{}',
        '{"}',
        '{"s":"a","s":"b"}',
        '{"x":1,"x":2,"n":3}',
        '{"n":Inf}',
        '{"n":NaN}',
        '{"f":Infinity}',
        '{"x":NaN,"n":1}',
        '{"s":"NaN"}',
        '{"n":01}',
        '{"n":1.0}',
        '{"n":1e2}',
        '{"f":1e999}',
        '{"x":1e5000,"n":1}',
        '{"s":"\t"}',
        '{"s":"\\ud800"}',
        '{"x":"\\ud800","n":1}',
        '{"s":"\\u0000\\ud83d\\ude00"}',
        '{"\\u006e":7}',
        '{\n"n":\n1}',
        '{"s":"a\nb"}',
        '{"n":1,}',
        '{"n":1}\n{"n":2}',
        "\ufeff{}",
        "{}\u2028",
        '{/**/"n":1}',
        "{'n':1}",
        '{"x":' + "[" * 600 + "]" * 600 + ',"n":1}',
        '{"x":' + "[" * 6000 + "]" * 6000 + ',"n":1}',
        '{"x":' + "[" * 6000,
    ]
)
lines = (
    objects.map(json.dumps) | objects.map(lambda each: json.dumps(each, ensure_ascii=True, indent=1)) | broken
)


def expected(line):
    """The values of the fields, whether it is an object, and whether a value has another type."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return [None] * len(FIELDS), False, False
    row, failed = [], False
    for name, kind in FIELDS:
        try:
            row.append(
                value_of(
                    found.get(name), "string" if kind == "timestamp" else kind, is_time=kind == "timestamp"
                )
            )
        except (ValueError, OverflowError):
            row.append(None)
            failed = True
    return row, True, failed


def shown(value):
    """`-0` is whole to `json` and has no sign; to who reads numbers as floats it has one."""
    return repr(value + 0.0 if isinstance(value, float) else value)


def check(rows):
    columns, matched, failed = JsonLines(FIELDS).extract(pa.array(rows, pa.string()))
    wanted = [expected(row) for row in rows]
    found = [list(row) for row in zip(*(column.to_pylist() for column in columns), strict=True)]
    assert [list(map(shown, row)) for row in found] == [list(map(shown, row)) for row, _, _ in wanted]
    assert (matched.tolist(), failed.tolist()) == ([w[1] for w in wanted], [w[2] for w in wanted])


@given(st.lists(lines, max_size=6))
@hypothesis_settings(max_examples=400, deadline=None)
def test_any_lines_are_read_as_json_reads_them(rows):
    """Malformed ones, other types, duplicate members, nesting, odd numbers, several lines."""
    check([row for row in rows if row.isprintable() or "\ud800" not in row])


@given(st.lists(fitting.map(json.dumps), min_size=1, max_size=6), st.lists(broken, max_size=1), st.randoms())
@hypothesis_settings(max_examples=300, deadline=None)
def test_one_bad_line_changes_no_other(good, bad, chance):
    """Whichever reader a block falls to, each line has the same columns."""
    rows = good * 30 + bad
    chance.shuffle(rows)
    check(rows)


WRITTEN = [
    *(
        '"a"',
        '""',
        '"é€"',
        '"\\u0041"',
        '"\\\\"',
        '"a\\"b"',
        '"-"',
        '"12"',
        '"\x7f"',
        '"\t"',
        '"a", "s": "b"',
    ),
    *(
        "1",
        "0",
        "-0",
        "-1",
        "01",
        "-01",
        "00",
        "+1",
        "-",
        "--1",
        "1-",
        "9223372036854775807",
        "9223372036854775808",
    ),
    *("1.5", "-0.5", "0.0", ".5", "5.", "-.5", "1.2.3", "1e5", "1E-2", "1e999", "Infinity", "NaN", "1" * 310),
    *("true", "false", "null", "tru", "nul", "falsee", "True", "", "{}", '{"n":1}', "[1]", "1 ", " 1", "1,2"),
]
"""Values as a line has them: well formed, nearly so, and not."""
USUAL = {"s": '"a"', "n": "1", "f": "1.5", "b": "true", "at": '"x"', "x": '"y"', "y": "0.5", "z": "null"}
SPACED = [(",", ":"), (", ", ": "), (" ,\t", " :")]


@given(
    st.permutations(sorted(USUAL)),
    st.integers(1, len(USUAL)),
    st.sampled_from(SPACED),
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from(WRITTEN)), max_size=4),
    st.randoms(),
)
@hypothesis_settings(max_examples=600, deadline=None)
def test_lines_of_one_shape_and_some_that_differ_in_a_value(order, count, separators, changes, chance):
    """Most lines have the same members in the same order; whatever stands in one of the others, each line
    is read as `json` reads it.
    """
    comma, colon = separators
    values = {name: USUAL[name] for name in order[:count]}

    def line(values):
        return "{" + comma.join(f'"{name}"{colon}{value}' for name, value in values.items()) + "}"

    others = [line(values | {order[at % count]: value}) for at, value in changes]
    rows = [line(values)] * 9 + others
    chance.shuffle(rows)
    check(rows)


def test_a_shape_is_learnt_and_given_up():
    """Lines whose members come in an order of their own are read all the same, block after block."""
    reader = JsonLines(FIELDS)
    for name, value in [("n", 1), ("s", "a"), ("n", 2), ("f", 0.5), ("n", 3), ("b", True)] * 2:
        rows = pa.array([json.dumps({name: value, "x": "y"})] + [json.dumps({"x": "z", name: value})] * 3)
        columns, matched, failed = reader.extract(rows)
        column = columns[[name for name, _ in FIELDS].index(name)]
        assert column.to_pylist() == [value] * 4
        assert (matched.all(), failed.any()) == (True, False)


def test_arrow_reads_what_is_well_formed():
    """So that the fast way is taken: whole blocks, also with members that are no columns."""
    rows = pa.array(['{"n":1,"x":{"n":[2]}}', '{"s":"é","f":1.5,"b":true}', "{}"])
    columns = JsonLines(FIELDS)._by_arrow(rows)
    assert columns is not None
    assert [column.to_pylist() for column in columns[:4]] == [
        [None, "é", None],
        [1, None, None],
        [None, 1.5, None],
        [None, True, None],
    ]


def test_two_objects_in_one_line_do_not_stand_for_two_lines():
    """As many objects as lines, but not one in each: a string over two lines is none, so this is seen."""
    check(['{"s":"{}', '{"}', '{"n":1}{"n":2}'])


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        ({"a": [1, "é"]}, "string", '{"a":[1,"é"]}'),
        (1.5, "string", "1.5"),
        (True, "string", "true"),
        ("12", "int64", 12),
        ("-", "int64", None),
        ("1.5", "float64", 1.5),
        (3, "float64", 3.0),
        ("TRUE", "bool", True),
    ],
)
def test_values_of_other_types_are_converted_where_nothing_is_lost(value, kind, wanted):
    """Text as numbers and truth; everything as text, in JSON."""
    assert value_of(value, kind) == wanted


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1.0, "int64"),
        (True, "int64"),
        (1, "bool"),
        (1 << 63, "int64"),
        ("x", "float64"),
        ([1], "float64"),
        (10**400, "float64"),
    ],
)
def test_others_are_not(value, kind):
    """A number with a fraction is no integer, truth is no number."""
    with pytest.raises((ValueError, OverflowError)):
        value_of(value, kind)


def test_blocks_of_many_rows_keep_their_order():
    """A refused block is read in parts."""
    rows = [f'{{"n":{n}}}' for n in range(2000)]
    rows[777] = "no"
    columns, matched, _ = JsonLines((("n", "int64"),)).extract(pa.array(rows))
    assert np.flatnonzero(~matched).tolist() == [777]
    assert columns[0].to_pylist() == [n if n != 777 else None for n in range(2000)]
