"""Values of one column are put into another."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from collector.rows.parse.merge import MOST_RUNS, merged


def check(rows):
    """Old values are numbers from 0, new ones from -1 downwards; as texts too, and null in between."""
    new = [-1 - at for at in range(sum(rows))]
    values = iter(new)
    expected = [next(values) if row else at for at, row in enumerate(rows)]
    expected = [None if value % 3 == 0 else value for value in expected]
    old = [None if at % 3 == 0 else at for at in range(len(rows))]
    new = [None if value % 3 == 0 else value for value in new]
    found = merged(_both(old), np.array(rows, np.bool_), _both(new))
    assert [column.to_pylist() for column in found] == [column.to_pylist() for column in _both(expected)]


def _both(values):
    return [pa.array(values, pa.int64()), pa.array(values, pa.int64()).cast(pa.string())]


@given(st.lists(st.booleans(), max_size=40))
@hypothesis_settings(deadline=None)
def test_few_runs(rows):
    """Wherever the rows are: at the edges, all, none."""
    check(rows)


@pytest.mark.parametrize("runs", [MOST_RUNS, MOST_RUNS + 1])
def test_many_runs(runs):
    """Beyond a number of runs it is done otherwise, with the same result."""
    check([False, True, True] * runs)
