"""Columns and the memory they lie in."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from collector.rows.block import numbers, truths


@given(st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=40), st.sampled_from(["int32", "int64"]))
def test_numbers_are_what_arrow_makes_of_them(values, kind):
    """Numbers and truths become columns without Arrow's own way, which asks more, and are the same ones."""
    array = np.array(values, kind)
    assert numbers(array).equals(pa.array(array))
    numbers(array).validate(full=True)
    assert truths(array > 0).equals(pa.array(array > 0))
    truths(array > 0).validate(full=True)
