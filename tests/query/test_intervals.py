"""Sets of ranges against the plain set of their bytes."""

from hypothesis import given
from hypothesis import strategies as st

from collector.query.intervals import Ranges

ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12)


def flat(found):
    return {byte for start, end in found for byte in range(start, end)}


@given(ranges, st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_ranges_are_the_set_of_their_bytes(given_ranges, asked):
    """Adding tells what was there before; missing is the rest; ranges stay joined and in order."""
    known, there = Ranges(), set()
    for start, end in given_ranges:
        assert flat(known.add(start, end)) == there & set(range(start, end))
        there |= set(range(start, end))
    assert flat(known) == there
    assert known.size == len(there)
    assert known.end == max(there, default=-1) + 1
    edges = [edge for pair in known for edge in pair]
    assert edges == sorted(set(edges))
    assert flat(known.missing(*asked)) == set(range(*asked)) - there
