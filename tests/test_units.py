"""Durations and sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.units import duration_seconds, size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1s", 1),
        ("15m", 900),
        ("24h", 86400),
        ("90", 90),
        (90, 90),
        (0.5, 0.5),
        ("1.5 h", 5400),
    ],
)
def test_durations(text, seconds):
    """A number with ms, s, m or h, or seconds alone."""
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MiB", 64 << 20),
        ("10MB", 10_000_000),
        ("1kB", 1000),
        ("7", 7),
        (7, 7),
        ("1.5KiB", 1536),
        ("2GiB", 2 << 30),
    ],
)
def test_sizes(text, size):
    """Binary and decimal units, or bytes alone."""
    assert size_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "s", "1d", "-1s", "1h30m", "1e3", "inf", "nan", "1S", True, None, [1], "\u0661s"]
)
def test_what_is_no_duration(text):
    """Anything else is refused in words."""
    with pytest.raises(ValueError, match="should be a duration such as"):
        duration_seconds(text)


@pytest.mark.parametrize("text", ["MiB", "1mib", "1Mi", "1Mb", "-5", "1 2", "9" * 40])
def test_what_is_no_size(text):
    """Anything else is refused in words; case matters, since Mb is no MB."""
    with pytest.raises(ValueError, match="should be a size such as"):
        size_bytes(text)


@given(st.text(max_size=20))
def test_any_text_is_a_number_or_a_value_error(text):
    """No text makes another error, and none a negative number."""
    for parse in (duration_seconds, size_bytes):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert str(error).startswith("should be")
