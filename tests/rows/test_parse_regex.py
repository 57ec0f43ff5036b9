"""Named groups become columns: exactly what `re.search` finds, however it is found."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from collector.rows.block import Block
from collector.rows.parse.chain import compile_chain
from collector.rows.parse.regex import Regex
from collector.rows.parse.row_by_row import ROWS
from collector.rows.parse.scan import Scan

ACCESS = (
    r'(?P<ip>\S+) (?P<ident>\S+) (?P<user>\S+) \[(?P<at>[^\]]+)\] "(?P<method>\S+) (?P<url>\S+) '
    r'(?P<protocol>[^"]+)" (?P<status>\d+) (?P<size>\d+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"'
)
LINE = (
    '10.0.0.1 - - [23/Nov/2026:00:57:55 +0000] "GET /a?b=1 HTTP/1.1" 200 5633 "https://x/" "kube-probe/1.31"'
)

CLASSES = [
    r"\S",
    r"\d",
    r"\w",
    r"\s",
    r"\D",
    r"\W",
    ".",
    "[^ ]",
    r"[^\]]",
    '[^"]',
    "[a-c]",
    "[0-9.]",
    r"[^\s,]",
]
CLASSES += [r"[\w-]", "a", r"[^\w]", r"[\S ]", r"[^\n]", "[^A-K]", "[^a]", r"[\dk-s]", "k"]
REPEATS = ["+", "*", "", "?", "+?", "*?", "{2}", "{1,3}", "{2,}", "??", "{0}"]
LITERALS = [" ", '"', "[", "] ", ", ", "a", "é", "1", "-", "ab", "\n", '" "', ": ", "Bk", "s", "É", "ß"]
# With letters that fold to others, some of them to one of ASCII.
TEXTS = st.text(
    alphabet='abAB1 2"[],-éÉ€٣\u00a0\u2003\n\r\t\x1c\x00:.ÿ😀kK\u212asS\u017fßi\u0130', max_size=24
)


@st.composite
def pieces_of_chains(draw):
    """A run, or a literal."""
    if draw(st.integers(0, 2)):
        return draw(st.sampled_from(CLASSES)) + draw(st.sampled_from(REPEATS))
    return re.escape(draw(st.sampled_from(LITERALS)))


@st.composite
def chains(draw):
    """A pattern of runs, literals and alternatives of them, with named groups around some of them, and
    perhaps anchors.
    """
    pieces, names = [], 0
    for _ in range(draw(st.integers(1, 6))):
        piece = draw(pieces_of_chains())
        if not draw(st.integers(0, 3)):
            others = st.lists(st.lists(pieces_of_chains(), max_size=2).map("".join), min_size=1, max_size=3)
            piece = f"(?:{'|'.join([piece, *draw(others)])})"
        if draw(st.booleans()):
            piece, names = f"(?P<g{names}>{piece})", names + 1
        pieces.append(piece)
        if len(pieces) > 1 and not draw(st.integers(0, 4)):
            last = pieces.pop()
            pieces.append(f"(?:{pieces.pop()}{last}){draw(st.sampled_from(['?', '?', '??', '{0,1}']))}")
    if not names:
        pieces.append("(?P<g0>a*)")
    start, end = (
        draw(st.sampled_from(["", "^", r"\A", "(?s)", "(?i)"])),
        draw(st.sampled_from(["", "$", r"\Z"])),
    )
    return start + "".join(pieces) + end


def expected(pattern, rows):
    found = [re.search(pattern, row) for row in rows]
    names = list(re.compile(pattern).groupindex)
    columns = [[match[name] if match else None for match in found] for name in names]
    return columns, [match is not None for match in found]


def extracted(pattern, text):
    columns, matched = Regex(pattern, list(re.compile(pattern).groupindex)).extract(text)
    return [column.to_pylist() for column in columns], matched.tolist()


BACKING = r'(?P<a>\S+)(?: "(?P<b>.*)" (?P<c>\d+))?(?P<d>.*)'
LONG = r'(?P<a>\S+) "(?P<b>[^"]*)" (?P<c>\d+)(?P<d>.*)'


@given(st.lists(st.tuples(*[st.integers(0, 400)] * 4, st.sampled_from(' "1x\n')), min_size=1, max_size=6))
@hypothesis_settings(max_examples=200, deadline=None)
def test_runs_of_any_length(sizes):
    """Ends are found however far they are, before a word of bits, in it, or many words on; and not in the
    next row.
    """
    rows = [f'{"é" * (a % 3) + "x" * a} "{"y" * b}" {"1" * c}{last * d}' for a, b, c, d, last in sizes]
    assert extracted(LONG, pa.array(rows)) == expected(LONG, rows)
    assert extracted(BACKING, pa.array(rows)) == expected(BACKING, rows)


def test_runs_that_are_very_long():
    """Thousands of words of bits without one are passed over, and the rows around are none the wiser."""
    rows = [
        f'{"x" * size} "{"y" * (size + 31)}" {"1" * (size or 1)}' for size in (1, 2_100, 0, 4_300, 300_000, 5)
    ]
    assert extracted(LONG, pa.array(rows)) == expected(LONG, rows)
    assert extracted(LONG, pa.array(rows[::-1])) == expected(LONG, rows[::-1])


@given(chains(), st.lists(TEXTS, max_size=8))
@example(r"(?s)(?P<g0>.*?)$", ["ab\n"])
@example(r"(?P<g0>[^\"]*?)$", ["ab\n", "ab"])
@example(r"(?P<g0>\S+) (?P<g1>\d+)$", ["x\u00a0y 1", "x 1٣", "é 12", "x 12\n"])
@example(r"(?P<g0>\d+)\s+(?P<g1>.*)", ["1  \u2003b", "12 \n b", "1\u00a0"])
@hypothesis_settings(max_examples=700, deadline=None)
def test_all_columns_are_what_re_finds(pattern, rows):
    """For patterns of the family of chains, and any text: not ASCII, several lines, empty."""
    assert extracted(pattern, pa.array(rows, pa.string())) == expected(pattern, rows)


@given(chains(), st.lists(TEXTS, min_size=1, max_size=8))
@hypothesis_settings(max_examples=400, deadline=None)
def test_what_a_chain_accepts_is_a_match_at_the_start(pattern, rows):
    """With the same spans as `re` has, so that nothing that was accepted needs a second look."""
    compiled = re.compile(pattern)
    chain = compile_chain(compiled)
    if chain is None:
        return
    scan = Scan(chain, Block.of(pa.array(rows, pa.string())))
    bounds = np.cumsum([0, *(len(row.encode()) for row in rows)])
    for index in np.flatnonzero(scan.accepted).tolist():
        match = compiled.match(rows[index])
        assert match
        for group in range(1, compiled.groups + 1):
            start, end = (int(at[index]) - int(bounds[index]) for at in scan.span(group))
            assert rows[index].encode()[start:end].decode() == match[group]


@pytest.mark.parametrize(
    "pattern",
    [
        ACCESS,
        r"^(?P<at>\S+\s\S+) (?P<level>\w+)\s+\[(?P<thread>[^\]]*)\] (?P<logger>\S+) - (?P<text>.*)$",
        r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<level>[A-Z]+) (?P<text>.*)",
        r"(?P<key>.*?)=(?P<value>\S*)",
        r"(?x) (?P<a> \S+ ) \  (?P<b> \d+ )",
        r'(?P<ip>\S+) "(?P<method>\S+) (?P<url>\S+) (?P<protocol>\S+)" (?P<status>\d+)',
        r'"(?P<a>\S+)(?: +(?P<b>[^ ]*) +(?P<c>\S*))?" (?P<d>[^ ]*)(?: "(?P<e>[^"]*)")?(?P<f> x)?.*$',
        ACCESS.replace(r"(?P<size>\d+)", r"(?P<size>\d+|-)"),
        f"(?i){ACCESS}",
        r"(?P<level>INFO|WARN|ERROR) (?P<size>\d+k|\d{4}|none) (?P<text>.*)$",
    ],
)
def test_usual_formats_are_chains(pattern):
    """They need no search row by row."""
    assert Regex(pattern, []).is_chain


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?P<a>a|)",
        r"(a|(?P<a>bc))",
        r"(?P<a>a*|bc)",
        r"(?P<a>ab|^c)",
        r"(?P<a>.+?) x",
        r"(?P<a>\S+)(?= )",
        r"(?P<a>x)\b",
        r"(?P<a>(x)+)",
    ],
)
def test_others_are_not(pattern):
    """Alternatives that have groups or may be empty, backing up, looking around and repeated groups are
    left to `re`.
    """
    assert not Regex(pattern, []).is_chain


OTHERS = [
    r"(?:(?P<o>\d+)|-)",
    "(?:a|(?P<o>b)|1)*",
    r"(?P<o>[^ ]+?)(?P<p>\d)?",
    "(?i:(?P<o>A)|x)",
    r"(?P<o>x)?(?=a)",
    r"\b(?P<o>\w*)",
    "(?<= )(?P<o>.?)",
    "(?!b)(?P<o>.)",
    "(?P<o>a)(?P=o)|b",
    "((?P<o>a|b) ?)+",
    "|(?P<o>a)",
]


@given(chains(), st.sampled_from(OTHERS), st.booleans(), st.lists(TEXTS, max_size=8))
@example(
    r"(?P<g0>\S+) (?P<g1>\S+) ", OTHERS[0], True, ["a b 12 ", "a b c - ", "x", "a b -", "a\u00a0b -", ""]
)
@example(r"(?P<g0>\S*) (?P<g1>\S*)", OTHERS[5], False, ["a b", "ab ", "a  1"])
@example(r"\s+\S\d*(?:\ |)(?P<g0>a*)", r"(?:(?P<o>\d+)|-)", False, ["\u00a0", " 1"])
@hypothesis_settings(max_examples=700, deadline=None)
def test_what_only_begins_as_a_chain(beginning, other, closed, rows):
    """Only the rest is searched for row by row, with what it may not see before it, and columns as `re` finds
    them; what follows may be a chain again.
    """
    pattern = beginning + other + (r" (?P<last>\S*)" if closed else "")
    assert extracted(pattern, pa.array(rows, pa.string())) == expected(pattern, rows)


@given(st.lists(st.tuples(st.sampled_from(["GET", "é", ""]), st.integers(0, 99), st.sampled_from("-5x"))))
def test_a_rest_with_groups_that_took_no_part(requests):
    """Groups behind the beginning keep their names, whichever of them are columns."""
    pattern = r'(?P<ip>\S+) (?P<n>\S+) "(?:(?P<a>-)|(?P<b>\d)(x)?) (?P<rest>.*)'
    rows = [f'1.2.3.4 {number} "{mark} {method}' for method, number, mark in requests]
    columns, matched = Regex(pattern, ["rest", "b", "ip"]).extract(pa.array(rows, pa.string()))
    wanted, good = expected(pattern, rows)
    assert [column.to_pylist() for column in columns] == [wanted[4], wanted[3], wanted[0]]
    assert matched.tolist() == good


@pytest.mark.parametrize(
    ("pattern", "begins"),
    [
        (ACCESS.replace(r"(?P<size>\d+)", r"(?:(?P<size>\d+)|-)"), True),
        (r"(?P<a>\S+) (?P<b>\S+) (?=x)(xa|yb)", True),
        (r"(?P<a>\S+) ((xa)|yb)", False),
        (r"(?P<a>\S+) (?P<b>\S+) \b(xa|yb)", False),
        (r"(?P<a>\S+) (?P<b>\S+) (?<=x )(xa|yb)", False),
        (r"(?P<a>\S+) (?P<b>\S+) (?:x|(?P=a))", False),
        (r"(?i)(?P<a>\S+) (?P<b>\S+) (?=x)(xa|yb)", True),
        (r"(?m)(?P<a>\S+) (?P<b>\S+) (xa|yb)", False),
    ],
)
def test_which_patterns_begin_as_a_chain(pattern, begins):
    """Those of which enough is one, and what follows does not look back."""
    regex = Regex(pattern, [])
    assert (regex.begins_as_chain, regex.is_chain) == (begins, False)


def test_an_access_line_is_accepted_by_the_chain():
    """All rows of the usual kind, without `re`; one that is different does not spoil the others."""
    chain = compile_chain(re.compile(ACCESS))
    scan = Scan(chain, Block.of(pa.array([LINE, "no", LINE.replace("200", "٣"), "", LINE])))
    assert scan.accepted.tolist() == [True, False, False, False, True]
    rows = [LINE, "no", LINE.replace("200", "٣"), "", "- " + LINE]
    assert extracted(ACCESS, pa.array(rows)) == expected(ACCESS, rows)


def test_alternatives_are_told_apart_by_how_they_begin():
    """The first that may stand there is the one: rows in which those before it surely do not stand are
    accepted; those in which it may, and then does not, are left to `re`.
    """
    pattern = r"(?P<size>\d+|-|none at all) (?P<method>GET|POST|PUT) (?P<rest>x|\d{2}y|\S+)$"
    rows = ["12 GET x", "- PUT 12y", "none at all POST xx", "- PATCH 1", "٣ GET x", "12", "-", "n PUT -"]
    scan = Scan(compile_chain(re.compile(pattern)), Block.of(pa.array(rows)))
    assert scan.accepted.tolist() == [True, True, False, False, False, False, False, False]
    assert extracted(pattern, pa.array(rows)) == expected(pattern, rows)


def test_the_leftmost_match_counts():
    """A pattern that is not anchored may match behind the start of the line."""
    assert extracted(r"(?P<n>\d+) ms", pa.array(["took 12 ms, then 9 ms"])) == ([["12"]], [True])


def test_groups_that_took_no_part_are_null():
    """A matching line, with no value for the group."""
    assert extracted(r"(?P<a>x)?(?P<b>y)", pa.array(["y", "xy", "z"])) == (
        [[None, "x", None], ["y", "y", None]],
        [True, True, False],
    )


@given(st.lists(TEXTS, min_size=3, max_size=9), st.integers(0, 2))
def test_a_slice_of_a_column_is_read_as_itself(rows, at):
    """Messages are parsed in blocks, which are slices with an offset."""
    pattern = r"(?P<a>\S+) (?P<b>.*)"
    assert extracted(pattern, pa.array(rows, pa.string()).slice(at)) == expected(pattern, rows[at:])


def test_rows_that_are_read_one_by_one_keep_their_order():
    """More rows than are read at a time, some of which do not match, with groups that are no columns."""
    pattern = r"(\w)(?P<n>\d+)(?: (?P<rest>.+))?$"
    rows = [f"x{n}" + " y" * (n % 3) if n % 7 else "none" for n in range(2 * ROWS + 5)]
    columns, matched = Regex(pattern, ["n", "rest"]).extract(pa.array(rows))
    wanted, good = expected(pattern, rows)
    assert [column.to_pylist() for column in columns] == wanted
    assert matched.tolist() == good
