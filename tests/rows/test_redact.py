"""Redaction of a whole column is what `re.sub` does to each row, and matches are counted."""

import re

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from collector.model import Redaction
from collector.rows.redact import redact

PATTERNS = [r"\d+\.\d+", "a", "ab|b", r"[^ ]b", "€", "(a)(b)?", "x{2}", r"\x01", "(?i)B"]
"""Of those that RE2 and `re` read alike."""
REPLACEMENTS = ["", "*", "[gone]", r"\1", "\\", "a", "€", "\x01"]
ROWS = st.lists(st.text(alphabet="ab1.x €\x01\x02é\n", max_size=16), max_size=8)


@given(ROWS, st.lists(st.tuples(st.sampled_from(PATTERNS), st.sampled_from(REPLACEMENTS)), max_size=3))
@example(["ab", "b"], [("a", "b"), ("b", "")])
@hypothesis_settings(max_examples=400, deadline=None)
def test_as_re_does_row_by_row(rows, redactions):
    """Texts, the count of matches, and which rows keep their exact bytes."""
    exact = [b"\xff" + row.encode() for row in rows]
    expected, count, kept = list(rows), 0, list(exact)
    for pattern, by in redactions:
        found = [re.subn(pattern, lambda _, by=by: by, row) for row in expected]
        expected = [text for text, _ in found]
        count += sum(times for _, times in found)
        kept = [None if times else before for before, (_, times) in zip(kept, found, strict=True)]
    message, raw, times = redact(
        pa.array(rows, pa.string()),
        pa.array(exact, pa.binary()),
        [Redaction(pattern, by) for pattern, by in redactions],
    )
    assert (message.to_pylist(), raw.to_pylist(), times) == (expected, kept, count)
    message.validate(full=True)


@pytest.mark.parametrize("missing", [None, *range(1, 0x20)])
def test_rows_that_hold_control_characters(missing):
    """Whichever of them a row holds, all of them even, none is taken for what was replaced."""
    controls = "".join(chr(code) for code in range(0x20) if code != missing)
    message, _, times = redact(pa.array([f"key={controls}", "key"]), None, [Redaction("key", "k")])
    assert (message.to_pylist(), times) == ([f"k={controls}", "k"], 2)
