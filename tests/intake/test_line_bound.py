"""Where line feeds are, and how many an arena may give: a row costs memory, however short its line is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.intake.frame import first_line_feeds, positions


def found(data: bytes, most: int) -> list[int]:
    scratch = np.ones(len(data) + 3, np.bool_)  # what was there before counts for nothing
    return first_line_feeds(np.frombuffer(data, np.uint8), most, scratch).tolist()


@given(
    st.lists(st.sampled_from([b"\n", b"a", b"a line\n", b"a longer line\n"])).map(b"".join),
    st.integers(1, 12),
)
def test_the_first_line_feeds_are_found(data, most):
    """As many as there may be, wherever they lie within words of eight bytes."""
    assert found(data, most) == [at for at, byte in enumerate(data) if byte == 10][:most]


@pytest.mark.parametrize("before", range(10))
@pytest.mark.parametrize("most", [1, 7, 8, 9, 1000])
def test_nothing_but_line_feeds(before, most):
    """Wherever they lie to the words, the last one is exact."""
    assert found(b"x" * before + b"\n" * 2000, most) == [*range(before, before + most)]


@given(
    st.lists(st.sampled_from([1, 2, 3, 7, 8, 9, 30, 200]), max_size=60), st.integers(0, 9), st.integers(1, 70)
)
def test_positions_are_those_of_all_that_is_true(gaps, behind, most):
    """Alone in a word of eight, or several in some of them, or in nearly all."""
    at = np.cumsum(np.array(gaps, np.int64)) - 1
    mask = np.zeros((int(at[-1]) + 1 if gaps else 0) + behind, np.bool_)
    mask[at] = True
    assert positions(mask, most).tolist() == at[:most].tolist()
    assert positions(mask, most).dtype == np.int64
