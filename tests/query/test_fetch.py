"""Fetching ahead keeps the order and its bounds."""

import threading

import pytest

from collector.query.fetch import in_order


def test_order_and_bound():
    """Values come in the order of their keys, and no more than `ahead` are begun and not yet taken."""
    begun, lock = [], threading.Lock()

    def get(key):
        with lock:
            begun.append(key)
        return key * 2

    for taken, (key, value) in enumerate(in_order(get, range(100), ahead=5)):
        assert (key, value) == (taken, taken * 2)
        assert len(begun) <= taken + 1 + 5


def test_error_is_raised_at_its_turn():
    """What came before the failing key is handed out first."""
    pairs = in_order(lambda key: 1 // (3 - key), range(10))
    assert [next(pairs)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        next(pairs)
