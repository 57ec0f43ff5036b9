"""Where line feeds are, and how many an arena may give: a row costs memory, however short its line is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.intake import frame
from collector.intake.frame import SCAN_BYTES, first_line_feeds, positions


def found(data: bytes, most: int, scan_bytes: int = SCAN_BYTES) -> list[int]:
    scratch = np.ones(min(len(data) + 3, scan_bytes), np.bool_)  # what was there before counts for nothing
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame, "SCAN_BYTES", scan_bytes)
        return first_line_feeds(np.frombuffer(data, np.uint8), most, scratch).tolist()


@given(
    st.lists(st.sampled_from([b"\n", b"a", b"a line\n", b"a longer line\n"])).map(b"".join),
    st.integers(1, 12),
    st.sampled_from([1, 5, 8, 16, 64, SCAN_BYTES]),
)
def test_the_first_line_feeds_are_found(data, most, scan_bytes):
    """As many as there may be, wherever they lie in words of eight bytes, and in what is scanned at once."""
    assert found(data, most, scan_bytes) == [at for at, byte in enumerate(data) if byte == 10][:most]


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
