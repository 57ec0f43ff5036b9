"""How many lines an arena may give: a row costs memory, however short its line is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.intake.frame import COUNTED_BYTES, end_of_lines


def end(data: bytes, most: int) -> int:
    return end_of_lines(np.frombuffer(data, np.uint8), most)


@given(st.lists(st.sampled_from([b"\n", b"a", b"line\n"]), max_size=30).map(b"".join), st.integers(1, 12))
def test_the_end_is_behind_the_last_line_that_may_come(data, most):
    """With more line feeds than may be, it is right behind the last of those; else all may come."""
    cut = end(data, most)
    if data.count(b"\n") <= most:
        assert cut == len(data)
    else:
        assert data[:cut].count(b"\n") == most
        assert data[cut - 1 : cut] == b"\n"


@pytest.mark.parametrize("before", [0, 1, COUNTED_BYTES - 1, COUNTED_BYTES, COUNTED_BYTES + 1])
@pytest.mark.parametrize("most", [1, 7, COUNTED_BYTES, COUNTED_BYTES + 1])
def test_lines_are_counted_across_blocks(before, most):
    """Wherever the line feeds lie to the blocks in which they are counted, the end is exact."""
    data = b"x" * before + b"\n" * (3 * COUNTED_BYTES)
    assert end(data, most) == before + most
